"""The journals that an alert tries in turn, the shared one and local files, and the time that each may take."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable, NotSent, WaitTooLong
from airflow_provider_dialogtech.journal.journal import MessageJournal, Outcome
from airflow_provider_dialogtech.journal.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.journal import journal_store

if TYPE_CHECKING:
    from airflow_provider_dialogtech.journal.store import Store

T = TypeVar("T")


# An alert waits only briefly for a journal that restarts, because it can use the next one. `JournalAttempt` abandons a
# journal that does not answer.
PATIENCE = 10.0
RETRY_FOR = 2.0
LOCAL_PATIENCE = 10.0

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
    from airflow_provider_dialogtech.journal import dedup, postgres, sqlite  # noqa: F401


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
    from airflow_provider_dialogtech.journal.store import Store

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


# Longest time of a callback, in seconds. Airflow may allow less.
HELD = 45.0
# Longest wait for a slot, and longest API call.
WAIT = 30.0
CALL = 14.0
# Between the reservation of a slot and the request.
SPARE = 1.0
# A message takes no slot that leaves less than this part of `CALL` for its call.
_LEAST_CALL = 0.25
# A journal that answers late leaves at least this time, in seconds, to find that out.
_LEAST_FOR_JOURNAL = 1.0


class AlertDeadline:
    """The end of the time that a callback may take.

    :param seconds: how far in the future it is.
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return the remaining seconds."""
        return self._end - self._clock.monotonic()

    def remaining_for_slot(self) -> float:
        """Return the longest time that an alert may wait for its slot, in seconds."""
        return max(0.0, min(WAIT, self._before_call() - SPARE))

    def remaining_for_journal(self, seconds: float) -> float:
        """Return how long an alert may wait for a journal's answers, so that another journal can answer after it.

        :param seconds: the most.
        """
        return min(seconds, max(_LEAST_FOR_JOURNAL, (self._before_call() - SPARE) / 2))

    def remaining_for_call(self, timeout: float) -> float:
        """Return how long the API call may take that begins within `SPARE` seconds.

        :param timeout: the most.
        """
        return min(timeout, max(CALL * _LEAST_CALL, self.remaining() - SPARE))

    def sleep(self, seconds: float) -> None:
        """Sleep, if enough time remains to send afterwards.

        :raises WaitTooLong: when too little time remains; it does not sleep then.
        """
        if seconds > self._before_call():
            raise WaitTooLong(
                "the time that a callback may take is over", advice="The next alert about the same counts this one."
            )
        self._clock.sleep(seconds)

    def _before_call(self) -> float:
        return self.remaining() - CALL * _LEAST_CALL


# A process that is stopped or gets no CPU time cannot read the journal's answer. So the clock is read every `_TICK`
# seconds, and of the time between two readings at most `LONGEST_TICK` counts.
_TICK = 0.1
LONGEST_TICK = 0.15
# Bounds the uncounted time: the journal gets at most this many times its seconds.
_STRETCH = 2.0


class JournalAttempt:
    """Work that queries one journal, in a daemon thread that can be abandoned.

    Only the time inside `asking` counts: not the wait for a slot, nor the API call. The work can be abandoned only
    inside `asking`, under a lock, and finds out at its next `check`. So only one journal's work sends the message.

    :param seconds: the total time of the journal's answers.
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._seconds = seconds
        self._clock = clock
        self._counted = self._passed = 0.0
        self._looked_at: float | None = None
        self._is_abandoned = False
        self._changed = threading.Condition()

    def run(self, work: Callable[[], T]) -> T:
        """Run the work, and return its result.

        :param work: the work; what it raises is raised.
        :raises JournalUnavailable: when the journal exceeds its time. The work then sends nothing.
        """
        answer: Future[T] = Future()
        threading.Thread(target=self._work, args=(work, answer), daemon=True).start()
        with self._changed:
            while not (answer.done() or self._is_abandoned):
                is_asking = self._looked_at is not None
                self._changed.wait(_TICK if is_asking else None)
                self._count()
                self._is_abandoned = self._looked_at is not None and not answer.done() and self._is_over()
        if answer.done():
            return answer.result()
        raise JournalUnavailable(
            f"the delivery journal has taken longer than the {self._seconds:g} s that an alert waits for it"
        )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Count the time of the block as the journal's."""
        with self._changed:
            self._looked_at = self._clock.monotonic()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._count()
                self._looked_at = None
                self._changed.notify()

    @property
    def is_abandoned(self) -> bool:
        """Whether the next journal has taken over. It changes only inside `asking`."""
        with self._changed:
            return self._is_abandoned

    def check(self) -> None:
        """Stop the work if the next journal has taken over.

        :raises NotSent: when it has.
        """
        if self.is_abandoned:
            raise NotSent("the journal did not answer in time, and another one has taken over")

    def _count(self) -> None:
        """Count the time since the last reading of the clock, inside `asking`."""
        if self._looked_at is None:
            return
        now = self._clock.monotonic()
        self._passed += now - self._looked_at
        self._counted += min(now - self._looked_at, LONGEST_TICK)
        self._looked_at = now

    def _is_over(self) -> bool:
        return self._counted >= self._seconds or self._passed >= self._seconds * _STRETCH

    def _work(self, work: Callable[[], T], answer: Future[T]) -> None:
        try:
            result = work()
        except BaseException as error:
            with self._changed:
                answer.set_exception(error)
                self._changed.notify()
        else:
            with self._changed:
                answer.set_result(result)
                self._changed.notify()


# A slot that is not released delays other messages by a second, so a failed release is retried only briefly.
_RELEASE_WITHIN = 2.0
# A new connection to an unavailable journal takes up to 5 s, and the callback ends at its deadline.
_SETTLED_BEFORE_END = 6.0


class Departure:
    """Decides whether a message has left before its callback gives up on it. After that, it does not leave."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._may_have_left = False
        self._given_up = ""

    def leave(self) -> None:
        """Note that the request is about to leave.

        :raises WaitTooLong: when the callback has given up on the message.
        """
        with self._lock:
            self.check()
            self._may_have_left = True

    def check(self) -> None:
        """Stop a message that its callback has given up on.

        :raises WaitTooLong: when it has.
        """
        if self._given_up:
            raise WaitTooLong(self._given_up)

    def give_up(self, why: str) -> bool:
        """Give up on the message, and return whether it may have left."""
        with self._lock:
            self._given_up = why
            return self._may_have_left


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
