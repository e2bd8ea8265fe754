"""The journal in a SQLite file, which every write locks whole; one commit serves all threads that wait for it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, Row, make_url
from sqlalchemy.pool import NullPool
from tenacity import Retrying, retry_if_exception_message, stop_after_delay, wait_random

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal import schema
from airflow_provider_dialogtech.journal.backend import Plan, Statement, ask_for_time, note_questions, written_in
from airflow_provider_dialogtech.journal.errors import StoreAway, unusable
from airflow_provider_dialogtech.private_files import NotPrivate, check_private, ensure_private, mend_copies

T = TypeVar("T")

READ_SECONDS = 2.0
"""How many seconds a query may take: while one is being read, no commit can finish."""
# SQLite's own files beside the journal.
_BESIDE = ("-journal", "-wal", "-shm")
# How often a thread that waits for the file checks it, in seconds.
_LOOK_AGAIN = (0.002, 0.006)
# A transaction reads each page once. A larger cache would only be allocated anew by each transaction. What is written
# stays in memory until the commit, however much it is.
_CACHE = ("PRAGMA cache_size=-256", "PRAGMA cache_spill=OFF")
# SQLite looks at the time after this many of its instructions.
_INSTRUCTIONS = 10_000
# A thread that has had nothing to do for this long ends.
_IDLE_SECONDS = 10.0
# A fork waits this long for the connections that other threads have open.
_FORK_SECONDS = 5.0


class _Forks:
    """Prevents a fork while this process has a connection to a file open.

    SQLite keeps its locks and its state of a file in the process. A child that inherits them reads half-written data,
    takes an intact file for a damaged one, or waits forever.
    """

    def __init__(self, *, is_safe: bool = True) -> None:
        self.is_safe = is_safe
        self._changed = threading.Condition()
        self._open = 0
        self._forking: set[int] = set()  # the threads that do

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """Count a connection while the block runs.

        :raises JournalUnavailable: in a child that was forked while its parent had one open.
        """
        if not self.is_safe:
            raise JournalUnavailable(
                "this process was forked while a thread of its parent used the delivery journal's file, so it cannot "
                "use the file",
                advice="Start processes with multiprocessing's spawn method. Sending it again is safe then.",
            )
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._open += 1
        try:
            yield
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def before(self) -> None:
        self._changed.acquire()
        self._forking.add(threading.get_ident())
        self._changed.wait_for(lambda: not self._open, _FORK_SECONDS)

    def in_parent(self) -> None:
        if threading.get_ident() not in self._forking:
            return  # this module was imported by another thread while the fork was under way
        self._forking.remove(threading.get_ident())
        self._changed.notify_all()
        self._changed.release()

    def in_child(self) -> None:
        global _forks  # noqa: PLW0603 - the parent's lock is held by a thread that the child does not have
        _forks = _Forks(is_safe=self.is_safe and not self._open)


_forks = _Forks()
# Looked up each time: a child has one of its own.
os.register_at_fork(
    before=lambda: _forks.before(),  # noqa: PLW0108
    after_in_parent=lambda: _forks.in_parent(),  # noqa: PLW0108
    after_in_child=lambda: _forks.in_child(),  # noqa: PLW0108
)


class SqliteBackend:
    """One process's access to the file.

    :param url: its SQLAlchemy URL.
    :param clock: the store's clock.
    :param timeout: how many seconds opening it may take.
    """

    def __init__(self, url: str | URL, clock: Clock, *, timeout: float) -> None:
        self._clock = clock
        self._path = path_of(url)
        self._engine = _engine(url, clock)
        self._writer = FileThread(self._transaction)
        # Each query has its own time limit: one that takes too long does not end another.
        self._reader = FileThread(self._reading, at_once=1)
        self.first_commit = self._open(timeout)
        """How many seconds the file takes for a commit."""

    def locked(self, lock: str, question: Statement, plan: Plan[T], *, timeout: float) -> T:  # noqa: ARG002
        def read_and_write(connection: Connection) -> T:
            answer, statements = plan(*ask_for_time(connection, question, self._clock))
            _execute(connection, statements)
            return answer

        return self._writer.run(read_and_write, timeout=timeout)

    def do(self, statements: Sequence[Statement], *, timeout: float, lock: str | None = None) -> int:  # noqa: ARG002
        # A message that is about to be started has less time than one that waits for a slot.
        return self._writer.run(lambda connection: _execute(connection, statements), timeout=timeout, is_urgent=True)

    def ask(self, question: Statement, *, timeout: float) -> Sequence[Row[Any]]:
        def read(connection: Connection) -> Sequence[Row[Any]] | None:
            if not _is_current(connection):
                return None
            return connection.execute(question.sql, dict(question.values)).all()

        found = self._reader.run(read, timeout=timeout)
        if found is None:  # the file was deleted since
            self._writer.run(lambda _: None, timeout=timeout)
            found = self._reader.run(read, timeout=timeout)
        return found or ()

    def close(self) -> None:
        """Nothing is kept open."""

    def _open(self, timeout: float) -> float:
        """Create or upgrade the tables if needed; return how long a commit takes.

        A process does that once: the first slot that it takes must be far enough away.
        """

        def commit(connection: Connection) -> float:
            _write_version(connection)  # a commit without a write takes no time
            return self._clock.monotonic()

        mend_copies(self._path)
        return -self._writer.run(commit, timeout=timeout) + self._clock.monotonic()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with _forks.connecting(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _transaction(self, timeout: float) -> Iterator[Connection]:
        until = time.monotonic() + timeout
        self._keep_private()
        with self._connection() as connection:
            driver = _driver(connection)
            # Every transaction here writes, so WAL would not help; it would add files that outlive a deleted journal.
            # SQLite answers with a row, and nothing else works before that is read.
            _when_unlocked(lambda pragma: driver.execute(pragma).fetchall(), "PRAGMA journal_mode=TRUNCATE", until)
            if _is_empty(self._path):
                # Each commit then gives back the space of what it deleted. A file that has tables stays as it is.
                _when_unlocked(driver.execute, "PRAGMA auto_vacuum=FULL", until)
            _when_unlocked(driver.execute, "BEGIN IMMEDIATE", until)
            is_new = self._prepare(connection)
            for pragma in _CACHE:
                driver.execute(pragma)
            yield connection
            # Another process may be reading the file; until it has finished, the transaction stays open.
            _when_unlocked(connection.exec_driver_sql, "COMMIT", until)
        if is_new:
            schema.log_new(str(self._path))

    @contextmanager
    def _reading(self, timeout: float) -> Iterator[Connection]:
        """Yield a snapshot of the file. It blocks writers only at their commit, for at most `READ_SECONDS`."""
        until = time.monotonic() + min(timeout, READ_SECONDS)
        self._keep_private()
        with self._connection() as connection:
            driver = _driver(connection)
            driver.execute("BEGIN")
            # The first statement takes the lock; all later ones see the same snapshot.
            _when_unlocked(lambda query: driver.execute(query).fetchall(), "PRAGMA user_version", until)
            driver.set_progress_handler(lambda: time.monotonic() > until, _INSTRUCTIONS)
            try:
                yield connection
            finally:
                driver.set_progress_handler(None, 0)

    def _keep_private(self) -> None:
        """Deny other users access to the files that SQLite opens: digests of phone numbers can be guessed."""
        problem = None
        try:
            with suppress(OSError):  # SQLite says why
                ensure_private(self._path)
            for suffix in _BESIDE:
                check_private(self._path.with_name(self._path.name + suffix))
        except NotPrivate as error:
            problem = unusable(str(error), error.advice)
        if problem is not None:
            raise problem

    def _prepare(self, connection: Connection) -> bool:
        if _is_current(connection):
            return False
        is_new = schema.create_or_upgrade(connection)
        _write_version(connection)
        return is_new


def has_journal(path: Path) -> bool:
    """Return whether a SQLite file has a journal's tables, without writing to it. If it cannot be read, opening it says
    why.
    """
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
        found = file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (schema.messages.name,)).fetchone()
        return found is not None
    return True


def path_of(url: str | URL) -> Path:
    """Return the path of a journal's file.

    :param url: its SQLAlchemy URL.
    """
    database = str(make_url(url).database)
    return Path(unquote(urlsplit(database).path) if database.startswith("file:") else database)


def _is_empty(path: Path) -> bool:
    try:
        return not path.stat().st_size
    except OSError:  # it was deleted
        return False


def _driver(connection: Connection) -> Any:
    """Return the driver's own connection: what takes no values costs a fifth there."""
    return connection.connection.dbapi_connection


