"""The connection of `[dialogtech] journal_conn_id`, as the URL of a PostgreSQL database."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech._compat import AirflowNotFoundException, connection_of
from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable, NotSent
from airflow_provider_dialogtech.masking import Opaque, safe_repr

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from airflow_provider_dialogtech.journal.backend import Access

# What Airflow's PostgresHook does not pass on to the driver.
_NOT_FOR_THE_DRIVER = {
    "iam", "redshift", "redshift-serverless", "cursor", "cluster-identifier", "workgroup-name", "aws_conn_id",
    "azure_conn_id", "sqlalchemy_query", "sqlalchemy_scheme",
}  # fmt: skip


def access_of(conn_id: str) -> Access:
    """Return what its database needs beside the URL: each new connection asks for the password again."""
    from airflow_provider_dialogtech.journal.backend import Access

    return Access(setting=f"the connection {conn_id}", is_asked_each_time=True)


def url_of(conn_id: str) -> URL:
    """Read the connection, and return its SQLAlchemy URL.

    :param conn_id: the connection, of type postgres.
    :raises InvalidConnection: when there is none, or it is not a PostgreSQL database's.
    :raises JournalUnavailable: when Airflow could not read it.
    """
    named = f"the connection {conn_id} of [dialogtech] journal_conn_id"
    try:
        return _url(conn_id, named)
    except InvalidConnection as error:
        failure: NotSent = error
    except AirflowNotFoundException:
        failure = InvalidConnection(f"Airflow has no {named[4:]}", advice="Create it, or correct the setting.")
    except Exception as error:  # of any kind: a secrets backend's, or that of a token's vendor
        failure = JournalUnavailable(
            f"Airflow could not read {named} ({type(error).__name__})",
            advice="Check its secrets backend. Sending it again is safe then.",
        )
    # Outside the except block: the error may show the connection.
    raise failure


def _url(conn_id: str, named: str) -> URL:
    from sqlalchemy.engine import URL

    read: Any = connection_of(conn_id)
    if read.conn_type != "postgres":
        raise InvalidConnection(
            f"{named} must be of type postgres, not {safe_repr(read.conn_type)}", advice="Correct it."
        )
    extra = dict(read.extra_dejson)
    login, password, port = read.login, Opaque(read.password or ""), read.port
    if extra.get("iam"):
        login, password, port = _hook(conn_id, named).get_iam_token(read)
    query = {name: str(value) for name, value in extra.items() if name not in _NOT_FOR_THE_DRIVER}
    driver = "psycopg2" if find_spec("psycopg2") else "psycopg"
    return URL.create(f"postgresql+{driver}", login or None, password or None, read.host, port, read.schema, query)


def _hook(conn_id: str, named: str) -> Any:
    try:
        from airflow.providers.postgres.hooks.postgres import PostgresHook
    except ImportError:
        pass
    else:
        return PostgresHook(conn_id)
    raise InvalidConnection(
        f"{named} asks for IAM authentication, which needs the package apache-airflow-providers-postgres",
        advice="Install it, or give the connection a password.",
    )
