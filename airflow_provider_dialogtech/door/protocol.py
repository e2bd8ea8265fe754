"""What the two sides of the door say to each other: names, values and their bounds. Both read it.

Statements travel by name, never as SQL, and only those that are named here. Keys, numbers and bodies travel as digests.
Times travel as seconds from now, since the two sides share no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from airflow_provider_dialogtech.exceptions import InvalidMessage, WaitTooLong
from airflow_provider_dialogtech.journal.backend import ByStore, ClockReadings, Reading, Statement
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.planner import Answer, Planner, Planning, Step
from airflow_provider_dialogtech.journal.records import NamedRequest, Origin, Record, Reservation
from airflow_provider_dialogtech.journal.statements import STATEMENTS
from airflow_provider_dialogtech.journal.states import State

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

READS = frozenset({"before_reserving", "find", "get", "now", "alert_question"})
"""The questions that may be asked through the door."""
WRITES = frozenset(
    {"start", "settle", "settle_lost", "release", "doubt", "prune"}
    | {f"alert_{name}" for name in ("grant", "grant_first", "claim", "claim_first", "note", "note_first", "suppress")}
    | {f"alert_{name}" for name in ("suppress_first", "suppress_anew", "take_grant_back", "take_claim_back")}
    | {"alert_forget_grants", "alert_prune"}
)
"""The writes that may be made through it; the rest is the planner's."""

_NULLABLE = frozenset(
    {"of_body_key", "seen_claim", "new_claim"} | {f"new_{name}_since" for name in ("reported", "suppressed", "failing")}
)
_TOKENS = frozenset({"of_owner", "of_claim", "new_claim", "new_last_suppressed", "new_resolution"})
_LARGEST_NUMBER = 2**31 - 1
_LARGEST_FLOAT = 1e12
_LARGEST_DETAIL = 16 * 1024

# Printable ASCII, as digests and tokens are. The store's columns are no longer.
_Digest = Annotated[str, StringConstraints(max_length=64, pattern=r"^[ -~]*$")]
_Token = Annotated[str, StringConstraints(max_length=32, pattern=r"^[ -~]*$")]
_Name = Annotated[str, StringConstraints(max_length=250, pattern=r"^[^\x00]*$")]
_Words = Annotated[str, StringConstraints(max_length=1000)]
_Detail = Annotated[str, StringConstraints(max_length=_LARGEST_DETAIL, pattern=r"^[^\x00]*$")]
_Number = Annotated[float, Field(ge=-_LARGEST_FLOAT, le=_LARGEST_FLOAT, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, le=366 * 86400, allow_inf_nan=False)]
_Count = Annotated[int, Field(strict=True, ge=-1, le=_LARGEST_NUMBER)]
_Timeout = Annotated[float, Field(gt=0, le=LONGEST, allow_inf_nan=False)]


class Malformed(ValueError):
    """A request that no client of this version makes."""


