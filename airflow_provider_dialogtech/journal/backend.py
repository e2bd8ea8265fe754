"""What a backend of the journal is: it runs statements, and says when its clock was read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.sql.expression import Executable

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.journal.timing import Timing

T = TypeVar("T")


JOURNAL_URL = "[dialogtech] journal_url"


@dataclass(frozen=True)
class Access:
    """What a database needs beside its URL.

    :param setting: the setting that names it, for errors.
    :param schema: the schema of the journal's tables; empty for the role's own.
    :param connect_args: passed to the driver.
    :param is_asked_each_time: whether each new connection asks for the URL, whose password may be valid for minutes.
    """

    setting: str = JOURNAL_URL
    schema: str = ""
    connect_args: Mapping[str, Any] = field(default_factory=dict, repr=False)
    is_asked_each_time: bool = False


# The store's clock was set if it gains this many seconds on the process's own clock: the windows of a second have about
# as much room.
CLOCK_SET = 0.03
# Two clocks drift apart by this share of the time, but not by more than a second between two readings.
DRIFT = 200e-6
_MOST_DRIFT = 1.0
MOST_ACCOUNTS = 1_000
"""How many accounts' last readings a process keeps. A request to the API server may name any account."""


@dataclass(frozen=True)
class Reading:
    """When the store's clock was read.

    :param now: what it said, in seconds since 1970.
    :param at: the same moment on this process's monotonic clock.
    :param took: how many seconds the question and its answer were on their way; the moment lies between them.
    :param answered_in: how many seconds after that moment the store had its answer, which may show what was written
        meanwhile.
    """

    now: float
    at: float
    took: float
    answered_in: float = 0.0

    @classmethod
    def of(cls, row: Any, asked: float, answered: float) -> Reading:
        """Return the reading that a question for the time was.

        :param row: its answer, with the store's time in `now`, and in `answered_at` when the store had the answer.
        :param asked: when it was asked, on this process's monotonic clock.
        :param answered: when the answer came.
        """
        # A clock that is set while it is asked says anything. An older server does not say when it had its answer.
        answered_at = getattr(row, "answered_at", None) or row.now
        answered_in = min(max(0.0, answered_at - row.now), answered - asked)
        took = answered - asked - answered_in
        return cls(row.now, asked + took / 2, took, answered_in)

    @property
    def offset(self) -> float:
        """By how many seconds the store's clock is ahead of this process's monotonic one."""
        return self.now - self.at


class BestReading:
    """The most exact reading of the store's clock: the newest one may have taken long on its way."""

    def __init__(self) -> None:
        self._best: Reading | None = None

    def refine(self, new: Reading) -> Reading:
        """Return a new reading, and when it was by the most exact one if that is of the same clock.

        :param new: the new reading.
        """
        best = self._best
        if best is not None:
            error = best.took / 2 + DRIFT * max(0.0, new.at - best.at)
            is_same_clock = abs(new.offset - best.offset) <= error + new.took / 2
            if is_same_clock and error < new.took / 2:
                return replace(new, at=new.now - best.offset, took=2 * error)
        self._best = new
        return new


class ClockReadings:
    """Compares the store's clock with this process's own, to detect that it was set.

    Each account's row holds the sum of the steps that were noted for it. A step that another process has noted is in
    that sum, so it is not noted twice; a step that another process has undone is also in it, so it is detected.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[str, tuple[Reading, float]] = OrderedDict()
        self._first: tuple[Reading, Mapping[str, float]] | None = None

    def step(self, account: str, reading: Reading, noted: float) -> float | None:
        """Return by how many seconds the clock was set since the last reading, beyond what is noted.

        :param account: whose messages it is read for. Before its own first reading, this process's first one counts.
        :param reading: the new reading.
        :param noted: the sum of the steps that are noted for the account.
        :return: 0 if what was gained or lost may be drift; None for this process's first reading.
        """
        if self._first is None:
            return None
        first, noted_first = self._first
        last, noted_then = self._last.get(account, (first, noted_first.get(account, 0.0)))
        step = reading.offset - noted - (last.offset - noted_then)
        # The clock was read at an unknown moment of the query.
        drift = min(_MOST_DRIFT, DRIFT * (reading.at - last.at))
        tolerance = CLOCK_SET + drift + (reading.took + last.took) / 2
        return step if abs(step) > tolerance else 0.0

    def remember(self, account: str, reading: Reading, noted: float, sums: Mapping[str, float] | None = None) -> None:
        """Compare the account's next reading with this one.

        If the sum is not committed, the next reading finds the same step again.

        :param noted: the sum that this reading's transaction leaves behind.
        :param sums: those that are noted for all accounts; none is noted for the others.
        """
        # Other threads drop the oldest account meanwhile, which may be this one.
        self._last.pop(account, None)
        self._last[account] = (reading, noted)
        if len(self._last) > MOST_ACCOUNTS:
            self._last.popitem(last=False)  # its next reading is compared with this process's first one
        if self._first is None:
            self._first = (reading, sums or {})


class ByStore(NamedTuple):
    """A write whose statements differ between the kinds of store. The last one says whether a row was changed."""

    sqlite: tuple[Executable, ...]
    postgres: tuple[Executable, ...]


class Statement(NamedTuple):
    """One of `statements.STATEMENTS`, and the values of its parameters."""

    sql: Any  # an Executable; of a write also a ByStore
    values: Mapping[str, Any]


def written_in(kind: Literal["sqlite", "postgres"], statements: Sequence[Statement]) -> Iterator[Statement]:
    """Return the statements by which a kind of store writes.

    :param kind: the kind.
    :param statements: what is to be written.
    """
    for sql, values in statements:
        for one in getattr(sql, kind) if isinstance(sql, ByStore) else (sql,):
            yield Statement(one, values)


Plan = Callable[["Row[Any]", Reading], "tuple[T, Sequence[Statement]]"]
"""Returns the answer and what to write, given a row with the store's time in its column `now`. It must not raise."""


class Backend(Protocol):
    """One process's access to one store. A failure raises the driver's own error, and nothing was written then."""

    def locked(self, lock: str, question: Statement, plan: Plan[T], *, timeout: float) -> T: ...

    def do(self, statements: Sequence[Statement], *, timeout: float, lock: str | None = None) -> int: ...

    def ask(self, question: Statement, *, timeout: float) -> Sequence[Row[Any]]: ...

    def close(self) -> None: ...


@runtime_checkable
class Remote(Protocol):
    """The place of a store that another process keeps. Equal places are the same store."""

    @property
    def advice(self) -> str:
        """What to do when it is unavailable."""

    def open(self, clock: Clock, timing: Timing, *, timeout: float) -> Backend: ...

    def __hash__(self) -> int: ...


def note_questions(engine: Engine, clock: Clock) -> None:
    """Record for each of an engine's connections when its last query was sent.

    That is later than the call that asks: the first time, SQLAlchemy writes the question's SQL there.
    """

    def note(connection: Connection, *_: Any) -> None:
        connection.info["asked"] = clock.monotonic()

    sa.event.listen(engine, "before_cursor_execute", note)


def ask_for_time(connection: Connection, question: Statement, clock: Clock) -> tuple[Row[Any], Reading]:
    """Ask a question with the store's time in `now` and `answered_at`; return its row, and when that time was read.

    :param connection: one of an engine whose questions are noted.
    """
    row = connection.execute(question.sql, dict(question.values)).one()
    return row, Reading.of(row, connection.info["asked"], clock.monotonic())
