"""The journal's store (a SQLite file, PostgreSQL, or another process), and the only way to a transaction in it."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, defaultdict
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
from airflow_provider_dialogtech.journal.backend import (
    JOURNAL_URL,
    Access,
    Backend,
    ClockReadings,
    Plan,
    Remote,
    Statement,
    T,
)
from airflow_provider_dialogtech.journal.errors import (
    LoginRejected,
    StoreAway,
    TablesMissing,
    error_to_raise,
    unusable,
)
from airflow_provider_dialogtech.journal.timing import Timing
from airflow_provider_dialogtech.spelling import misspelt

PATIENCE = 60.0
"""For how many seconds an unavailable store, for example a restarting one, is retried."""
STEP_SECONDS = 20.0
"""How many seconds one try may take; after that, the store is tried over a new connection."""
OPEN_SECONDS = 30.0
"""How many seconds opening the store may take: a journal that is created far away takes many round trips."""
Source = Callable[[], "str | URL"]
# The error of a try that had less time than this does not describe the store.
_TELLING_SECONDS = 1.0


class Store:
    """A SQLite file (one machine), a PostgreSQL database (many machines), or a place that another process keeps.

    Every step may run twice, because the answer to a COMMIT may be lost: it must recognise its own writes.

    :param url: an SQLAlchemy URL, or what returns one: it is asked again when the login is rejected. It may hold a
        password and is never shown. Or the place.
    :param clock: returns the time and sleeps. PostgreSQL uses its own clock.
    :param patience: for how many seconds an unavailable store is retried.
    :param retry_for: the same for a store that fails at once; by default `patience`.
    :param access: what its database needs beside the URL.
    :raises InvalidConnection: when the URL is malformed, or names another database or a driver that is not installed.
    """

    def __init__(
        self,
        url: str | URL | Remote | Source,
        *,
        clock: Clock = SYSTEM_CLOCK,
        patience: float = PATIENCE,
        retry_for: float | None = None,
        access: Access = Access(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self._access = access
        self._source = url if callable(url) else None
        where: Any = url() if callable(url) else url
        self.url = where
        self._remote: Remote | None = where if isinstance(where, Remote) else None
        self.is_file = self._remote is None and kind_of(where, access.setting) == "sqlite"
        self.clock = clock
        self.patience = patience
        self._retry_for = patience if retry_for is None else retry_for
        if self._remote is None:
            self._process().use(where)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.place}>"

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return str(self._remote or ("SQLite" if self.is_file else "PostgreSQL"))

    @property
    def timing(self) -> Timing:
        """How long the journal's steps take, as this process has seen it."""
        return self._process().timing

    @property
    def readings(self) -> ClockReadings:
        """This process's readings of the store's clock."""
        return self._process().readings

    def open(self) -> None:
        """Create or upgrade the tables if needed, as every first step does.

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
        insist: bool = False,
    ) -> T:
        """Run a query and write what follows from it, under a lock: all of it or nothing.

        In PostgreSQL that takes three messages: begin and lock, ask, write and commit.

        :param lock: what to lock: an account, say. A SQLite store is always locked whole.
        :param question: a query of one row.
        :param plan: given the row, returns the result and what to write.
        :param timeout: for how many seconds at most to try; by default the store's `patience`.
        :param sleep: sleeps between two tries; by default that of the store's clock.
        :param insist: whether it is retried for that long whatever the fault, for example when the disk is full.
        :raises JournalUnavailable: when the store cannot be reached, read or written.
        """
        return self._try(
            lambda backend, remaining: backend.locked(lock, question, plan, timeout=remaining),
            timeout=timeout,
            sleep=sleep,
            insist=insist,
        )

    def do(
        self,
        *statements: Statement,
        lock: str | None = None,
        timeout: float | None = None,
        sleep: Callable[[float], None] | None = None,
        insist: bool = False,
    ) -> bool:
        """Write, all of it or nothing: in PostgreSQL one message.

        :param statements: what to write.
        :param lock: what to lock meanwhile, by default nothing. It is held only while the server runs the message, so a
            slow, frozen or distant process does not block others.
        :param insist: as in `locked`.
        :return: whether the last of the statements changed a row.
        :raises JournalUnavailable: when the store cannot be reached or written.
        """
        return (
            self._try(
                lambda backend, remaining: backend.do(statements, lock=lock, timeout=remaining),
                timeout=timeout,
                sleep=sleep,
                insist=insist,
            )
            > 0
        )

    def ask(
        self,
        question: Statement,
        *,
        timeout: float | None = None,
        sleep: Callable[[float], None] | None = None,
        insist: bool = False,
    ) -> Sequence[Row[Any]]:
        """Ask a question without a lock, and return the rows of its answer.

        :param insist: as in `locked`.
        :raises JournalUnavailable: when the store cannot be reached or read.
        """
        return self._try(
            lambda backend, remaining: backend.ask(question, timeout=remaining),
            timeout=timeout,
            sleep=sleep,
            insist=insist,
        )

    def _try(
        self,
        work: Callable[[Backend, float], T],
        *,
        timeout: float | None,
        sleep: Callable[[float], None] | None,
        insist: bool = False,
    ) -> T:
        patience = self.patience if timeout is None else timeout
        begun = self.clock.monotonic()
        end = begun + patience
        last_try = begun + (min(patience, self._retry_for) if timeout is None else patience)
        tries = Retrying(
            retry=retry_if_exception_type((StoreAway, DialogTechError) if insist else StoreAway),
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
                        # A last try with hardly any time does not describe the store.
                        if not reason or remaining > _TELLING_SECONDS:
                            reason = str(away)
                        raise
        raise JournalUnavailable(
            f"the delivery journal is not available ({reason})",
            advice=f"{self._where_to_look()} Sending it again is safe once it is back.",
        )

    def once(self, work: Callable[[Backend, float], T], *, timeout: float) -> T:
        """Do some work for another process, which tries again by itself.

        :param work: does it with the backend, within the given seconds.
        :param timeout: for how many seconds at most.
        :raises StoreAway: when a later try may succeed.
        :raises JournalUnavailable: when none will.
        """
        return self._try_once(work, self.clock.monotonic() + timeout)

    def _try_once(self, work: Callable[[Backend, float], T], until: float) -> T:
        def remaining(at_most: float) -> float:
            return max(0.1, min(at_most, until - self.clock.monotonic()))

        process = self._process()
        try:
            backend = process.backend(remaining(OPEN_SECONDS))
            return work(backend, remaining(STEP_SECONDS))
        except DialogTechError:
            raise
        except Exception as error:
            problem = error_to_raise(error, is_file=self.is_file, setting=self._access.setting)
        if isinstance(problem, TablesMissing):
            process.close()
        if isinstance(problem, LoginRejected) and not self._has_another_url():
            problem = unusable(str(problem), problem.advice)
        # Outside the except block: the driver's error carries the statement and the database's address.
        raise problem

    def _where_to_look(self) -> str:
        if self._remote is not None:
            return self._remote.advice
        if self.is_file:
            return "`fuser -v`, given the path of the journal's file, names the programs that use it."
        return f"Check {self._access.setting} and its database."

    def _has_another_url(self) -> bool:
        """Read the URL again; return whether it has changed."""
        if self._source is None:
            return False
        process, self.url = self._process(), self._source()
        return process.use(self.url)

    def _process(self) -> _Process:
        return _process_of(self.url, self.clock, self._source, self._access)


class _Process:
    """What the threads of one process share for one store: a connection must never cross a fork."""

    def __init__(self, url: str | URL | Remote, clock: Clock, source: Source | None, access: Access) -> None:
        self.url: Any = url
        self._newest = source if source is not None and access.is_asked_each_time else lambda: self.url
        self._access = access
        self.timing = Timing(clock)
        self.readings = ClockReadings()
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._clock = clock
        self._backend: Backend | None = None
        self._opening = threading.Lock()

    def backend(self, timeout: float) -> Backend:
        """Open the store, unless it is open; after a failure, the next caller tries again.

        :param timeout: how many seconds that may take.
        """
        if not self._opening.acquire(timeout=timeout):
            raise StoreAway(f"it did not answer for {timeout:.1f} s")
        try:
            if self._backend is None:
                if isinstance(self.url, Remote):
                    self._backend = self.url.open(self._clock, self.timing, timeout=timeout)
                elif kind_of(self.url) == "sqlite":
                    from airflow_provider_dialogtech.journal.sqlite import SqliteBackend

                    file = SqliteBackend(self.url, self._clock, timeout=timeout)
                    self.timing.first_commit(file.first_commit)
                    self._backend = file
                else:
                    from airflow_provider_dialogtech.journal.postgres import PostgresBackend

                    self._backend = PostgresBackend(self._newest, self._clock, timeout=timeout, access=self._access)
            return self._backend
        finally:
            self._opening.release()

    def use(self, url: str | URL) -> bool:
        """Use a newer URL; return whether it differs. New connections use its password."""
        before, self.url = self.url, url
        if _without_password(before) != _without_password(url):
            self.close()
        return bool(before != url)

    def close(self) -> None:
        """Close the open connections once they are unused; the next caller opens them again."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()


