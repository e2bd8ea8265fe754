"""The journal in a SQLite file, which every step locks whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, Row, make_url
from sqlalchemy.pool import NullPool
from tenacity import Retrying, retry_if_exception_message, stop_after_delay, wait_random

from airflow_provider_dialogtech.delivery import schema
from airflow_provider_dialogtech.delivery.clock import Clock
from airflow_provider_dialogtech.delivery.group_commit import GroupCommit
from airflow_provider_dialogtech.delivery.store import Plan, Statement
from airflow_provider_dialogtech.delivery.time_question import ask_for_time, note_questions

T = TypeVar("T")

_OURS_ALONE = 0o600
# How soon somebody who waits for the file looks again, in seconds.
_LOOK_AGAIN = (0.002, 0.006)


class SqliteBackend:
    """One process's way to the file.

    :param url: its SQLAlchemy URL.
    :param clock: the store's clock.
    :param within: how many seconds opening it may take.
    """

    def __init__(self, url: str | URL, clock: Clock, *, within: float) -> None:
        self._clock = clock
        self._path = Path(str(make_url(url).database).removeprefix("file:"))
        self._engine = _engine(url, clock.now)
        note_questions(self._engine, clock)
        self._commits = GroupCommit(self._transaction)
        self.first_commit = self._open(within)
        """How many seconds the file takes for a commit."""

    def locked(self, lock: str, question: Statement, plan: Plan[T], *, within: float) -> T:  # noqa: ARG002
        def read_and_write(connection: Connection) -> T:
            answer, statements = plan(*ask_for_time(connection, question, self._clock))
            _execute(connection, statements)
            return answer

        return self._commits.run(read_and_write, within=within, is_urgent=False)

    def do(self, statements: Sequence[Statement], *, within: float, lock: str | None = None) -> int:  # noqa: ARG002
        # A text that waits to be started has less time than one that waits for a slot.
        return self._commits.run(lambda connection: _execute(connection, statements), within=within, is_urgent=True)

    def ask(self, question: Statement, *, within: float) -> Row[Any]:
        def read(connection: Connection) -> Row[Any]:
            return connection.execute(question.sql, dict(question.values)).one()

        return self._commits.run(read, within=within, is_urgent=False)

    def _open(self, within: float) -> float:
        """Create or upgrade the tables where that is needed; return how long a commit takes.

        A process does that once: the first slot that it takes must be far enough away.
        """
        with self._transaction(within) as connection:
            _write_version(connection)  # a commit without a write takes no time
            begun = self._clock.monotonic()
        return self._clock.monotonic() - begun

    @contextmanager
    def _transaction(self, within: float) -> Iterator[Connection]:
        until = time.monotonic() + within
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