def _is_current(connection: Connection) -> bool:
    (version,) = _driver(connection).execute("PRAGMA user_version").fetchone()
    return schema.is_current(version)


def _when_unlocked(execute: Callable[[str], object], statement: str, until: float) -> None:
    """Prepare, begin or commit a transaction that writes, once no other process holds the file.

    SQLite's own wait checks again only after up to 100 ms, in which the file is idle and a slot is missed.
    """
    retrying = Retrying(
        retry=retry_if_exception_message(match=".*database is locked"),
        stop=stop_after_delay(max(0.0, until - time.monotonic())),
        wait=wait_random(*_LOOK_AGAIN),
        reraise=True,
    )
    retrying(execute, statement)


def _write_version(connection: Connection) -> None:
    _driver(connection).execute(f"PRAGMA user_version={schema.VERSION}")


def _execute(connection: Connection, statements: Sequence[Statement]) -> int:
    """Return how many rows the last of the statements changed."""
    changed = 0
    for statement in written_in("sqlite", statements):
        changed = connection.execute(statement.sql, dict(statement.values)).rowcount
    return changed


def _engine(url: str | URL, clock: Clock) -> Engine:
    # No connection is kept: it would continue to write to a deleted file.
    engine = sa.create_engine(
        url, future=True, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args={"timeout": 0}
    )
    note_questions(engine, clock)  # before the clock is read

    @sa.event.listens_for(engine, "connect")
    def give_clock(raw: Any, record: Any) -> None:
        # The time of a statement, as in PostgreSQL: a full minute is not asked row by row.
        raw.create_function("dialogtech_now", 0, lambda: record.info["now"], deterministic=True)
        raw.create_function("dialogtech_answered_at", 0, clock.now)

    @sa.event.listens_for(engine, "before_cursor_execute")
    def read_clock(connection: Connection, *_: Any) -> None:
        connection.info["now"] = clock.now()

    return engine


