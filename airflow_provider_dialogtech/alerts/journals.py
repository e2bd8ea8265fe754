"""Which journal answers for an alert, and how long it may take: the shared one, a local file, or none."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
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


# An alert waits for a journal that restarts, but not long: there is another. One that does not answer is abandoned by
# the attempt, which knows whether this process had the time to listen.
PATIENCE = 10.0
RETRY_FOR = 2.0
LOCAL_PATIENCE = 10.0

# One that is away and one that does not answer are the same to an alert. So many seconds may all answers of one take
# together; waiting for a slot is not counted.
SHARED_SECONDS = 3.0
# A storm of this machine's own callbacks may keep its file busy for a while; that is no reason to message once more.
LOCAL_SECONDS = 10.0

_FILE = "dialogtech_alerts.db"
_NEVER = timedelta(days=36500)
_RECENT = timedelta(days=1)


class Journal(NamedTuple):
    """A journal that an alert can go through.

    :param name: what the log calls it.
    :param open: opens it.
    :param seconds: how long it may take to answer, all its answers together.
    :param recent: of which failures it may say that they are over: the last one was at most so long ago. The end of
        older ones may have been sent through the shared journal, which a local file does not know.
    """

    name: str
    open: Callable[[], Store]
    seconds: float
    recent: timedelta | None = None


def import_stores() -> None:
    """Import what the journals are made of: a process's own start is not to count as the journal's time."""
    from airflow_provider_dialogtech.delivery import sender  # noqa: F401
    from airflow_provider_dialogtech.journal import dedup, postgres, sqlite  # noqa: F401


def shared_journal() -> Store:
    """Open the journal that all messages go through.

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
    from airflow_provider_dialogtech.journal.store import Store

    url: Any = config.file_url(str(directory / _FILE))
    return Store(url, patience=LOCAL_PATIENCE)


def retention() -> timedelta:
    """Return how long the journal remembers a message. Where that is set up wrongly, an alert forgets none."""
    try:
        return config.journal_retention()
    except InvalidConnection:
        return _NEVER


JOURNALS = (
    Journal("the shared journal", shared_journal, SHARED_SECONDS),
    Journal("the file in AIRFLOW_HOME", journal_in_airflow_home, LOCAL_SECONDS, _RECENT),
    Journal("the file in the temporary directory", journal_in_temporary_directory, LOCAL_SECONDS, _RECENT),
)
"""In the order in which they are tried."""


# A callback is held so many seconds at most: the dag-processor kills one that takes 50.
HELD = 45.0
# It waits so long for a slot, and so long for one call of the API.
WAIT = 30.0
CALL = 14.0
# Between a slot that was found and the request that leaves in it.
SPARE = 1.0


class AlertDeadline:
    """The end of the time that a callback may take.

    :param seconds: when it comes.
    :param clock: tells the time and waits.
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return how many seconds are left."""
        return self._end - self._clock.monotonic()

    def remaining_for_slot(self) -> float:
        """Return for how many seconds at most an alert may wait for its slot."""
        return max(0.0, min(WAIT, self.remaining() - CALL - SPARE))

    def sleep(self, seconds: float) -> None:
        """Sleep, unless there would be no time left to send.

        :raises WaitTooLong: instead of sleeping.
        """
        if seconds > self.remaining() - CALL:
            raise WaitTooLong(
                "the time that a callback may take is over", advice="The next alert about the same counts this one."
            )
        self._clock.sleep(seconds)


# A process that gets no processor time, or is stopped, cannot hear the journal's answer. So the clock is looked at so
# often, and where much more time has passed in between, it is not counted.
_TICK = 0.1
LONGEST_TICK = 0.15
# Even so the journal gets no more than so many times its seconds: an alert is worth nothing an hour later.
_STRETCH = 2.0


class Attempt:
    """Work that asks one journal, in a thread that can be abandoned: a daemon, which holds up no process's end.

    Only the time counts in which the journal is asked and this process runs: not the waiting for a slot, not the API's
    time. It is decided under a lock who may send: the work is abandoned only while it asks, and learns it before it
    does anything else.

    :param seconds: how long the journal may take, all its answers together.
    :param clock: tells how long that was.
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._seconds = seconds
        self._clock = clock
        self._counted = self._passed = 0.0
        self._looked_at: float | None = None
        self._is_abandoned = False
        self._changed = threading.Condition()

    def run(self, work: Callable[[], T]) -> T:
        """Do the work, and wait for its end.

        :raises JournalUnavailable: when the journal has taken longer than it may. The work sends nothing then.
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
        """Count the time of the block."""
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
        """Whether another journal has taken over. Outside `asking` that does not change."""
        with self._changed:
            return self._is_abandoned

    def check(self) -> None:
        """Go on only where no other journal has taken over.

        :raises NotSent: else.
        """
        if self.is_abandoned:
            raise NotSent("the journal did not answer in time, and another one has taken over")

    def _count(self) -> None:
        """Count the time since the last look at the clock, if the journal is asked."""
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


# Nobody waits for a slot that is given back; until then it delays others by a second.
_RELEASE_WITHIN = 2.0
# A callback ends with its deadline, and a new connection to a journal that is away takes up to 5 s.
_SETTLED_BEFORE_END = 6.0


class AlertJournal(MessageJournal):
    """A journal whose answers count for an attempt until the request leaves; what comes after does not.

    :param attempt: counts the time.
    :param deadline: the end of the callback's time.
    :param args: those of the journal.
    """

    def __init__(self, attempt: Attempt, deadline: AlertDeadline, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._attempt = attempt
        self._deadline = deadline

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
        return started

    def settle(self, held: Reservation, outcome: Outcome, *args: Any, **options: Any) -> bool:
        options |= {
            "timeout": max(1.0, self._deadline.remaining() - _SETTLED_BEFORE_END),
            "sleep": self._store.clock.sleep,
        }
        if outcome in {"sent", "in_doubt"}:
            return super().settle(held, outcome, *args, **options)
        # The alert is still to be sent, so this counts.
        with self._attempt.asking():
            return super().settle(held, outcome, *args, **options)

    def release(self, held: Reservation, **options: Any) -> bool:
        # An alert's key is its own: where this fails, nobody meets the row again.
        options |= {"timeout": _RELEASE_WITHIN, "sleep": self._store.clock.sleep}
        with self._attempt.asking(), suppress(JournalUnavailable):
            return super().release(held, **options)
        return False