# By process, clock and URL.
_processes: OrderedDict[tuple[int, Clock, URL | Remote, str], _Process] = OrderedDict()
_MOST_STORES = 32
_looking = threading.Lock()


def _process_of(url: str | URL | Remote, clock: Clock, source: Source | None, access: Access) -> _Process:
    """Return what the threads of this process share of a store.

    :param source: returns the URL, which may be another one each time: all that name the same database are one then.
    """
    key = (os.getpid(), clock, _place_of(url, is_asked=source is not None), access.schema)
    gone = None
    with _looking:
        process = _processes.get(key) or _Process(url, clock, source, access)
        _processes[key] = process
        _processes.move_to_end(key)
        if len(_processes) > _MOST_STORES:
            gone = _processes.popitem(last=False)[1]
    if gone is not None:
        gone.close()
    return process


def _without_password(url: str | URL) -> URL:
    parsed = make_url(url)  # its `set` takes None for "as it is"
    return URL.create(parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, parsed.query)


@lru_cache(maxsize=_MOST_STORES)
def _place_of(url: str | URL | Remote, *, is_asked: bool) -> URL | Remote:
    if not isinstance(url, (str, URL)):
        return url
    if not is_asked:
        return _without_password(url)
    parsed = make_url(url)
    kept = {name: value for name, value in parsed.query.items() if name in {"host", "port"}}
    return URL.create(parsed.drivername, None, None, parsed.host, parsed.port, parsed.database, kept)