def is_spoken(version: str) -> bool:
    """Return whether this side understands the other: one minor version older or newer.

    :param version: what the other says of itself.
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
    values: dict[_Token, _Detail | Annotated[int, Field(strict=True)] | _Number | None] = Field(max_length=64)

    @classmethod
    def of(cls, statement: Statement) -> NamedStatement:
        return cls.model_construct(name=_names()[id(statement.sql)], values=dict(statement.values))

    def statement(self, allowed: frozenset[str]) -> Statement:
        """Return the statement.

        :param allowed: the names that are.
        :raises Malformed: when its name is not among them, or its values are not its own.
        """
        if self.name not in allowed:
            raise Malformed(f"there is no statement of the name {self.name}")
        kinds = _kinds_of(self.name)
        for parameter, kind in kinds.items():
            if parameter not in self.values or not _fits(parameter, kind, self.values[parameter]):
                raise Malformed(f"{self.name} has no valid {parameter}")
        return Statement(STATEMENTS[self.name], {parameter: self.values[parameter] for parameter in kinds})


def _fits(name: str, kind: type, value: Any) -> bool:
    if value is None:
        return name in _NULLABLE
    if kind is str:
        longest = _LARGEST_DETAIL if name == "new_detail" else 32 if name in _TOKENS else 64
        return isinstance(value, str) and len(value) <= longest and value.isascii() and value.isprintable()
    if kind is int:
        return isinstance(value, int) and -1 <= value <= _LARGEST_NUMBER
    return isinstance(value, (int, float)) and abs(value) <= _LARGEST_FLOAT


@lru_cache(maxsize=1)
def _names() -> dict[int, str]:
    return {id(sql): name for name, sql in STATEMENTS.items()}


@lru_cache(maxsize=64)
def _kinds_of(name: str) -> Mapping[str, type]:
    """Return the parameters of a statement, and of which type each is."""
    from sqlalchemy.dialects import postgresql

    sql = STATEMENTS[name]
    statement: Any = sql.postgres[-1] if isinstance(sql, ByStore) else sql
    dialect: Any = postgresql
    compiled = statement.compile(dialect=dialect.dialect())
    # What has a value already is a constant of the statement.
    return {key: bind.type.python_type for key, bind in compiled.binds.items() if bind.required}


class Do(BaseModel):
    """Write, all of it or nothing."""

    statements: list[NamedStatement] = Field(min_length=1, max_length=MOST_WRITES)
    lock: _Digest | None = None
    timeout: _Timeout


class Done(BaseModel):
    """Whether it changed anything: how many rows the last of the statements did."""

    changed: int


class Ask(BaseModel):
    """Ask a question."""

    statement: NamedStatement
    timeout: _Timeout


class Rows(BaseModel):
    """The rows of its answer, and the names of their columns."""

    columns: list[str]
    rows: list[list[str | int | float | None]]


# The time


class Now(BaseModel):
    """Ask for the store's time."""

    timeout: _Timeout


class Time(BaseModel):
    """When the store's clock was read, and how wrong that may be.

    :param now: what it said, in seconds since 1970.
    :param ago: how many seconds before this answer left.
    :param error: by how many seconds that may be wrong at most.
    :param held: how many seconds the server took for this answer.
    """

    now: _Number
    ago: _Number
    error: _Seconds
    held: _Seconds

    @classmethod
    def of(cls, reading: Reading, arrived: float, leaves: float) -> Time:
        """Tell a reading.

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
        # The answer left between then and now; by how much the ways there and back differ is not known.
        return Reading(self.now, answered - way / 2 - self.ago, way + 2 * self.error)


class NowIs(BaseModel):
    """The store's time."""

    time: Time


# The planner


class _Origin(BaseModel):
    dag_id: _Name
    run_id: _Name
    task_id: _Name
    map_index: _Count
    loop_index: _Count


class _Request(BaseModel):
    account: _Digest
    key: _Digest
    numbers: list[_Digest] = Field(min_length=1, max_length=MOST_NUMBERS)
    recipient: _Digest
    recipient_tail: Annotated[str, StringConstraints(max_length=4, pattern=r"^[ -~]*$")]
    digest: _Digest
    is_alert: bool
    origin: _Origin
    is_held_back: bool
    body_key: _Digest | None


class _Limits(BaseModel):
    account_per_second: _Count
    number_per_second: _Count
    number_per_minute: _Count
    alert_reserve: _Count | None


class _Held(BaseModel):
    id: _Count
    number: _Digest
    at: _Number
    due_in: _Number


