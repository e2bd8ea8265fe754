"""Airflow's metadata database: whether this process may use it, and how it connects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech._child import DATABASE_NOT_ALLOWED, DATABASE_URL
from airflow_provider_dialogtech._compat import IS_AIRFLOW_3
from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.masking import Opaque

if TYPE_CHECKING:
    from airflow_provider_dialogtech.journal.backend import Access

URL = "[database] sql_alchemy_conn"


def is_allowed() -> bool:
    """Return whether this process has Airflow's metadata database: API server, scheduler, commands, and all of 2.11.

    Airflow 3 gives an invalid address to each process that runs the code of DAGs, and to its children:
    tasks, the callbacks in the dag-processor, triggers. A worker's own processes have the default, a file that does not
    exist.
    """
    if os.environ.get(DATABASE_URL, "").startswith(DATABASE_NOT_ALLOWED):
        return False
    if not IS_AIRFLOW_3 or kind() != "sqlite":
        return True
    from sqlalchemy.engine import make_url

    return Path(make_url(url()).database or "").is_file()


def kind() -> str:
    """Return `postgresql`, `mysql`, `sqlite`, or the name of another database."""
    return str(url().partition(":")[0].partition("+")[0])


def url() -> Opaque:
    """Return the URL that Airflow itself connects with. It may hold a password."""
    from airflow import settings
    from airflow.configuration import conf

    return Opaque(settings.SQL_ALCHEMY_CONN or conf.get("database", "sql_alchemy_conn"))


def access() -> Access:
    """Return the further arguments of a connection to it, as Airflow's own connections have them.

    :raises InvalidConnection: when `[database] sql_alchemy_connect_args` cannot be imported.
    """
    from airflow.configuration import conf

    from airflow_provider_dialogtech.journal.backend import Access

    schema = conf.get("database", "sql_alchemy_schema", fallback="") or ""
    return Access(setting=URL, schema=schema.strip(), connect_args=_connect_args(conf))


def has_journal() -> bool:
    """Return whether it has the journal's tables: opening the journal would create them."""
    from airflow import settings
    from sqlalchemy import inspect

    from airflow_provider_dialogtech.journal.schema import journal_version

    # Not in a session: Airflow 2 has only that of the caller.
    inspector: Any = inspect(settings.engine)
    return bool(inspector.has_table(journal_version.name, schema=access().schema or None))


def _connect_args(conf: Any) -> dict[str, Any]:
    option = "sql_alchemy_connect_args"
    if not conf.has_option("database", option):
        return {}
    try:
        return dict(conf.getimport("database", option) or {})
    except Exception as error:  # of any kind: the module is the user's
        problem = type(error).__name__
    raise InvalidConnection(
        f"[database] {option} cannot be imported ({problem})", advice="Correct it in Airflow's configuration."
    )
