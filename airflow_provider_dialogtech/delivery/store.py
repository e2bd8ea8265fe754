"""Where the journal lies: its tables, and the one door to a transaction on SQLite or PostgreSQL."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.pool import NullPool
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from airflow_provider_dialogtech.api.errors import InvalidConnection, JournalUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

metadata = sa.MetaData()

sends = sa.Table(
    "dialogtech_sends",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("number", sa.String(64), nullable=False),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("key", sa.String(64), unique=True),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("recipient_tail", sa.String(4), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("deadline", sa.Float(53), nullable=False),
    sa.Column("created", sa.Float(53), nullable=False),
    sa.Column("updated", sa.Float(53), nullable=False),
    sa.Index("dialogtech_sends_account_at", "account", "at"),
    sa.Index("dialogtech_sends_at", "at"),
)

accounts = sa.Table(
    "dialogtech_accounts",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("extra_margin", sa.Float(53), nullable=False),
    sa.Column("widened_until", sa.Float(53), nullable=False),
    sa.Column("paused_until", sa.Float(53), nullable=False),
    sa.Column("usual_latency", sa.Float(53), nullable=False),
)

alerts = sa.Table(
    "dialogtech_alerts",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("claim", sa.String(32)),
    sa.Column("claimed", sa.Float(53), nullable=False),
    sa.Column("silent_until", sa.Float(53), nullable=False),
    sa.Column("carried", sa.Integer, nullable=False),
    sa.Column("carried_since", sa.Float(53)),
    sa.Column("more", sa.Integer, nullable=False),
    sa.Column("more_since", sa.Float(53)),
)

alert_grants = sa.Table(
    "dialogtech_alert_grants",
    metadata,
    sa.Column("claim", sa.String(32), primary_key=True),
    sa.Column("recipient", sa.String(64), nullable=False),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Index("dialogtech_alert_grants_recipient_at", "recipient", "at"),
)

# Somebody frozen or cut off inside a transaction must not hold the account's line for ever.
_POSTGRES_BOUNDS = sa.text(
    "SELECT set_config('lock_timeout', '15s', true), set_config('idle_in_transaction_session_timeout', '10s', true)"
)
_POSTGRES_LOCK = sa.text("SELECT pg_advisory_xact_lock(:lock)")
_POSTGRES_CLOCK = sa.text("SELECT extract(epoch FROM clock_timestamp())::float8")
_POSTGRES_CONNECT_SECONDS = 5
_SQLITE_BUSY_SECONDS = 30


class Store:
    """A SQLite file (one machine) or a PostgreSQL database (many machines).

    :param url: an SQLAlchemy URL. It may hold a password and is never shown.
    :param clock: the clock of a SQLite store, in seconds since 1970. PostgreSQL has its own.
    :param patience: for how many seconds a PostgreSQL that is away, restarted say, is tried again.
    :raises InvalidConnection: when the URL is malformed or names another database.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time, patience: float = 10.0) -> None:
        self._url = url
        self._clock = clock
        self._patience = patience
        self.is_file = _backend(url) == "sqlite"

    def run(self, lock: str, work: Callable[[Connection, float], T]) -> T:
        """Do all of `work`, or nothing, while nobody else holds the same lock.

        `work` is given the connection and the time, read after the lock was got: times read before it could be out of
        order. It may be done a second time when the first was undone, so it must touch nothing but the connection.

        :param lock: what to lock: an account, say. A SQLite store is always locked whole.
        :param work: takes a connection and the store's time in seconds since 1970.
        :raises JournalUnavailable: when the store cannot be reached, read or written.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(_Away),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.1, max=1),
            reraise=True,
        )
        try:
            result: T = retrying(self._run_once, lock, work)
        except _Away as away:
            reason = str(away)
        else:
            return result
        raise JournalUnavailable(
            f"The text was not sent: the delivery journal is not available ({reason}). "
            "See [dialogtech] journal_url; the text may be sent again once the journal is back."
        )

    def _run_once(self, lock: str, work: Callable[[Connection, float], T]) -> T:
        try:
            with _engine(self._url, os.getpid()).begin() as connection:
                return work(connection, self._lock_and_read_clock(connection, lock))
        except sa.exc.IntegrityError as error:
            problem: _Away | JournalUnavailable = _Away(_in_words(error))
        except sa.exc.DBAPIError as error:
            problem = _unavailable(error) if self.is_file else _Away(_in_words(error))
        # Outside the except block: the driver's error carries the statement and where the database lies.
        raise problem

    def _lock_and_read_clock(self, connection: Connection, lock: str) -> float:
        if self.is_file:
            return self._clock()  # BEGIN IMMEDIATE has locked the file already
        connection.execute(_POSTGRES_BOUNDS)
        connection.execute(_POSTGRES_LOCK, {"lock": _lock_number(lock)})
        return float(connection.execute(_POSTGRES_CLOCK).scalar_one())


class _Away(Exception):
    """The store may be back in a moment."""


def _unavailable(error: sa.exc.DBAPIError) -> JournalUnavailable:
    return JournalUnavailable(
        f"The text was not sent: the delivery journal cannot be used ({_in_words(error)}). Make the file of "
        "[dialogtech] journal_url writable, with room on its disk; the text may be sent again then."
    )


def _in_words(error: sa.exc.DBAPIError) -> str:
    """Tell the driver's reason in one line, without the statement, the address or the user."""
    kind = type(error.orig).__name__
    if not type(error.orig).__module__.startswith("sqlite3"):
        return kind
    return f"{kind}: {error.orig}"


