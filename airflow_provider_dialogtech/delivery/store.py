"""Where the journal is stored, and the only door to a transaction: a SQLite file or a PostgreSQL database."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy.engine import URL, Row
from sqlalchemy.sql.expression import Executable
from tenacity import Retrying, retry_if_exception_type, wait_random_exponential

from airflow_provider_dialogtech.delivery.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.delivery.clock_readings import ClockReadings, Reading
from airflow_provider_dialogtech.delivery.faults import StoreAway, error_to_raise
from airflow_provider_dialogtech.delivery.timing import Timing
from airflow_provider_dialogtech.exceptions import DialogTechError, JournalUnavailable

T = TypeVar("T")

PATIENCE = 60.0
"""For how many seconds a store that is away, restarted say, is tried again."""
STEP_SECONDS = 20.0
"""How many seconds one try may take; a store that has not answered by then is tried over a new connection."""
OPEN_SECONDS = 30.0
"""How many seconds opening the store may take: a journal that is created far away takes many round trips."""
# A try that had less time than this says nothing of the store when it ends.
_TELLING_SECONDS = 1.0


class Statement(NamedTuple):
    """One SQL statement and the values of its parameters."""

    sql: Executable
    values: Mapping[str, Any]


Plan = Callable[["Row[Any]", Reading], "tuple[T, Sequence[Statement]]"]
"""What to answer and to write, given a row with the store's time in its column `now`. It must not raise."""


class Backend(Protocol):
    """One process's way to one store. What fails comes out as the library's error, and nothing was written then."""

    def locked(self, lock: str, question: Statement, plan: Plan[T], *, within: float) -> T: ...

    def do(self, statements: Sequence[Statement], *, within: float, lock: str | None = None) -> int: ...

    def ask(self, question: Statement, *, within: float) -> Row[Any]: ...


