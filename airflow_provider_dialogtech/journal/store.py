"""Where the journal is stored, and the only door to a transaction: a SQLite file or a PostgreSQL database."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Row, make_url
from tenacity import Retrying, retry_if_exception_type, wait_random_exponential

from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.journal.backend import Backend, ClockReadings, Plan, Reading, Statement, T
from airflow_provider_dialogtech.journal.errors import StoreAway, error_to_raise
from airflow_provider_dialogtech.journal.timing import Timing

PATIENCE = 60.0
"""For how many seconds a store that is away, restarted say, is tried again."""
STEP_SECONDS = 20.0
"""How many seconds one try may take; a store that has not answered by then is tried over a new connection."""
OPEN_SECONDS = 30.0
"""How many seconds opening the store may take: a journal that is created far away takes many round trips."""
# A try that had less time than this says nothing of the store when it ends.
_TELLING_SECONDS = 1.0


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
        from airflow_provider_dialogtech.journal.statements import NOW

        self.ask(Statement(NOW, {}))

    def one_at_a_time(self, lock: str) -> threading.Lock:
        """Return the lock under which this process's threads take the store's lock of that name one after the other."""
        return self._process().locks[lock]

    def locked(
        self,
        lock: str,
        question: Statement,
        plan: Plan[T],
        *,
        timeout: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> T:
        """Ask a question and write what follows from it, while nobody else holds the same lock: all of it or nothing.

        In PostgreSQL that takes three messages: begin and lock, ask, write and commit.

        :param lock: what to lock: an account, say. A SQLite store is always locked whole.
        :param question: a query of one row.
        :param plan: given the row, returns the result and what to write.
        :param timeout: for how many seconds at most to try; by default the store's `patience`.
        :param sleep: sleeps between two tries; by default that of the store's clock.
        :raises JournalUnavailable: when the store cannot be reached, read or written.
        """
        process = self._process()

        def watched(row: Row[Any], reading: Reading) -> tuple[T, Sequence[Statement]]:
            return plan(row, process.readings.compared(reading))

        return self._try(
            lambda backend, remaining: backend.locked(lock, question, watched, timeout=remaining),
            timeout=timeout,
            sleep=sleep,
        )

    def do(
        self,
        *statements: Statement,
        lock: str | None = None,
        timeout: float | None = None,
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
            self._try(
                lambda backend, remaining: backend.do(statements, lock=lock, timeout=remaining),
                timeout=timeout,
                sleep=sleep,
            )
            > 0
        )

    def ask(
        self, question: Statement, *, timeout: float | None = None, sleep: Callable[[float], None] | None = None
    ) -> Sequence[Row[Any]]:
        """Ask a question without a lock, and return the rows of its answer.

        :raises JournalUnavailable: when the store cannot be reached or read.
        """
        return self._try(
            lambda backend, remaining: backend.ask(question, timeout=remaining), timeout=timeout, sleep=sleep
        )

    def _try(
        self, work: Callable[[Backend, float], T], *, timeout: float | None, sleep: Callable[[float], None] | None
    ) -> T:
        patience = self.patience if timeout is None else timeout
        begun = self.clock.monotonic()
        end = begun + patience
        last_try = begun + (min(patience, self._retry_for) if timeout is None else patience)
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
                remaining = end - self.clock.monotonic()
                with this_try:
                    try:
                        return self._try_once(work, end)
                    except StoreAway as away:
                        # A last try that has hardly any time says only that.
                        if not reason or remaining > _TELLING_SECONDS:
                            reason = str(away)
                        raise
        raise JournalUnavailable(
            f"the delivery journal is not available ({reason})",
            advice="Check [dialogtech] journal_url and its database. Sending it again is safe once it is back.",
        )

    def _try_once(self, work: Callable[[Backend, float], T], until: float) -> T:
        def remaining(at_most: float) -> float:
            return max(0.1, min(at_most, until - self.clock.monotonic()))

        try:
            backend = self._process().backend(remaining(OPEN_SECONDS))
            return work(backend, remaining(STEP_SECONDS))
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

    def backend(self, timeout: float) -> Backend:
        """Open the store, unless that was done; a failure is tried anew by the next who asks.

        :param timeout: how many seconds that may take.
        """
        if not self._opening.acquire(timeout=timeout):
            raise StoreAway(f"it did not answer for {timeout:.1f} s")
        try:
            if self._backend is None:
                if kind_of(self._url) == "sqlite":
                    from airflow_provider_dialogtech.journal.sqlite import SqliteBackend

                    file = SqliteBackend(self._url, self._clock, timeout=timeout)
                    self.timing.first_commit(file.first_commit)
                    self._backend = file
                else:
                    from airflow_provider_dialogtech.journal.postgres import PostgresBackend

                    self._backend = PostgresBackend(self._url, self._clock, timeout=timeout)
            return self._backend
        finally:
            self._opening.release()


@lru_cache(maxsize=32)
def _process_of(url: str | URL, clock: Clock, _pid: int) -> _Process:
    return _Process(url, clock)


# Both wait for their server in a thread; each entry is a driver's name in the URL, its module and its package.
_DRIVERS = {
    "psycopg2": ("psycopg2", "psycopg2-binary"),
    "psycopg": ("psycopg", "'psycopg[binary]'"),
}
_INSTALL = "pip install 'airflow-provider-dialogtech[postgres]'"


def kind_of(url: str | URL) -> str:
    """Return `sqlite` or `postgresql`.

    :raises InvalidConnection: when the URL is malformed, or names another database or a driver that is not there.
    """
    parsed = _parsed(url)
    if parsed is not None and parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        _check_driver(parsed, {"pysqlite"}, "sqlite:////…")
        return "sqlite"
    if parsed is not None and parsed.get_backend_name() == "postgresql":
        _check_driver(parsed, {"psycopg2", "psycopg"}, "postgresql+psycopg2://…")
        return "postgresql"
    raise InvalidConnection(
        "[dialogtech] journal_url must be the SQLAlchemy URL of a SQLite file (sqlite:////…) or of PostgreSQL "
        "(postgresql+psycopg2://…)",
        advice="Correct it.",
    )


def _parsed(url: str | URL) -> URL | None:
    try:
        return make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return None


def _check_driver(url: URL, known: set[str], example: str) -> None:
    try:
        driver = url.get_driver_name()
        url.get_dialect()
    except (sa.exc.NoSuchModuleError, ImportError):
        driver = url.drivername.partition("+")[2]
        known = known - {driver} if driver == "psycopg" else known  # SQLAlchemy 1.4, of Airflow 2, cannot use it
    if driver not in known:
        raise InvalidConnection(
            f"[dialogtech] journal_url names the driver {driver[:40]!r}, which the journal does not work with",
            advice=f"Write {example}.",
        )
    module, package = _DRIVERS.get(driver, (None, ""))
    if module is None or find_spec(module) is not None:
        return
    install = _INSTALL if driver == "psycopg2" else f"pip install {package}"
    raise InvalidConnection(
        f"the driver {driver} that [dialogtech] journal_url names is not installed",
        advice=f"Install it where Airflow runs: `{install}`.",
    )
