"""How the other processes reach the journal of this Airflow's API server: its address and its token."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from airflow_provider_dialogtech._compat import AirflowNotFoundException, connection_of
from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.masking import Opaque
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.token import CONN_ID, ensure_token

if TYPE_CHECKING:
    from airflow_provider_dialogtech.journal.store import Store

# The connection was deleted. The API server creates a new one when it is asked without a token, and refuses the
# request.
_NONE_YET = SimpleNamespace(host="", port=None, schema="", password="")
_LOCAL = "http://localhost:8080"
_EXECUTION = "/execution"


def door_store(*, patience: float | None = None, retry_for: float | None = None) -> Store:
    """Open the journal of Airflow's API server.

    :param patience: how long an unavailable journal is retried, in seconds; by default a minute.
    :param retry_for: the same for a journal that fails at once; by default `patience`.
    :raises InvalidConnection: when the address of the API server is invalid.
    :raises JournalUnavailable: when the connection `dialogtech_journal` cannot be read.
    """
    from airflow_provider_dialogtech.door.client import Door
    from airflow_provider_dialogtech.journal.store import PATIENCE, Store

    read = [_connection(past_caches=False)]

    def token(is_newest: bool) -> str:
        connection = _connection(past_caches=True) if is_newest or not read else read.pop()
        return Opaque(connection.password or "")

    door = Door(_address(read[0]), token, config.api_ca_files(), config.api_client_cert())
    return Store(door, patience=PATIENCE if patience is None else patience, retry_for=retry_for)


def _address(connection: Any) -> str:
    """Return the API server's URL: that of the connection, else beside the execution API, else that of the pages."""
    host = str(connection.host or "").strip()
    if host:
        port = f":{connection.port}" if connection.port else ""
        url = host if "://" in host else f"{connection.schema or 'http'}://{host}{port}"
        where = f"the host of the connection {CONN_ID}"
    elif url := config.execution_api_server_url().rstrip("/"):
        url, where = url.removesuffix(_EXECUTION), "[core] execution_api_server_url"
    else:
        url, where = config.base_url(), "[api] base_url"
        url = f"{_LOCAL}{url}" if not url or url.startswith("/") else url
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    is_plain = url.isprintable() and not set("@ \\?#") & set(url)
    if not is_url or not is_plain:
        raise InvalidConnection(f"{where} must be an http or https URL without user or query", advice="Correct it.")
    return url.rstrip("/")


def _connection(*, past_caches: bool) -> Any:
    if past_caches and (cache := sys.modules.get("airflow.sdk.execution_time.cache")) is not None:
        # The cache of the dag-processor may keep it for a quarter of an hour. This process does not use it from now on.
        cache.SecretCache.reset()
    try:
        return connection_of(CONN_ID)
    except AirflowNotFoundException as error:
        if not past_caches:
            return _NONE_YET
        problem = type(error).__name__
    except Exception as error:  # of any kind: Airflow's own, or a secrets backend's
        problem = type(error).__name__
    # Outside the except block: the error may show the connection.
    raise JournalUnavailable(
        f"Airflow could not read the connection {CONN_ID}, with which tasks reach the delivery journal ({problem})",
        advice="Restart the scheduler or the API server, which create it. Sending it again is safe then.",
    )


def say_where_the_journal_is() -> Literal["created", "exists"]:
    """Say to the other processes, in the API server, whether it has a journal of its own.

    :raises InvalidConnection: when a setting in `[dialogtech]` is invalid.
    :raises JournalUnavailable: when Airflow cannot read `journal_url` from its command or its secrets backend.
    """
    return ensure_token(has_own_journal=bool(config.journal_conn_id() or config.journal_url()))


def newest_token() -> str:
    """Return the token that the API server asks for and that tasks get. If there is none, one is created first.

    :raises JournalUnavailable: when it cannot be read.
    """
    with suppress(Exception):  # a secrets backend may have it all the same
        say_where_the_journal_is()
    return Opaque(_connection(past_caches=True).password or "")