class Store:
    """A SQLite file (one machine) or a PostgreSQL database (many machines).

    Every step may be tried twice, since the answer to a COMMIT may be lost: it must recognise what it has written.

    :param url: an SQLAlchemy URL. It may hold a password and is never shown.
    :param clock: tells the time and waits. What time it is PostgreSQL knows by its own clock.
    :param patience: for how many seconds a store that is away is tried again.
    :param retry_for: the same for one that says at once that it is away; by default as long.
    :raises InvalidConnection: when the URL is malformed, or names another database or a driver that is not installed.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        clock: Clock = SYSTEM_CLOCK,
        patience: float = PATIENCE,
        retry_for: float | None = None,
    ) -> None:
        from airflow_provider_dialogtech.delivery.urls import kind_of

        self.is_file = kind_of(url) == "sqlite"
        self._url = url
        self.clock = clock
        self.patience = patience
        self._retry_for = patience if retry_for is None else retry_for

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'SQLite' if self.is_file else 'PostgreSQL'}>"

    @property
    def timing(self) -> Timing:
        """How long the journal's steps take, as this process has seen it."""
        return self._process().timing

    def open(self) -> None:
        """Create or upgrade the tables where that is needed, as every first step does.

        :raises JournalUnavailable: when the store cannot be reached, or may not be changed.
        """
        import sqlalchemy as sa

        from airflow_provider_dialogtech.delivery.schema import now

        self.ask(Statement(sa.select(now().label("now")), {}))

    def one_at_a_time(self, lock: str) -> threading.Lock:
        """Return the lock under which this process's threads take the store's lock of that name one after the other."""
        return self._process().locks[lock]

    def locked(
        self,
        lock: str,
        question: Statement,
        plan: Plan[T],
        *,
        within: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> T:
        """Ask a question and write what follows from it, while nobody else holds the same lock: all of it or nothing.

        In PostgreSQL that takes three messages: begin and lock, ask, write and commit.

        :param lock: what to lock: an account, say. A SQLite store is always locked whole.
        :param question: a query of one row.
        :param plan: given the row, returns the result and what to write.
        :param within: for how many seconds at most to try; by default the store's `patience`.
        :param sleep: sleeps between two tries; by default that of the store's clock.
        :raises JournalUnavailable: when the store cannot be reached, read or written.
        """
        process = self._process()

        def watched(row: Row[Any], reading: Reading) -> tuple[T, Sequence[Statement]]:
            return plan(row, process.readings.compared(reading))

        return self._try(
            lambda backend, left: backend.locked(lock, question, watched, within=left), within=within, sleep=sleep
        )

    def do(
        self,
        *statements: Statement,
        lock: str | None = None,
        within: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> bool:
        """Write, all of it or nothing: in PostgreSQL one message.

        :param statements: what to write.
        :param lock: what to lock meanwhile, by default nothing. It is held while the message is carried out, so no
            process that is slow, frozen or far away keeps it from others.
        :return: whether the last of the statements changed a row.
        :raises JournalUnavailable: when the store cannot be reached or written.
        """
        return (
            self._try(lambda backend, left: backend.do(statements, lock=lock, within=left), within=within, sleep=sleep)
            > 0
        )

    def ask(
        self, question: Statement, *, within: float | None = None, sleep: Callable[[float], None] | None = None
    ) -> Row[Any]:
        """Ask a question that has one row for an answer, without a lock.

        :raises JournalUnavailable: when the store cannot be reached or read.
        """
        return self._try(lambda backend, left: backend.ask(question, within=left), within=within, sleep=sleep)

    def _try(
        self, work: Callable[[Backend, float], T], *, within: float | None, sleep: Callable[[float], None] | None
    ) -> T:
        patience = self.patience if within is None else within
        begun = self.clock.monotonic()
        end = begun + patience
        last_try = begun + (min(patience, self._retry_for) if within is None else patience)
        tries = Retrying(
            retry=retry_if_exception_type(StoreAway),
            stop=lambda state: self.clock.monotonic() + state.upcoming_sleep >= last_try,
            wait=wait_random_exponential(multiplier=0.05, max=1),
            sleep=sleep or self.clock.sleep,
            reraise=True,
        )
        reason = ""
        with suppress(StoreAway):
            for this_try in tries:
                left = end - self.clock.monotonic()
                with this_try:
                    try:
                        return self._try_once(work, end)
                    except StoreAway as away:
                        # A last try that has hardly any time says only that.
                        if not reason or left > _TELLING_SECONDS:
                            reason = str(away)
                        raise
        raise JournalUnavailable(
            f"the delivery journal is not available ({reason})",
            advice="Check [dialogtech] journal_url and its database. Sending it again is safe once it is back.",
        )

    def _try_once(self, work: Callable[[Backend, float], T], until: float) -> T:
        def left(at_most: float) -> float:
            return max(0.1, min(at_most, until - self.clock.monotonic()))

        try:
            backend = self._process().backend(left(OPEN_SECONDS))
            return work(backend, left(STEP_SECONDS))
        except DialogTechError:
            raise
        except Exception as error:
            problem = error_to_raise(error, is_file=self.is_file)
        # Outside the except block: the driver's error carries the statement and where the database lies.
        raise problem

    def _process(self) -> _Process:
        return _process_of(self._url, self.clock, os.getpid())


class _Process:
    """What the threads of one process share of one store: a connection must never cross a fork."""

    def __init__(self, url: str | URL, clock: Clock) -> None:
        self.timing = Timing(clock)
        self.readings = ClockReadings()
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._url = url
        self._clock = clock
        self._backend: Backend | None = None
        self._opening = threading.Lock()

    def backend(self, within: float) -> Backend:
        """Open the store, unless that was done; a failure is tried anew by the next who asks.

        :param within: how many seconds that may take.
        """
        from airflow_provider_dialogtech.delivery.urls import kind_of

        if not self._opening.acquire(timeout=within):
            raise StoreAway(f"it did not answer for {within:.1f} s")
        try:
            if self._backend is None:
                if kind_of(self._url) == "sqlite":
                    from airflow_provider_dialogtech.delivery.sqlite import SqliteBackend

                    file = SqliteBackend(self._url, self._clock, within=within)
                    self.timing.first_commit(file.first_commit)
                    self._backend = file
                else:
                    from airflow_provider_dialogtech.delivery.postgres import PostgresBackend

                    self._backend = PostgresBackend(self._url, self._clock, within=within)
            return self._backend
        finally:
            self._opening.release()


@lru_cache(maxsize=32)
def _process_of(url: str | URL, clock: Clock, _pid: int) -> _Process:
    return _Process(url, clock)
