"""The journal in a PostgreSQL database, in as few messages as possible: each costs a round trip.

SQLAlchemy begins no transaction here (AUTOCOMMIT): BEGIN and COMMIT travel with the statements beside them. Nothing is
kept in a session, so that PgBouncer in transaction mode may stand in between.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Dialect, Engine, Row, make_url

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.journal import errors, schema
from airflow_provider_dialogtech.journal.backend import (
    Access,
    BestReading,
    Plan,
    Statement,
    ask_for_time,
    note_questions,
    written_in,
)
from airflow_provider_dialogtech.journal.errors import StoreAway
from airflow_provider_dialogtech.journal.watchdog import watching

T = TypeVar("T")


READ_SECONDS = 15.0
"""How many seconds a query without a lock may take."""
MOST_CONNECTIONS = 4
_CONNECT_SECONDS = 5
_LEAST_CONNECT_SECONDS = 2  # libpq takes no less
POOL_SECONDS = 10
_LIFETIME = 300
# A client that freezes or is cut off inside a transaction must not hold the account's lock forever.
_LOCK_SECONDS = 15
_IDLE_SECONDS = 10

_BEGIN_AND_LOCK = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
    f"SELECT set_config('lock_timeout', '{_LOCK_SECONDS}s', true), "
    f"set_config('idle_in_transaction_session_timeout', '{_IDLE_SECONDS}s', true); "
    "SELECT pg_advisory_xact_lock({lock})"
)
# The isolation level is set, since in a stricter one all statements would see what there was before the lock.
_LOCK = (
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "
    f"SELECT set_config('lock_timeout', '{_LOCK_SECONDS}s', true); "
    "SELECT pg_advisory_xact_lock({lock})"
)
_CANCELLED = "57014"
_BIND = re.compile(r"%\((\w+)\)s")


class PostgresBackend:
    """One process's connections to the database.

    :param url: returns its SQLAlchemy URL; the password may be another one each time.
    :param clock: measures how long an answer took.
    :param timeout: how many seconds opening it may take.
    :param access: what it needs beside the URL.
    """

    def __init__(
        self,
        url: Callable[[], str | URL],
        clock: Clock,
        *,
        timeout: float,
        access: Access = Access(),  # noqa: B008
    ) -> None:
        self._clock = clock
        self._best = BestReading()
        self._url = url
        self._access = access
        self._in_schema = _in_schema(access.schema)
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._current = threading.local()
        self._is_closed = False
        self._engine = _engine(url(), access.connect_args)
        sa.event.listen(self._engine, "do_connect", self._connect)
        # Before SQLAlchemy's own listener, which asks the server what it is.
        sa.event.listen(self._engine, "connect", self._watch_new, insert=True)
        sa.event.listen(self._engine, "before_cursor_execute", self._bound, retval=True)
        note_questions(self._engine, clock)
        self._open(timeout)

    def locked(self, lock: str, question: Statement, plan: Plan[T], *, timeout: float) -> T:
        with self._connection(timeout) as connection:
            _send(connection, self._begin(lock))
            row, reading = ask_for_time(connection, question, self._clock)
            answer, statements = plan(row, self._best.refine(reading))
            _send(connection, *_in_one_message(statements, self._engine.dialect, last="COMMIT"))
            return answer

    def do(self, statements: Sequence[Statement], *, timeout: float, lock: str | None = None) -> int:
        locked = [_LOCK.format(lock=lock_number(lock))] if lock is not None else []
        message = _in_one_message(statements, self._engine.dialect, first=[*locked, *self._in_schema])
        with self._connection(timeout) as connection:
            return _send(connection, *message)

    def ask(self, question: Statement, *, timeout: float) -> Sequence[Row[Any]]:
        try:
            with self._connection(timeout) as connection:
                connection.execution_options(is_bounded=True)
                return connection.execute(question.sql, dict(question.values)).all()
        except sa.exc.DBAPIError as error:
            if errors.sqlstate(error.orig) != _CANCELLED:
                raise
        raise errors.question_too_long()

    def _begin(self, lock: str) -> str:
        return "; ".join([_BEGIN_AND_LOCK.format(lock=lock_number(lock)), *self._in_schema])

    def _bound(
        self, _connection: Any, _cursor: Any, sql: str, values: Any, context: Any, _many: bool
    ) -> tuple[str, Any]:
        """Let the server end a query by itself: it would continue after the client is cut off."""
        if context.execution_options.get("is_bounded"):
            bound = f"SELECT set_config('statement_timeout', '{READ_SECONDS * 1000:.0f}', true)"
            sql = "; ".join([bound, *self._in_schema, sql])
        return sql, values

    def close(self) -> None:
        """Close the unused connections; the others are closed when they are given back."""
        self._is_closed = True
        self._engine.dispose()

    @contextmanager
    def _connection(self, timeout: float) -> Iterator[Connection]:
        """Yield a connection. It is cut when its time is over, and is not used again after a failure."""
        if not self._free.acquire(timeout=min(timeout, POOL_SECONDS)):
            raise StoreAway("all of this process's connections to it are busy")
        try:
            with watching(timeout) as watch:
                self._current.watch = watch
                with self._engine.connect() as connection:
                    # SQLAlchemy 1.4 and 2 both have the driver's own connection under this name.
                    driver_connection: Any = connection.connection.dbapi_connection
                    try:
                        watch.add(driver_connection.fileno())
                        yield connection
                    except BaseException:
                        connection.invalidate()
                        raise
                    if watch.was_cut or self._is_closed:
                        connection.invalidate()
        finally:
            self._free.release()

    def _connect(self, dialect: Any, _record: Any, arguments: Any, options: dict[str, Any]) -> Any:
        """Connect in no more than the time that is left; the drivers take whole seconds."""
        longest = min(float(options["connect_timeout"]), self._current.watch.remaining)
        timeout = max(_LEAST_CONNECT_SECONDS, math.ceil(longest))
        password = make_url(self._url()).password
        newest = {} if password is None else {"password": password}
        return dialect.connect(*arguments, **{**options, **newest, "connect_timeout": timeout})

    def _watch_new(self, driver_connection: Any, _record: Any) -> None:
        self._current.watch.add(driver_connection.fileno())

    def _open(self, timeout: float) -> None:
        with self._connection(timeout) as connection:
            if schema.is_current(_version(connection)):
                return
            _send(connection, self._begin("schema"))
            is_new = False
            version = _version(connection)
            if not schema.is_current(version):
                is_new = schema.create_or_upgrade(connection)
                connection.execute(schema.journal_version.delete())
                connection.execute(schema.journal_version.insert().values(version=schema.VERSION))
            _send(connection, "COMMIT")
        if is_new:
            schema.log_new(f"in the database of {self._access.setting}")


def _version(connection: Connection) -> int | None:
    # The query of a table that does not exist would be an error, and end the transaction. The catalogue itself is read:
    # to_regclass may not see what others have committed while this transaction waited for its lock.
    there = sa.text(
        "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'dialogtech_journal' AND pg_table_is_visible(oid))"
    )
    if not connection.execute(there.execution_options(is_bounded=True)).scalar():
        return None
    newest = sa.select(sa.func.max(schema.journal_version.c.version))
    return connection.execute(newest.execution_options(is_bounded=True)).scalar()


def _in_schema(name: str) -> list[str]:
    """Return the statement that chooses a schema for one transaction; none for the role's own."""
    # Not an option of the connection: PgBouncer refuses it, or keeps it for others.
    quoted = '"' + name.replace('"', '""').replace("'", "''") + '"'
    return [f"SELECT set_config('search_path', '{quoted}', true)"] if name else []


