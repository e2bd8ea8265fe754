"""Which delivery journal this Airflow uses, and whether it can keep the promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dialogtech.api.errors import JournalUnavailable
from airflow_provider_dialogtech.hooks import config

if TYPE_CHECKING:
    from airflow_provider_dialogtech.delivery.store import Store

# The executors whose tasks run where their scheduler runs, and so share a file with it.
_LOCAL_EXECUTORS = {"LocalExecutor", "SequentialExecutor", "DebugExecutor"}


def journal_store(*, patience: float = 10.0) -> Store:
    """Open the journal of `[dialogtech] journal_url`.

    :param patience: for how many seconds a PostgreSQL that is away is tried again.
    :raises InvalidConnection: when the URL is no SQLite file's and no PostgreSQL's.
    :raises JournalUnavailable: when tasks may run on several machines, or in pods, but the journal is a file.
    """
    from airflow_provider_dialogtech.delivery.store import Store

    store = Store(config.journal_url(), patience=patience)
    if store.is_file and not config.allow_local_journal():
        _refuse_to_forget()
    return store


def _refuse_to_forget() -> None:
    """A journal in a file that dies with its pod, or that other machines do not see, keeps no promise."""
    elsewhere = [name for name in _executor_names() if name not in _LOCAL_EXECUTORS]
    if elsewhere:
        raise JournalUnavailable(
            f"The text was not sent: {', '.join(elsewhere)} may run tasks on several machines, but the delivery "
            "journal is a file on one of them. Set [dialogtech] journal_url to a PostgreSQL that all of them reach "
            "(AIRFLOW__DIALOGTECH__JOURNAL_URL=postgresql+psycopg2://…), or, if all tasks share this file and it "
            "outlives them, [dialogtech] allow_local_journal = True."
        )


def _executor_names() -> list[str]:
    """Read `[core] executor`: names or paths by comma, some with an alias (`path:Alias`) or a team (`team=…`)."""
    entries = config.executors().replace(";", ",").split(",")
    return [entry.split("=")[-1].strip().split(":")[0].rsplit(".", 1)[-1] for entry in entries if entry.strip()]
