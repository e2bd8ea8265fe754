"""What a backend of the journal is: it runs statements, and says when its clock was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.sql.expression import Executable

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.journal.limits import LONGEST_WINDOW

T = TypeVar("T")


# A clock that goes on by so many seconds more than the process's own was set.
CLOCK_SET = 1.0


@dataclass(frozen=True)
class Reading:
    """When the store's clock was read.

    :param now: what it said, in seconds since 1970.
    :param at: the same moment on this process's monotonic clock.
    :param took: how many seconds the question and its answer took; the moment lies between them.
    :param ahead: by how many seconds at least the store's clock was set forward since this process last read it.
    """

    now: float
    at: float
    took: float
    ahead: float = 0.0


class ClockReadings:
    """Compares each reading with the one before: it notices a clock that was set forward.

    By such a clock, the limits' windows would open before their time. Each account must have that noted, also one that
    this process uses only then.
    """

    def __init__(self) -> None:
        self._last: Reading | None = None
        self._set: Reading | None = None
        self._noted: dict[str, Reading] = {}

    def compared(self, account: str, reading: Reading) -> Reading:
        """Return a reading with what it is ahead of the one before.

        :param account: whose messages it is read for.
        """
        ahead = self._ahead(reading)
        if not ahead and self._set is not None and self._noted.get(account) is not self._set:
            # Noticed, but not noted for this account. After a window's time that is no matter any more.
            ahead = self._set.ahead if reading.at - self._set.at < LONGEST_WINDOW else 0.0
        return replace(reading, ahead=ahead)

    def accept(self, account: str, reading: Reading) -> None:
        """Compare the next readings with this one: what follows from it for this account is committed."""
        if ahead := self._ahead(reading):
            self._set = replace(reading, ahead=ahead)
        if self._set is not None and reading.at >= self._set.at:
            self._noted[account] = self._set
        if self._last is None or reading.at >= self._last.at:
            self._last = reading

    def _ahead(self, reading: Reading) -> float:
        last = self._last
        if last is None:
            return 0.0
        # Where in a question's time the clock was read is not known, so all of that time counts for us.
        ours = reading.at + reading.took / 2 - (last.at - last.took / 2)
        ahead = reading.now - last.now - ours
        return ahead if ahead > CLOCK_SET else 0.0


class Statement(NamedTuple):
    """One SQL statement and the values of its parameters."""

    sql: Executable
    values: Mapping[str, Any]


Plan = Callable[["Row[Any]", Reading], "tuple[T, Sequence[Statement]]"]
"""What to answer and to write, given a row with the store's time in its column `now`. It must not raise."""


class Backend(Protocol):
    """One process's way to one store. What fails comes out as the library's error, and nothing was written then."""

    def locked(self, lock: str, question: Statement, plan: Plan[T], *, timeout: float) -> T: ...

    def do(self, statements: Sequence[Statement], *, timeout: float, lock: str | None = None) -> int: ...

    def ask(self, question: Statement, *, timeout: float) -> Sequence[Row[Any]]: ...

    def close(self) -> None: ...


def note_questions(engine: Engine, clock: Clock) -> None:
    """Note with each of an engine's connections when its last question left.

    That is later than the call that asks: the first time, SQLAlchemy writes the question's SQL there.
    """

    def note(connection: Connection, *_: Any) -> None:
        connection.info["asked"] = clock.monotonic()

    sa.event.listen(engine, "before_cursor_execute", note)


def ask_for_time(connection: Connection, question: Statement, clock: Clock) -> tuple[Row[Any], Reading]:
    """Ask a question with the store's time in its column `now`; return its row, and when that time was read.

    :param connection: one of an engine whose questions are noted.
    """
    row = connection.execute(question.sql, dict(question.values)).one()
    asked = connection.info["asked"]
    took = clock.monotonic() - asked
    return row, Reading(row.now, asked + took / 2, took)
