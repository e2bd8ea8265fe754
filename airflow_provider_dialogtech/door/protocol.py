"""The protocol of the door: names, values and their bounds. The client and the server both use it.

Statements travel by name, never as SQL, and only those named here. Keys, numbers and bodies travel as digests.
Times travel as seconds from now, since the two sides share no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidMessage, JournalUnavailable, WaitTooLong
from airflow_provider_dialogtech.journal.backend import ByStore, ClockReadings, Reading, Statement
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.planner import Answer, Planner, Planning, Step
from airflow_provider_dialogtech.journal.records import NamedRequest, Record, Reservation
from airflow_provider_dialogtech.journal.statements import STATEMENTS
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.masking import clean

PATH = "/dialogtech/journal"
"""The door's path below that of the API server."""
VERSION = (1, 0)
VERSION_HEADER = "DialogTech-Journal"
CONTENT_TYPE = "application/json"
LARGEST_REQUEST = 64 * 1024
LARGEST_REPLY = 4 * 1024 * 1024
"""Largest request and reply, in bytes."""
LONGEST = 20.0
"""For how many seconds at most a request may wait for its answer."""
MOST_WRITES = 8
MOST_NUMBERS = 1000
MOST_KEYS = 500
LONGEST_NAME = 250

READS = frozenset({"before_reserving", "find", "find_sent", "get", "now", "alert_question"})
"""The questions that may be asked through the door."""
WRITES = frozenset({"start", "settle", "settle_lost", "release", "doubt", "prune"}).union(
    name for name in STATEMENTS if name.startswith("alert_") and name not in READS
)
"""The writes that may be made through it; the rest is the planner's."""

_NULLABLE = frozenset(
    {"of_body_key", "seen_claim", "new_claim"} | {f"new_{name}_since" for name in ("reported", "suppressed", "failing")}
)
_TOKENS = frozenset({"of_owner", "of_claim", "new_claim", "new_last_suppressed", "new_resolution"})
_LARGEST_NUMBER = 2**31 - 1
_LARGEST_FLOAT = 1e12
_DAY = 86400.0
# A message whose request never ends cannot be settled, and a usual time below 0 makes all later messages late. A
# connection's time-out is an hour at most, but an outcome may be written later.
_DURATIONS = {"timeout": (0.0, 3600.0), "took": (0.0, _DAY), "pause": (0.0, _DAY)}
_YEAR = 366 * _DAY
_LARGEST_DETAIL = 16 * 1024
_LARGEST_ID = 2**63
_TAIL = re.compile("[0-9]{0,4}")

# Printable ASCII, as digests and tokens are. The store's columns are no longer.
_Digest = Annotated[str, StringConstraints(max_length=64, pattern=r"^[ -~]*$")]
_Token = Annotated[str, StringConstraints(max_length=32, pattern=r"^[ -~]*$")]
_Name = Annotated[str, StringConstraints(max_length=LONGEST_NAME)]
_LONGEST_WORDS = 1000
_Words = Annotated[str, StringConstraints(max_length=_LONGEST_WORDS), AfterValidator(clean)]
_Detail = Annotated[str, StringConstraints(max_length=_LARGEST_DETAIL, pattern=r"^[^\x00]*$")]
_Number = Annotated[float, Field(ge=-_LARGEST_FLOAT, le=_LARGEST_FLOAT, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, le=_YEAR, allow_inf_nan=False)]
_Timeout = Annotated[float, Field(gt=0, le=LONGEST, allow_inf_nan=False)]


class Malformed(ValueError):
    """A request that a client of this version does not make."""


def is_spoken(version: str) -> bool:
    """Return whether this side understands the other: one minor version older or newer.

    :param version: the other side's version.
    """
    major, minor = VERSION
    return version in {f"{major}.{spoken}" for spoken in (minor - 1, minor, minor + 1)}


def version() -> str:
    """Return the version that this side speaks."""
    return ".".join(map(str, VERSION))


# Statements


class NamedStatement(BaseModel):
    """A statement by its name, and its values."""

    name: _Token
    values: dict[_Token, _Detail | Annotated[int, Field(strict=True)] | _Number | list[_Digest] | None] = Field(
        max_length=64
    )

    @classmethod
    def of(cls, statement: Statement) -> NamedStatement:
        """Encode a statement.

        :raises JournalUnavailable: when only a process with the journal's database may run it, such as a command.
        """
        name = _names().get(id(statement.sql), "")
        if name not in READS | WRITES:
            raise JournalUnavailable(
                "this process reaches the journal only through Airflow's API server, which answers only what sending "
                "needs",
                advice="Run the command where the API server runs.",
            )
        return cls.model_construct(name=name, values=dict(statement.values))

    def statement(self, allowed: frozenset[str]) -> Statement:
        """Return the statement.

        :param allowed: the allowed names.
        :raises Malformed: when its name is not among them, or its values are not its own.
        """
        if self.name not in allowed:
            raise Malformed(f"there is no statement with the name {self.name}")
        kinds = _kinds_of(self.name)
        for parameter, kind in kinds.items():
            if parameter not in self.values or not _fits(parameter, kind, self.values[parameter]):
                raise Malformed(f"{self.name} has no valid {parameter}")
        return Statement(STATEMENTS[self.name], {parameter: self.values[parameter] for parameter in kinds})


