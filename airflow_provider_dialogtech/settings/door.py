"""The journal of this Airflow's API server, as its other processes reach it: where it is, and the token for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dialogtech.journal.store import Store

CONN_ID = "dialogtech_journal"
"""The connection whose password is the token, and whose host, where it has one, is the API server's URL."""


def door_store(*, patience: float | None = None, retry_for: float | None = None) -> Store:
    """Open the journal of Airflow's API server.

    :param patience: how long an unavailable journal is retried, in seconds; by default a minute.
    :param retry_for: the same for a journal that fails at once; by default `patience`.
    :raises JournalUnavailable: when the connection `dialogtech_journal` cannot be read.
    """
    raise NotImplementedError