class Reserve(BaseModel):
    """A question to the planner."""

    request: _Request
    limits: _Limits
    owner: _Token
    namespace: _Name
    resend: bool
    after: _Token | None
    max_wait: _Seconds | None
    longest_pause: _Seconds | None
    step: Step
    head_start: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
    held: _Held | None
    outcome: State
    detail: _Detail
    timeout: _Timeout

    @classmethod
    def of(cls, planning: Planning, reading: Reading, now: float, timeout: float) -> Reserve:
        """Put a question into words.

        :param planning: the question.
        :param reading: when the store's clock was read last.
        :param now: the time on this process's monotonic clock.
        :param timeout: for how many seconds the answer is waited for.
        """
        planner, held = planning.planner, planning.held
        return cls.model_validate(
            {
                "request": {**asdict(planner.request), "numbers": list(planner.request.numbers)},
                "limits": asdict(planner.limits),
                **{name: getattr(planner, name) for name in ("owner", "namespace", "resend", "after", "longest_pause")},
                "max_wait": None if planner.max_wait is None else max(0.0, planner.max_wait),
                "step": planning.step,
                "head_start": planning.head_start(reading),
                "held": None
                if held is None
                else {"id": held.id, "number": held.number, "at": held.at, "due_in": held.due - now},
                "outcome": planning.outcome,
                "detail": planning.detail,
                "timeout": timeout,
            }
        )

    def planning(self, readings: ClockReadings, now: float) -> Planning:
        """Return the question.

        :param readings: what the server has read of the store's clock.
        :param now: the time on the server's monotonic clock.
        :raises Malformed: when it is none.
        """
        asked, held = self.request, self.held
        if (self.step != "plan") != (held is not None) or (held is not None and held.number not in asked.numbers):
            raise Malformed("its reservation is missing, or not its own")
        try:
            limits = RateLimits(**self.limits.model_dump())
        except ValueError as error:
            raise Malformed(str(error)) from None
        origin = Origin(**asked.origin.model_dump())
        values = asked.model_dump() | {"numbers": tuple(asked.numbers), "origin": origin}
        planner = Planner(
            NamedRequest(**values),
            limits,
            self.owner,
            self.resend,
            self.after,
            self.max_wait,
            self.longest_pause,
            readings,
            self.namespace,
        )
        reservation = None
        if held is not None:
            reservation = Reservation(held.id, self.owner, held.number, held.at, now + held.due_in)
        return Planning(planner, self.step, lambda _: self.head_start, reservation, self.outcome, self.detail)


class _Slot(BaseModel):
    kind: Literal["slot"] = "slot"
    id: int
    number: _Digest
    at: _Number


class _Known(BaseModel):
    kind: Literal["known"] = "known"
    record: dict[str, str | int | float | None]


class _Refusal(BaseModel):
    kind: Literal["refusal"] = "refusal"
    error: Literal["InvalidMessage", "WaitTooLong"]
    reason: _Words
    advice: _Words
    sendable_at: _Number | None


class Decided(BaseModel):
    """What the planner decided."""

    time: Time
    answer: Annotated[_Slot | _Known | _Refusal, Field(discriminator="kind")] | None

    @classmethod
    def of(cls, answer: Answer | None, time: Time) -> Decided:
        found: Any = None
        if isinstance(answer, Reservation):
            found = _Slot(id=answer.id, number=answer.number, at=answer.at)
        elif isinstance(answer, Record):
            found = _Known(record=asdict(answer))
        elif answer is not None:
            at = answer.sendable_at if isinstance(answer, WaitTooLong) else None
            found = _Refusal(
                error="InvalidMessage" if isinstance(answer, InvalidMessage) else "WaitTooLong",
                reason=answer.reason,
                advice=answer.advice,
                sendable_at=None if at is None else at.timestamp(),
            )
        return cls(time=time, answer=found)

    def to(self, owner: str, best: Reading) -> Answer | None:
        """Return the answer.

        :param owner: the token of the reservation that was asked for.
        :param best: the most exact of what is known of the store's clock.
        """
        found = self.answer
        if isinstance(found, _Slot):
            return Reservation(found.id, owner, found.number, found.at, found.at - best.offset)
        if isinstance(found, _Known):
            values = {name: found.record.get(name) for name in Record.__dataclass_fields__}
            return Record(**{**values, "state": State(values["state"])})  # type: ignore[arg-type]
        if found is None:
            return None
        if found.error == "InvalidMessage":
            return InvalidMessage(found.reason, advice=found.advice)
        at = None if found.sendable_at is None else datetime.fromtimestamp(found.sendable_at, timezone.utc)
        return WaitTooLong(found.reason, advice=found.advice, sendable_at=at)


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