class FileThread:
    """Runs the work of a process's threads on a file, in a thread of its own, all waiting work in one transaction.

    A signal handler, by which Airflow 2 ends a task, raises in the main thread: never here, between a commit and its
    answer. No thread gets an answer before the commit. Failed work is undone by itself and fails only for its own
    thread; if the transaction fails, all of its work fails.

    :param transaction: opens a transaction within the given seconds, and commits it at the end of its block.
    :param at_once: how many pieces of work one transaction does; None for all that wait.
    """

    def __init__(
        self, transaction: Callable[[float], AbstractContextManager[Connection]], *, at_once: int | None = None
    ) -> None:
        self._transaction = transaction
        self._at_once = at_once
        self._changed = threading.Condition()
        self._waiting: list[Work] = []
        self._is_running = False

    @property
    def waiting(self) -> int:
        """How many pieces of work have not begun."""
        return len(self._waiting)

    def run(self, work: Callable[[Connection], T], *, timeout: float, is_urgent: bool = False) -> T:
        """Do some work and commit it, alone or together with that of other threads.

        :param work: what to do with the connection.
        :param timeout: how many seconds that may take.
        :param is_urgent: whether it goes before work that is not urgent.
        :raises StoreAway: when its time is over. It was then not done, or is being committed at this moment.
        """
        ours = Work(work, time.monotonic() + timeout, is_urgent=is_urgent)
        with self._changed:
            self._waiting.append(ours)
            if not self._is_running:
                threading.Thread(target=self._serve, name="dialogtech-journal-file", daemon=True).start()
                self._is_running = True
            self._changed.notify()
        try:
            answer: T = ours.answer.result(timeout)
        except futures.TimeoutError:
            answer = None  # type: ignore[assignment]
        else:
            return answer
        finally:
            with self._changed:
                if ours in self._waiting:
                    self._waiting.remove(ours)
        raise StoreAway("the file is locked")

    def _serve(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._waiting, _IDLE_SECONDS):
                    self._is_running = False
                    return
                waiting = tuple(self._waiting)
            self._commit_for_all(waiting)

    def _commit_for_all(self, waiting: Sequence[Work]) -> None:
        done: list[Work] = []
        remaining = max(work.until for work in waiting) - time.monotonic()
        try:
            with self._transaction(max(0.0, remaining)) as connection:
                while len(done) != self._at_once and (work := self._next()):
                    done.append(work)
                    work.run(connection)
        except BaseException as error:
            # If it could not begin, all threads that waited by then get that error.
            for work in done or self._taken(waiting):
                work.fail(error)
        else:
            for work in done:
                work.succeed()

    def _next(self) -> Work | None:
        with self._changed:
            if not self._waiting:
                return None
            first = min(self._waiting, key=lambda work: not work.is_urgent)
            self._waiting.remove(first)
            return first

    def _taken(self, waiting: Sequence[Work]) -> list[Work]:
        with self._changed:
            taken = [work for work in waiting if work in self._waiting]
            self._waiting = [work for work in self._waiting if work not in taken]
            return taken


class Work:
    """The work that one thread waits for.

    :param work: what to do with the connection.
    :param until: when its time is over, on the monotonic clock.
    :param is_urgent: whether it goes before work that is not urgent.
    """

    def __init__(self, work: Callable[[Connection], Any], until: float, *, is_urgent: bool) -> None:
        self.until = until
        self.is_urgent = is_urgent
        self.answer: futures.Future[Any] = futures.Future()
        self._work = work
        self._result: Any = None
        self._error: Exception | None = None

    def run(self, connection: Connection) -> None:
        driver = _driver(connection)
        driver.execute("SAVEPOINT work")
        try:
            self._result = self._work(connection)
        except Exception as error:
            self._error = error
            driver.execute("ROLLBACK TO work")
        driver.execute("RELEASE work")

    def succeed(self) -> None:
        """Let the waiting thread continue, once the work is committed."""
        if self._error is not None:
            self.answer.set_exception(self._error)
        else:
            self.answer.set_result(self._result)

    def fail(self, error: BaseException) -> None:
        """Let the waiting thread continue with an error.

        :param error: why the transaction failed.
        """
        self.answer.set_exception(self._error or error)
