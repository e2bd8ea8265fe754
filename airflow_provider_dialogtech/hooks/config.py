"""The `[dialogtech]` section of Airflow's configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

SECTION = "dialogtech"

# As Airflow reads it from the provider's metadata; the defaults hold there and here.
OPTIONS: dict[str, dict[str, Any]] = {
    "journal_url": {
        "description": "Where the delivery journal lies: the SQLAlchemy URL of a SQLite file (one machine) or of a "
        "PostgreSQL database (many machines). Empty: a SQLite file in AIRFLOW_HOME.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "postgresql+psycopg2://user:password@host/airflow",
        "default": "",
        "sensitive": True,
    },
    "allow_local_journal": {
        "description": "Let tasks send with a journal in a local file under an executor that runs them on other "
        "machines. A text may then be sent twice when a task is retried on another machine.",
        "version_added": "0.1.0",
        "type": "boolean",
        "example": "True",
        "default": "False",
    },
    "journal_retention_days": {
        "description": "For how many days the journal remembers what was sent. A task cleared later sends again.",
        "version_added": "0.1.0",
        "type": "integer",
        "example": "365",
        "default": "90",
    },
    "conn_ids": {
        "description": "The DialogTech connections that have a pool of their own name, separated by commas.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "dialogtech_default,dialogtech_sales",
        "default": "dialogtech_default",
    },
    "pool_slots": {
        "description": "How many slots such a pool is created with. An existing pool is left as it is.",
        "version_added": "0.1.0",
        "type": "integer",
        "example": "8",
        "default": "4",
    },
    "create_pools": {
        "description": "Create missing pools when Airflow starts. When this is off, create them before a task asks "
        "for one: a task whose pool does not exist never runs.",
        "version_added": "0.1.0",
        "type": "boolean",
        "example": "False",
        "default": "True",
    },
}


def conn_ids() -> tuple[str, ...]:
    """Return the connections that have a pool of their own name."""
    text = str(_conf().get(SECTION, "conn_ids", fallback=OPTIONS["conn_ids"]["default"]))
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def pool_slots() -> int:
    """Return how many slots a connection's pool is created with."""
    return int(_conf().getint(SECTION, "pool_slots", fallback=OPTIONS["pool_slots"]["default"]))


def create_pools() -> bool:
    """Return whether missing pools are created when Airflow starts."""
    return bool(_conf().getboolean(SECTION, "create_pools", fallback=OPTIONS["create_pools"]["default"]))


def journal_url() -> str:
    """Return where the journal lies: as set, or a SQLite file in AIRFLOW_HOME."""
    from airflow.configuration import AIRFLOW_HOME

    return str(_conf().get(SECTION, "journal_url", fallback="")) or f"sqlite:///{AIRFLOW_HOME}/dialogtech_journal.db"


def allow_local_journal() -> bool:
    """Return whether tasks may send with a file journal where they may run on other machines."""
    default = OPTIONS["allow_local_journal"]["default"]
    return bool(_conf().getboolean(SECTION, "allow_local_journal", fallback=default))


def journal_retention() -> timedelta:
    """Return how long the journal remembers a text."""
    default = OPTIONS["journal_retention_days"]["default"]
    return timedelta(days=_conf().getint(SECTION, "journal_retention_days", fallback=default))


def executors() -> str:
    """Return `[core] executor` as it is set."""
    return str(_conf().get("core", "executor", fallback=""))


def deferrable_by_default() -> bool:
    """Return `[operators] default_deferrable`."""
    return bool(_conf().getboolean("operators", "default_deferrable", fallback=False))


def pool_of(conn_id: str | None) -> str | None:
    """Return the pool of a connection's tasks; None for Airflow's default pool.

    Only a pool that is certain to exist may be a default: a task whose pool does not exist waits for ever.
    """
    return conn_id if conn_id in conn_ids() else None


def _conf() -> Any:
    # Airflow reads the metadata made of OPTIONS while it sets its configuration up.
    from airflow.configuration import conf

    return conf
