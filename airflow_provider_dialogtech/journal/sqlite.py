"""The journal in a SQLite file, which every step locks whole; one commit serves all threads that wait for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, Row, make_url
from sqlalchemy.pool import NullPool
from tenacity import Retrying, retry_if_exception_message, stop_after_delay, wait_random

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.journal import schema
from airflow_provider_dialogtech.journal.backend import Plan, Statement, ask_for_time, note_questions
from airflow_provider_dialogtech.journal.errors import StoreAway

T = TypeVar("T")


_OURS_ALONE = 0o600
# How soon somebody who waits for the file looks again, in seconds.
_LOOK_AGAIN = (0.002, 0.006)


class SqliteBackend:
    """One process's way to the file.

    :param url: its SQLAlchemy URL.
    :param clock: the store's clock.
    :param timeout: how many seconds opening it may take.
    """

    def __init__(self, url: str | URL, clock: Clock, *, timeout: float) -> None:
        self._clock = clock
        self._path = Path(str(make_url(url).database).removeprefix("file:"))
        self._engine = _engine(url, clock.now)
        note_questions(self._engine, clock)
        self._commits = GroupCommit(self._transaction)
        self.first_commit = self._open(timeout)
        """How many seconds the file takes for a commit."""

    def locked(self, lock: str, question: Statement, plan: Plan[T], *, timeout: float) -> T:  # noqa: ARG002
        def read_and_write(connection: Connection) -> T:
            answer, statements = plan(*ask_for_time(connection, question, self._clock))
            _execute(connection, statements)
            return answer

        return self._commits.run(read_and_write, timeout=timeout, is_urgent=False)

    def do(self, statements: Sequence[Statement], *, timeout: float, lock: str | None = None) -> int:  # noqa: ARG002
        # A message that waits to be started has less time than one that waits for a slot.
        return self._commits.run(lambda connection: _execute(connection, statements), timeout=timeout, is_urgent=True)

    def ask(self, question: Statement, *, timeout: float) -> Sequence[Row[Any]]:
        def read(connection: Connection) -> Sequence[Row[Any]]:
            return connection.execute(question.sql, dict(question.values)).all()

        return self._commits.run(read, timeout=timeout, is_urgent=False)

    def _open(self, timeout: float) -> float:
        """Create or upgrade the tables where that is needed; return how long a commit takes.

        A process does that once: the first slot that it takes must be far enough away.
        """
        with self._transaction(timeout) as connection:
            _write_version(connection)  # a commit without a write takes no time
            begun = self._clock.monotonic()
        return self._clock.monotonic() - begun

    @contextmanager
    def _transaction(self, timeout: float) -> Iterator[Connection]:
        until = time.monotonic() + timeout
        self._create_private()
        with self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=0")
            driver: Any = connection.connection.dbapi_connection
            # Every transaction here writes, so WAL would gain nothing; it would add files that outlive a journal that
            # was deleted. SQLite answers with a row, and nothing else works before that is read.
            _when_unlocked(lambda pragma: driver.execute(pragma).fetchall(), "PRAGMA journal_mode=TRUNCATE", until)
            _when_unlocked(driver.execute, "BEGIN IMMEDIATE", until)
            is_new = self._prepare(connection)
            yield connection
            # Somebody may be reading the file; until he has done, the transaction stays as it is.
            _when_unlocked(connection.exec_driver_sql, "COMMIT", until)
        if is_new:
            schema.log_new(str(self._path))

    def _create_private(self) -> None:
        """Create a missing file so that nobody else can read it: digests of phone numbers can be guessed."""
        if not self._path.exists():
            with suppress(OSError):
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, _OURS_ALONE))

    def _prepare(self, connection: Connection) -> bool:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar()
        if schema.is_current(version):
            return False
        is_new = schema.create_or_upgrade(connection)
        _write_version(connection)
        return is_new


def _when_unlocked(execute: Callable[[str], object], statement: str, until: float) -> None:
    """Prepare, begin or commit a transaction that writes, once nobody else holds the file.

    SQLite's own wait looks again after up to 100 ms, in which the file lies idle and a slot is missed.
    """
    retrying = Retrying(
        retry=retry_if_exception_message(match=".*database is locked"),
        stop=stop_after_delay(max(0.0, until - time.monotonic())),
        wait=wait_random(*_LOOK_AGAIN),
        reraise=True,
    )
    retrying(execute, statement)


def _write_version(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")


def _execute(connection: Connection, statements: Sequence[Statement]) -> int:
    """Return how many rows the last of the statements changed."""
    changed = 0
    for statement in statements:
        changed = connection.execute(statement.sql, dict(statement.values)).rowcount
    return changed


def _engine(url: str | URL, clock: Callable[[], float]) -> Engine:
    # No connection is kept: it would go on writing to a file that somebody has deleted.
    engine = sa.create_engine(url, future=True, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    @sa.event.listens_for(engine, "connect")
    def give_clock(raw: Any, _record: Any) -> None:
        raw.create_function("dialogtech_now", 0, clock)

    return engine


_STOPPED = "the thread that wrote to the file was stopped"


class GroupCommit:
    """Runs the work of several threads in one transaction: whoever gets the file does it for all who wait by then.

    Nobody gets an answer before the commit. Work that fails is undone by itself and fails for its thread alone; where
    the transaction fails, all of its work does.

    :param transaction: opens a transaction within so many seconds, and commits it at the end of its block.
    """

    def __init__(self, transaction: Callable[[float], AbstractContextManager[Connection]]) -> None:
        self._transaction = transaction
        self._changed = threading.Condition()
        self._waiting: list[Work[Any]] = []
        self._committing: Work[Any] | None = None

    @property
    def waiting(self) -> int:
        """How many threads wait for a commit that has not begun."""
        return len(self._waiting)

    def run(self, work: Callable[[Connection], T], *, timeout: float, is_urgent: bool) -> T:
        """Do some work and commit it, alone or together with that of others.

        :param work: what to do with the connection; it may run in another thread.
        :param timeout: how many seconds that may take.
        :param is_urgent: whether it goes before what is not.
        :raises StoreAway: when its time is over. Then it is not done, or is being committed at this moment.
        """
        ours = Work(work, is_urgent)
        until = time.monotonic() + timeout
        try:
            with self._changed:
                self._waiting.append(ours)
            while self._wait_for_turn(ours, until):
                self._commit_for_all(max(0.0, until - time.monotonic()))
        finally:
            self._leave(ours)
        return ours.result()

    def _wait_for_turn(self, ours: Work[Any], until: float) -> bool:
        """Wait until another thread has done our work, or until it is our turn to commit; return whether it is."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: ours.is_over or self._committing is None, max(0.0, until - time.monotonic())
            ):
                raise StoreAway("the file is locked")
            if ours.is_over:
                return False
            if ours not in self._waiting:
                raise StoreAway(_STOPPED)
            self._committing = ours
            return True

    def _leave(self, ours: Work[Any]) -> None:
        """Let others go on, wherever this thread was stopped: Airflow 2 ends a task by an exception at any moment."""
        with self._changed:
            if ours in self._waiting:
                self._waiting.remove(ours)
            if self._committing is ours:
                self._committing = None
                self._changed.notify_all()

    def _commit_for_all(self, timeout: float) -> None:
        done: list[Work[Any]] = []
        error: BaseException | None = None
        try:
            with self._transaction(timeout) as connection:
                while work := self._next():
                    done.append(work)
                    work.run(connection)
        except BaseException as caught:
            error = caught
            raise
        finally:
            for work in done:
                work.end(error)

    def _next(self) -> Work[Any] | None:
        with self._changed:
            if not self._waiting:
                return None
            first = min(self._waiting, key=lambda work: not work.is_urgent)
            self._waiting.remove(first)
            return first


class Work(Generic[T]):
    """What one thread waits for, and what came of it.

    :param work: what to do with the connection.
    :param is_urgent: whether it goes before what is not.
    """

    def __init__(self, work: Callable[[Connection], T], is_urgent: bool) -> None:
        self.is_urgent = is_urgent
        self.is_over = False
        self._work = work
        self._answer: T | None = None
        self._error: Exception | None = None

    def run(self, connection: Connection) -> None:
        connection.exec_driver_sql("SAVEPOINT work")
        try:
            self._answer = self._work(connection)
        except Exception as error:
            self._error = error
            connection.exec_driver_sql("ROLLBACK TO work")
        connection.exec_driver_sql("RELEASE work")

    def end(self, error: BaseException | None) -> None:
        """Let the thread go on that waits for it.

        :param error: why the transaction failed, if it did.
        """
        if isinstance(error, Exception):
            self._error = self._error or error
        elif error is not None:
            self._error = StoreAway(_STOPPED)
        self.is_over = True

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return cast(T, self._answer)