def _fits(name: str, kind: type, value: Any) -> bool:
    if value is None:
        return name in _NULLABLE
    if kind is list:
        return isinstance(value, list) and len(value) <= MOST_KEYS and all(_fits(name, str, each) for each in value)
    if kind is str:
        longest = _LARGEST_DETAIL if name == "new_detail" else 32 if name in _TOKENS else 64
        return isinstance(value, str) and len(value) <= longest and value.isascii() and value.isprintable()
    if kind is int:
        return isinstance(value, int) and -1 <= value <= _LARGEST_NUMBER
    least, most = _DURATIONS.get(name, (-_LARGEST_FLOAT, _LARGEST_FLOAT))
    return isinstance(value, (int, float)) and least <= value <= most


@lru_cache(maxsize=1)
def _names() -> dict[int, str]:
    return {id(sql): name for name, sql in STATEMENTS.items()}


@lru_cache(maxsize=64)
def _kinds_of(name: str) -> Mapping[str, type]:
    """Return the parameters of a statement, and their types."""
    from sqlalchemy.dialects import postgresql

    sql = STATEMENTS[name]
    statement: Any = sql.postgres[-1] if isinstance(sql, ByStore) else sql
    dialect: Any = postgresql
    compiled = statement.compile(dialect=dialect.dialect())
    # A parameter with a value is a constant of the statement.
    return {
        key: list if bind.expanding else bind.type.python_type for key, bind in compiled.binds.items() if bind.required
    }


class Do(BaseModel):
    """Write, all of it or nothing."""

    statements: list[NamedStatement] = Field(min_length=1, max_length=MOST_WRITES)
    lock: _Digest | None = None
    timeout: _Timeout


class Done(BaseModel):
    """How many rows the last of the statements changed."""

    changed: int


class Ask(BaseModel):
    """Ask a question."""

    statement: NamedStatement
    timeout: _Timeout


class Rows(BaseModel):
    """The rows of its answer, and the names of their columns."""

    columns: list[str]
    rows: list[list[str | int | float | None]]


_A_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