def _forget_parents_stores() -> None:
    """A child has none of its parent's threads and may use none of its connections."""
    global _looking  # noqa: PLW0603
    _looking = threading.Lock()
    _processes.clear()


os.register_at_fork(after_in_child=_forget_parents_stores)


# Both wait for their server in a thread; each entry is a driver's name in the URL, its module and its package.
_DRIVERS = {
    "psycopg2": ("psycopg2", "psycopg2-binary"),
    "psycopg": ("psycopg", "'psycopg[binary]'"),
}
# Those of SQLite's URIs, and of its driver.
_FILE_OPTIONS = ("timeout", "uri", "mode", "cache", "immutable", "nolock", "psow", "vfs")
_ABSOLUTE = "Write four slashes and the whole path: sqlite:////opt/airflow/dialogtech_journal.db."
_INSTALL = "pip install 'airflow-provider-dialogtech[postgres]'"


def kind_of(url: str | URL, setting: str = JOURNAL_URL) -> str:
    """Return `sqlite` or `postgresql`.

    :param url: the URL.
    :param setting: the setting that names it, for errors.
    :raises InvalidConnection: when the URL is malformed, or names another database or a driver that is not there.
    """
    parsed = _parsed(url)
    if parsed is not None and parsed.get_backend_name() == "sqlite" and parsed.database:
        _check_driver(parsed, {"pysqlite"}, "sqlite:////…", setting)
        _check_file(parsed)
        return "sqlite"
    if parsed is not None and parsed.get_backend_name() == "postgresql":
        _check_driver(parsed, {"psycopg2", "psycopg"}, "postgresql+psycopg2://…", setting)
        return "postgresql"
    raise InvalidConnection(
        f"{setting} must be the SQLAlchemy URL of a SQLite file (sqlite:////…) or of PostgreSQL "
        "(postgresql+psycopg2://…)",
        advice="Correct it.",
    )


def _parsed(url: str | URL) -> URL | None:
    try:
        return make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return None


def _check_file(url: URL) -> None:
    """Refuse a file that another process would not find, and options that SQLAlchemy ignores."""
    path = str(url.database)
    is_uri = path.startswith("file:") and str(url.query.get("uri")).lower() in {"true", "1", "yes", "on"}
    if unknown := [name for name in url.query if name not in _FILE_OPTIONS]:
        raise InvalidConnection(
            f"[dialogtech] journal_url has {misspelt('option', unknown, _FILE_OPTIONS)}", advice="Correct it."
        )
    if url.query.get("mode") == "memory" or ":memory:" in path:
        raise InvalidConnection(
            "[dialogtech] journal_url names a database in memory, so each process would have a journal of its own",
            advice=_ABSOLUTE,
        )
    if not (path.removeprefix("file:") if is_uri else path).startswith("/"):
        raise InvalidConnection(
            "[dialogtech] journal_url has a relative path, so each working directory would have a journal of its own",
            advice=_ABSOLUTE,
        )


def _check_driver(url: URL, known: set[str], example: str, setting: str) -> None:
    try:
        driver = url.get_driver_name()
        url.get_dialect()
    except (sa.exc.NoSuchModuleError, ImportError):
        driver = url.drivername.partition("+")[2]
        known = known - {driver} if driver == "psycopg" else known  # SQLAlchemy 1.4, of Airflow 2, cannot use it
    if driver not in known:
        raise InvalidConnection(
            f"{setting} names the driver {driver[:40]!r}, which the journal does not work with",
            advice=f"Write {example}.",
        )
    module, package = _DRIVERS.get(driver, (None, ""))
    if module is None or find_spec(module) is not None:
        return
    install = _INSTALL if driver == "psycopg2" else f"pip install {package}"
    raise InvalidConnection(
        f"the driver {driver} that {setting} names is not installed",
        advice=f"Install it where Airflow runs: `{install}`.",
    )
