"""The journal in a SQLite file, which every step locks whole."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, Row, make_url
from sqlalchemy.pool import NullPool
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from airflow_provider_dialogtech.delivery import schema
from airflow_provider_dialogtech.delivery.faults import StoreAway
from airflow_provider_dialogtech.delivery.store import Plan, Reading, Statement

T = TypeVar("T")

_OURS_ALONE = 0o600
# How soon somebody who waits for the file looks again, in seconds.
_LOOK_AGAIN = (0.002, 0.006)


class SqliteBackend:
    """One process's way to the file.

    :param url: its SQLAlchemy URL.
    :param clock: the store's clock, in seconds since 1970.
    """

    def __init__(self, url: str | URL, clock: Callable[[], float]) -> None:
        self._path = Path(str(make_url(url).database).removeprefix("file:"))
        self._engine = _engine(url, clock)
        # SQLite lets those who wait look again now and then, so that some wait long; the threads of a process queue.
        self._queue = threading.Lock()

    def locked(self, lock: str, question: Statement, plan: Plan[T], *, within: float) -> T:  # noqa: ARG002
        with self._transaction(within) as connection:
            asked = time.monotonic()
            row = connection.execute(question.sql, dict(question.values)).one()
            took = time.monotonic() - asked
            answer, statements = plan(row, Reading(row.now, asked + took / 2, took))
            for statement in statements:
                connection.execute(statement.sql, dict(statement.values))
            return answer

    def do(self, statements: Sequence[Statement], *, within: float) -> int:
        changed = 0
        with self._transaction(within) as connection:
            for statement in statements:
                changed = connection.execute(statement.sql, dict(statement.values)).rowcount
        return changed

    def ask(self, question: Statement, *, within: float) -> Row[Any]:
        with self._transaction(within) as connection:
            return connection.execute(question.sql, dict(question.values)).one()

    @contextmanager
    def _transaction(self, within: float) -> Iterator[Connection]:
        until = time.monotonic() + within
        if not self._queue.acquire(timeout=within):
            raise StoreAway("the file is locked")
        try:
            self._create_private()
            with self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout=0")
                # Every transaction here writes, so WAL would gain nothing; it would add files that outlive a journal
                # that was deleted.
                connection.exec_driver_sql("PRAGMA journal_mode=TRUNCATE")
                self._lock_file(connection, max(0.0, until - time.monotonic()))
                is_new = self._prepare(connection)
                yield connection
                connection.exec_driver_sql("COMMIT")
        finally:
            self._queue.release()
        if is_new:
            schema.log_new(str(self._path))

    def _lock_file(self, connection: Connection, within: float) -> None:
        """Begin a transaction that writes, once nobody else does.

        SQLite's own wait looks again after up to 100 ms, in which the file lies idle and a slot is missed.
        """
        driver: Any = connection.connection.dbapi_connection
        retrying = Retrying(
            retry=retry_if_exception_type(sqlite3.OperationalError),
            stop=stop_after_delay(within),
            wait=wait_random(*_LOOK_AGAIN),
            reraise=True,
        )
        retrying(driver.execute, "BEGIN IMMEDIATE")

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
        connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")
        return is_new


def _engine(url: str | URL, clock: Callable[[], float]) -> Engine:
    # No connection is kept: it would go on writing to a file that somebody has deleted.
    engine = sa.create_engine(url, future=True, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    @sa.event.listens_for(engine, "connect")
    def give_clock(raw: Any, _record: Any) -> None:
        raw.create_function("dialogtech_now", 0, clock)

    return engine