def _lock_number(lock: str) -> int:
    return int.from_bytes(hashlib.sha256(f"dialogtech {lock}".encode()).digest()[:8], "big", signed=True)


def _backend(url: str) -> str:
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        parsed = None
    if parsed is not None and parsed.get_backend_name() == "postgresql":
        return "postgresql"
    if parsed is not None and parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return "sqlite"
    raise InvalidConnection(
        "[dialogtech] journal_url must be the SQLAlchemy URL of a SQLite file (sqlite:////…) or of PostgreSQL "
        "(postgresql+psycopg2://…). Nothing was sent."
    )


@lru_cache(maxsize=8)
def _engine(url: str, _pid: int) -> Engine:
    """Make the engine of this process: a connection must never cross a fork."""
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    engine = sa.create_engine(
        url, future=True, pool_pre_ping=True, pool_recycle=300, connect_args=_postgres_arguments(url)
    )
    with engine.begin() as connection:
        connection.execute(_POSTGRES_LOCK, {"lock": _lock_number("schema")})
        metadata.create_all(connection)
    return engine


def _postgres_arguments(url: str) -> dict[str, int]:
    """Bound the wait for a server that does not answer, which libpq would wait for without end."""
    parsed = make_url(url)
    libpq = parsed.get_driver_name() in {"psycopg2", "psycopg"}
    return {"connect_timeout": _POSTGRES_CONNECT_SECONDS} if libpq and "connect_timeout" not in parsed.query else {}


def _sqlite_engine(url: str) -> Engine:
    # No connection is kept: it would go on writing to a file that somebody has deleted.
    engine = sa.create_engine(url, future=True, poolclass=NullPool, connect_args={"timeout": _SQLITE_BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def use_explicit_transactions(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # the driver's own BEGIN would be a deferred one

    @sa.event.listens_for(engine, "begin")
    def begin_by_locking(connection: Connection) -> None:
        # Every transaction here writes, so WAL would gain nothing; it would add files that outlive a deleted journal.
        connection.exec_driver_sql("PRAGMA journal_mode=TRUNCATE")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if not connection.exec_driver_sql("PRAGMA user_version").scalar():
            metadata.create_all(connection)
            connection.exec_driver_sql("PRAGMA user_version=1")
            log.info("A new delivery journal was begun; texts sent before it are not known to it.")

    return engine
