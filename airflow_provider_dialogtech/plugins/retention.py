"""Deletes the messages whose retention is over, also while no process sends."""

from __future__ import annotations

import logging
import threading
import time

from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.settings import config

log = logging.getLogger(__name__)

# A message is deleted within a day of the end of its retention.
EVERY = 12 * 3600.0


def keep_retention() -> None:
    """Prune the journal in a thread of this process, at once and from then on twice a day."""
    threading.Thread(target=_prune_for_ever, name="dialogtech prunes the journal", daemon=True).start()


def _prune_for_ever() -> None:
    while True:
        try:
            prune()
        except DialogTechError as error:
            log.warning("Messages older than journal_retention_days could not be deleted: %s.", error.reason)
        except Exception:
            log.exception("Messages older than journal_retention_days could not be deleted.")
        time.sleep(EVERY)


def prune() -> None:
    """Delete what is older than `[dialogtech] journal_retention_days`, where this Airflow has a journal.

    :raises InvalidConnection: when a setting is invalid.
    :raises JournalUnavailable: when the journal cannot be used.
    """
    from airflow_provider_dialogtech.journal.sqlite import path_of
    from airflow_provider_dialogtech.operations.messages import Messages
    from airflow_provider_dialogtech.settings.journal import journal_store

    store = journal_store()
    # An Airflow that sends nothing gets no journal.
    if store.is_file and not path_of(store.url).exists():
        return
    Messages(store).prune(config.journal_retention())