def are_of(question: Any, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether rows can be the answer to a question: their values have its types.

    :param question: a select.
    :param rows: the rows.
    """
    kinds = {name: column.type.python_type for name, column in question.selected_columns.items()}
    for row in rows:
        for name, kind in kinds.items():
            value = row.get(name)
            if value is not None and not isinstance(value, (int, float) if kind is float else kind):
                return False
        if "read_at" in kinds and not _is_a_record(row):
            return False
    return True


def _is_a_record(row: Mapping[str, Any]) -> bool:
    try:
        _A_RECORD.validate_python(dict(row))
    except ValidationError:
        return False
    return True


# The time


class Now(BaseModel):
    """Ask for the store's time."""

    timeout: _Timeout


class Time(BaseModel):
    """When the store's clock was read, and by how much that may be wrong.

    :param now: its time, in seconds since 1970.
    :param ago: how many seconds before this answer left.
    :param error: the largest error, in seconds.
    :param held: how many seconds the server took for this answer.
    """

    now: _Number
    ago: _Number
    error: _Seconds
    held: _Seconds

    @classmethod
    def of(cls, reading: Reading, arrived: float, leaves: float) -> Time:
        """Return a reading for the client.

        :param reading: the server's.
        :param arrived: when the request came, on the server's monotonic clock.
        :param leaves: when the answer leaves.
        """
        return cls(now=reading.now, ago=leaves - reading.at, error=reading.took / 2, held=leaves - arrived)

    def reading(self, asked: float, answered: float) -> Reading:
        """Return the same on the client's monotonic clock.

        :param asked: when the request left.
        :param answered: when the answer came.
        """
        way = max(0.0, answered - asked - self.held)
        # The answer left between then and now; how much the two directions differ is unknown.
        return Reading(self.now, answered - way / 2 - self.ago, way + 2 * self.error)


class NowIs(BaseModel):
    """The store's time."""

    time: Time


# The planner


class Reserve(BaseModel):
    """A question to the planner. `held.due` is in seconds from now; the names are those of `Planner` and `Planning`."""

    request: NamedRequest
    limits: RateLimits
    owner: _Token
    namespace: _Name
    resend: bool
    after: _Token | None
    max_wait: _Seconds | None
    longest_pause: _Seconds | None
    step: Step
    head_start: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
    held: Reservation | None
    outcome: State
    detail: _Detail
    timeout: _Timeout

    @model_validator(mode="before")
    @classmethod
    def _is_bounded(cls, asked: Any) -> Any:
        for value in _scalars_in(asked):
            if isinstance(value, str):
                is_sound = len(value) <= _LARGEST_DETAIL and "\0" not in value
            else:
                is_sound = value is None or abs(value) <= (
                    _LARGEST_NUMBER if isinstance(value, int) else _LARGEST_FLOAT
                )
            if not is_sound:
                raise ValueError("a value is too large")
        return asked

    @model_validator(mode="after")
    def _fits_the_columns(self) -> Reserve:
        request, origin, held = self.request, self.request.origin, self.held
        digests = (request.account, request.key, request.recipient, request.digest, request.body_key, *request.numbers)
        names = (origin.dag_id, origin.run_id, origin.task_id, self.namespace)
        has_tail = _TAIL.fullmatch(request.recipient_tail)
        if not has_tail or not all(_fits("of_body_key", str, digest) for digest in digests):
            raise ValueError("a digest is invalid")
        # Names are shown to people, also in terminals.
        if not all(len(name) <= LONGEST_NAME and name.isprintable() for name in names):
            raise ValueError("a name is too long, or has characters that cannot be shown")
        if not 0 < len(request.numbers) <= MOST_NUMBERS:
            raise ValueError("the number of numbers is not allowed")
        if (self.step != "plan") != (held is not None) or (held is not None and held.number not in request.numbers):
            raise ValueError("its reservation is missing, or not its own")
        return self

    @classmethod
    def of(cls, planning: Planning, reading: Reading, now: float, timeout: float) -> Reserve:
        """Encode a question.

        :param planning: the question.
        :param reading: when the store's clock was read last.
        :param now: the time on this process's monotonic clock.
        :param timeout: for how many seconds the answer is waited for.
        """
        planner, held = planning.planner, planning.held
        return cls.model_construct(
            request=planner.request,
            limits=planner.limits,
            owner=planner.owner,
            namespace=planner.namespace,
            resend=planner.resend,
            after=planner.after,
            # No slot is that far away, so a longer wait is the same.
            max_wait=None if planner.max_wait is None else min(max(0.0, planner.max_wait), _YEAR),
            longest_pause=planner.longest_pause,
            step=planning.step,
            head_start=planning.head_start(reading),
            held=None if held is None else replace(held, due=held.due - now),
            outcome=planning.outcome,
            detail=planning.detail,
            timeout=timeout,
        )

    def planning(self, readings: ClockReadings, now: float) -> Planning:
        """Return the question.

        :param readings: the server's readings of the store's clock.
        :param now: the time on the server's monotonic clock.
        """
        planner = Planner(
            self.request,
            self.limits,
            owner=self.owner,
            resend=self.resend,
            after=self.after,
            max_wait=self.max_wait,
            longest_pause=self.longest_pause,
            readings=readings,
            namespace=self.namespace,
        )
        held = None if self.held is None else replace(self.held, owner=self.owner, due=now + self.held.due)
        return Planning(planner, self.step, lambda _: self.head_start, held, self.outcome, self.detail)


def _scalars_in(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        yield value
    else:
        for each in inner:
            yield from _scalars_in(each)


class Refusal(BaseModel):
    """An answer that is an error."""

    error: Literal["InvalidMessage", "WaitTooLong"]
    reason: _Words
    advice: _Words
    sendable_at: datetime | None = None


class Decided(BaseModel):
    """What the planner decided."""

    time: Time
    answer: Reservation | Record | Refusal | None

    @classmethod
    def of(cls, answer: Answer | None, time: Time) -> Decided:
        if not isinstance(answer, DialogTechError):
            return cls.model_construct(answer=answer, time=time)
        at = answer.sendable_at if isinstance(answer, WaitTooLong) else None
        kind: Any = type(answer).__name__
        return cls(time=time, answer=Refusal(error=kind, reason=answer.reason, advice=answer.advice, sendable_at=at))

    def is_to(self, planning: Planning, reading: Reading) -> bool:
        """Return whether this can be the answer to a question: a slot is one of its own, and within a year.

        :param planning: the question.
        :param reading: when the store's clock was read.
        """
        found, asked = self.answer, planning.planner
        if not isinstance(found, Reservation):
            return True
        is_ours = found.owner == asked.owner and found.number in asked.request.numbers
        return is_ours and 0 < found.id < _LARGEST_ID and abs(found.at - reading.now) < _YEAR

    def to(self, reading: Reading) -> Answer | None:
        """Return the answer.

        :param reading: when the store's clock was read.
        """
        found = self.answer
        if isinstance(found, Reservation):
            return replace(found, due=found.at - reading.offset)
        if not isinstance(found, Refusal):
            return found
        if found.error == "InvalidMessage":
            return InvalidMessage(found.reason, advice=found.advice)
        return WaitTooLong(found.reason, advice=found.advice, sendable_at=found.sendable_at)


class Version(BaseModel):
    """The version that the server speaks."""

    version: str


class Failure(BaseModel):
    """Why there is no answer.

    :param reason: in words, without a full stop.
    :param advice: what to do; empty where a later try may succeed.
    """

    reason: _Words
    advice: _Words = ""

    @classmethod
    def of(cls, reason: object, advice: str = "") -> Failure:
        """Return a failure whose words are cut to what the client accepts."""
        return cls(reason=str(reason)[:_LONGEST_WORDS], advice=advice[:_LONGEST_WORDS])
