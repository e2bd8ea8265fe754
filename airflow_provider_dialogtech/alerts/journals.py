"""The journals that an alert tries in turn: the shared one, and local files."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from airflow_provider_dialogtech._compat import IS_AIRFLOW_3
from airflow_provider_dialogtech.alerts.deadline import AlertDeadline, Departure, JournalAttempt
from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.journal.journal import MessageJournal, Outcome
from airflow_provider_dialogtech.journal.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.journal import journal_store

# An alert waits only briefly for a journal that restarts, because it can use the next one. `JournalAttempt` abandons a
# journal that does not answer.
PATIENCE = 10.0
RETRY_FOR = 2.0
LOCAL_PATIENCE = 10.0

# How many seconds Airflow may take to say where a journal is: it may read a connection or a secrets backend.
OPENING_SECONDS = 10.0
# The total time, in seconds, of all answers of the shared journal. Waiting for a slot does not count.
SHARED_SECONDS = 3.0
# The same for a local file, which a storm of callbacks on this machine may keep busy.
LOCAL_SECONDS = 10.0

_FILE = "dialogtech_alerts.db"
_NEVER = timedelta(days=36500)
_RECENT = timedelta(days=1)


class Journal(NamedTuple):
    """A journal that an alert can use.

    :param seconds: the total time of all its answers.
    :param recent: the greatest age of a failure whose end it may announce. The end of an older one may have been sent
        through the shared journal, which a local file does not know.
    """

    name: str
    open: Callable[[], Store]
    seconds: float
    recent: timedelta | None = None


def import_stores() -> None:
    """Import the journals' modules, so that the import does not count as the journal's time."""
    from airflow_provider_dialogtech.delivery import sender  # noqa: F401
    from airflow_provider_dialogtech.journal import postgres, sqlite  # noqa: F401

    if IS_AIRFLOW_3:
        from airflow_provider_dialogtech.door import client  # noqa: F401


def shared_journal() -> Store:
    """Open the journal of all messages.

    :raises JournalUnavailable: when it is unavailable or misconfigured: the alert then tries the next journal.
    """
    try:
        return journal_store(patience=PATIENCE, retry_for=RETRY_FOR)
    except InvalidConnection as error:
        problem, advice = error.reason, error.advice
    raise JournalUnavailable(problem, advice=advice)


def journal_in_airflow_home() -> Store:
    """Open the local journal in AIRFLOW_HOME, the first fallback."""
    from airflow.configuration import AIRFLOW_HOME

    return _file_in(Path(AIRFLOW_HOME))


def journal_in_temporary_directory() -> Store:
    """Open the local journal in the temporary directory, where AIRFLOW_HOME is not writable.

    :raises JournalUnavailable: when another user owns the directory or can write to it, and so could replace the
        journal by a link.
    """
    directory = temporary_directory()
    with suppress(OSError):
        directory.mkdir(mode=0o700)
    if not is_ours_alone(directory):
        raise JournalUnavailable(
            f"the temporary directory cannot hold a journal: {directory.name} in it must be a directory that no "
            "other user can write to"
        )
    return _file_in(directory)


def temporary_directory() -> Path:
    """Return the directory of the last fallback. It may not exist yet, and another user may have made it."""
    return Path(tempfile.gettempdir()) / f"dialogtech-{os.getuid()}"


def is_ours_alone(directory: Path) -> bool:
    """Return whether this is a directory of ours that no other user can write to; False where there is none.

    :param directory: the directory; a link to one is not one.
    """
    try:
        found = directory.lstat()
    except OSError:
        return False
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not others_write


def _file_in(directory: Path) -> Store:
    url: Any = config.file_url(str((directory / _FILE).absolute()))
    return Store(url, patience=LOCAL_PATIENCE)


def retention() -> timedelta:
    """Return how long the journal keeps a message; forever where the setting is invalid."""
    try:
        return config.journal_retention()
    except InvalidConnection:
        return _NEVER


def namespace() -> str:
    """Return the name of this Airflow where several share the journal; none where a setting is invalid."""
    try:
        return config.namespace()
    except InvalidConnection:
        return ""


JOURNALS = (
    Journal("the shared journal", shared_journal, SHARED_SECONDS),
    Journal("the file in AIRFLOW_HOME", journal_in_airflow_home, LOCAL_SECONDS, _RECENT),
    Journal("the file in the temporary directory", journal_in_temporary_directory, LOCAL_SECONDS, _RECENT),
)
"""In the order in which they are tried."""

# A slot that is not released delays other messages by a second, so a failed release is retried only briefly.
_RELEASE_WITHIN = 2.0
# A new connection to an unavailable journal takes up to 5 s, and the callback ends at its deadline.
_SETTLED_BEFORE_END = 6.0


class AlertJournal(MessageJournal):
    """A journal whose answers count for an attempt until the request is sent.

    :param args: the positional arguments of `MessageJournal`.
    :param departure: decides whether the message may still leave.
    :param options: the keyword arguments of `MessageJournal`.
    """

    def __init__(
        self,
        attempt: JournalAttempt,
        deadline: AlertDeadline,
        *args: Any,
        departure: Departure,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._attempt = attempt
        self._deadline = deadline
        self._departure = departure

    def reserve(self, request: SlotRequest, **options: Any) -> Reservation | Record:
        self._attempt.check()
        with self._attempt.asking():
            found = super().reserve(request, **options)
        if self._attempt.is_abandoned and isinstance(found, Reservation):
            self.release(found)
        self._attempt.check()
        return found

    def start(self, held: Reservation, **options: Any) -> bool:
        self._attempt.check()
        with self._attempt.asking():
            started = super().start(held, **options)
        self._attempt.check()
        if started:
            self._departure.leave()
        return started

    def settle(self, held: Reservation, outcome: Outcome, *args: Any, **options: Any) -> bool:
        with self._writing(outcome):
            return super().settle(held, outcome, *args, **options | self._until_deadline())

    def bring_back(self, request: SlotRequest, held: Reservation, outcome: Outcome, *args: Any, **options: Any) -> str:
        with self._writing(outcome):
            return super().bring_back(request, held, outcome, *args, **options | self._until_deadline())

    def _writing(self, outcome: Outcome) -> AbstractContextManager[None]:
        """Count the time of the block, unless the alert may be out: no other journal takes over then."""
        return nullcontext() if outcome in {"sent", "in_doubt"} else self._attempt.asking()

    def _until_deadline(self) -> dict[str, Any]:
        timeout = max(1.0, self._deadline.remaining() - _SETTLED_BEFORE_END)
        return {"timeout": timeout, "sleep": self._store.clock.sleep}

    def release(self, held: Reservation, **options: Any) -> bool:
        # No other message has this alert's key, so a row that stays reserved does no harm.
        options |= {"timeout": _RELEASE_WITHIN, "sleep": self._store.clock.sleep}
        with self._attempt.asking(), suppress(JournalUnavailable):
            return super().release(held, **options)
        return False