def _send(connection: Connection, message: str, values: dict[str, Any] | None = None) -> int:
    """Send a message as it is; return how many rows its last statement changed."""
    # Without values, a % in the message is not a placeholder.
    done = connection.exec_driver_sql(message, values) if values else connection.exec_driver_sql(message)
    return done.rowcount


def _in_one_message(
    statements: Sequence[Statement], dialect: Dialect, *, first: Sequence[str] = (), last: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Put statements into one message, which PostgreSQL runs as one transaction if none has begun."""
    parts: list[str] = []
    values: dict[str, Any] = {}
    for place, statement in enumerate(written_in("postgres", statements)):
        sql, fixed = _compiled(statement.sql, dialect, tuple(sorted(statement.values)), place)
        parts.append(sql)
        values |= {f"{name}_{place}": value for name, value in {**fixed, **statement.values}.items()}
    return "; ".join([*first, *parts, *([last] if last else [])]), values


@lru_cache(maxsize=128)
def _compiled(statement: Any, dialect: Dialect, names: tuple[str, ...], place: int) -> tuple[str, dict[str, Any]]:
    """Return a statement's SQL, its parameters renamed by its position, and its own values."""
    insert = isinstance(statement, sa.sql.dml.Insert) and statement.select is None
    compiled = statement.compile(dialect=dialect, column_keys=list(names) if insert else None)
    fixed = {name: value for name, value in compiled.params.items() if name not in names}
    return _BIND.sub(lambda found: f"%({found.group(1)}_{place})s", str(compiled)), fixed


def lock_number(lock: str) -> int:
    """Return the number of a lock in PostgreSQL: the same in every version of this package.

    :param lock: what it locks.
    """
    return int.from_bytes(hashlib.sha256(f"dialogtech {lock}".encode()).digest()[:8], "big", signed=True)


def _engine(url: str | URL, connect_args: Mapping[str, Any]) -> Engine:
    parsed = make_url(url)
    arguments: dict[str, Any] = {} if "connect_timeout" in parsed.query else {"connect_timeout": _CONNECT_SECONDS}
    arguments |= connect_args
    if parsed.get_driver_name() == "psycopg":
        from psycopg import ClientCursor

        # Behind PgBouncer, a prepared statement would end up on another client's connection. The client puts values
        # into the SQL, so that one message may hold several statements.
        arguments |= {"prepare_threshold": None, "cursor_factory": ClientCursor}
    engine = sa.create_engine(
        parsed,
        future=True,
        isolation_level="AUTOCOMMIT",
        pool_size=MOST_CONNECTIONS,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_recycle=_LIFETIME,
        pool_use_lifo=True,
        use_native_hstore=False,  # looking it up would cost a round trip with each connection
        connect_args=arguments,
    )
    if parsed.get_driver_name() == "psycopg":
        sa.event.listen(engine, "after_cursor_execute", _go_to_last_result)
    return engine


def _go_to_last_result(_connection: Any, cursor: Any, *_: Any) -> None:
    """Count what a message of several statements changed for the last of them, as psycopg2 does."""
    while cursor.nextset():
        pass
