"""Where alerts are counted: in the shared journal, or in a file of this machine while that one is away."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.journal_place import journal_store

if TYPE_CHECKING:
    from airflow_provider_dialogtech.delivery.store import Store

# An alert waits for a journal that restarts, but not long: there is another. One that does not answer is abandoned by
# the attempt, which knows whether this process had the time to listen.
PATIENCE = 10.0
RETRY_FOR = 2.0
LOCAL_PATIENCE = 10.0

# One that is away and one that does not answer are the same to an alert. So many seconds may all answers of one take
# together; waiting for a slot is not counted.
SHARED_SECONDS = 3.0
# A storm of this machine's own callbacks may keep its file busy for a while; that is no reason to text once more.
LOCAL_SECONDS = 10.0

_FILE = "dialogtech_alerts.db"
_NEVER = timedelta(days=36500)


class Journal(NamedTuple):
    """A journal that an alert can go through.

    :param name: what the log calls it.
    :param open: opens it.
    :param seconds: how long it may take to answer, all its answers together.
    """

    name: str
    open: Callable[[], Store]
    seconds: float


def import_stores() -> None:
    """Import what the journals are made of: a process's own start is not to count as the journal's time."""
    from airflow_provider_dialogtech.alerts import alert_journal, dedup  # noqa: F401
    from airflow_provider_dialogtech.delivery import postgres, sender, sqlite  # noqa: F401


def shared_journal() -> Store:
    """Open the journal that all texts go through.

    :raises JournalUnavailable: when it is set up wrongly, too: an alert must go out all the same.
    """
    try:
        return journal_store(patience=PATIENCE, retry_for=RETRY_FOR)
    except InvalidConnection as error:
        problem, advice = error.reason, error.advice
    raise JournalUnavailable(problem, advice=advice)


def journal_in_airflow_home() -> Store:
    """Open the file in AIRFLOW_HOME that takes over."""
    from airflow.configuration import AIRFLOW_HOME

    return _file_in(Path(AIRFLOW_HOME))


def journal_in_temporary_directory() -> Store:
    """Open the file that takes over where AIRFLOW_HOME cannot be written to.

    :raises JournalUnavailable: when the directory belongs to somebody else, or others can write to it: they could put
        a link in the journal's place.
    """
    directory = Path(tempfile.gettempdir()) / f"dialogtech-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError:
        found = None
    if found is None or not _is_ours_alone(found):
        raise JournalUnavailable(
            f"the temporary directory cannot hold a journal: {directory.name} in it must be a directory that nobody "
            "else can write to"
        )
    return _file_in(directory)


def _is_ours_alone(found: os.stat_result) -> bool:
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not others_write


def _file_in(directory: Path) -> Store:
    from airflow_provider_dialogtech.delivery.store import Store

    url: Any = config.file_url(str(directory / _FILE))
    return Store(url, patience=LOCAL_PATIENCE)


def retention() -> timedelta:
    """Return how long the journal remembers a text. Where that is set up wrongly, an alert forgets none."""
    try:
        return config.journal_retention()
    except InvalidConnection:
        return _NEVER


JOURNALS = (
    Journal("the shared journal", shared_journal, SHARED_SECONDS),
    Journal("the file in AIRFLOW_HOME", journal_in_airflow_home, LOCAL_SECONDS),
    Journal("the file in the temporary directory", journal_in_temporary_directory, LOCAL_SECONDS),
)
"""In the order in which they are tried."""
