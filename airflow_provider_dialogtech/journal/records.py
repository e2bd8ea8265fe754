"""A message's request, its reservation, and its row in the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from typing import Any

from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.masking import clean, digest

# Clock differences and a busy machine get this long after a request's deadline before the message is in doubt.
GRACE = 5.0
# A reservation this long past its slot belongs to a process that is gone: a late process takes a new slot.
ABANDONED = 1.0
# A message is started at most this long before its slot, so a request is over this long after its row was written.
LONGEST_LEAD = 10.0

NO_INDEX = -1
_LONGEST_REASON = 250


def number_name(account: str, number: str) -> str:
    """Return the journal's name of a number.

    :param account: the journal's name of its account.
    :param number: the number, in digits.
    """
    return digest(account, number)


def stored_key(key: str) -> str:
    """Return the name under which the journal stores an idempotency key."""
    return digest(key)


def task_name(task_id: str, map_index: int, loop_index: int = NO_INDEX, label: str = "") -> str:
    """Return how people read the name of a task instance: `load`, `load[3]`, `load[emea] (iteration 2)`.

    :param task_id: the task.
    :param map_index: which of a mapped task's instances; -1 when it is not mapped.
    :param loop_index: which iteration of a loop; -1 outside a loop.
    :param label: the mapped instance's label, as `map_index_template` renders it. Empty where there is none.
    """
    instance = "" if map_index < 0 else f"[{label or map_index}]"
    return f"{task_id}{instance}" + ("" if loop_index < 0 else f" (iteration {loop_index})")


@dataclass(frozen=True)
class Origin:
    """The task that a message comes from, so that a person can find the one from the other. Outside a task it is empty.

    :param dag_id: its DAG.
    :param run_id: the DAG's run.
    :param task_id: its name.
    :param map_index: which of a mapped task's instances; -1 when it is not mapped.
    :param loop_index: which iteration of a loop; -1 outside a loop.
    """

    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = NO_INDEX
    loop_index: int = NO_INDEX


NO_TASK = Origin()


@dataclass(frozen=True)
class SlotRequest:
    """A message that needs a slot.

    :param key: its idempotency key.
    :param numbers: the numbers it may be sent from; the one whose slot comes first is taken.
    :param recipient: the number it goes to.
    :param body: its content. Only a digest of it is stored.
    :param is_alert: whether it goes before all messages that are not alerts.
    :param origin: the task that it belongs to.
    :param is_held_back: whether it is only recorded, because `only_to` excludes its recipient.
    :param body_key: another name of the message: one with the same body key is the same message, whatever its key. None
        where the key alone decides.
    """

    key: str
    numbers: tuple[str, ...] = field(repr=False)
    recipient: str = field(repr=False)
    body: str = field(repr=False)
    is_alert: bool = False
    origin: Origin = NO_TASK
    is_held_back: bool = False
    body_key: str | None = None

    @property
    def digest(self) -> str:
        """The journal's name of recipient and body together."""
        return digest(self.recipient, self.body)

    @property
    def recipient_digest(self) -> str:
        """The journal's name of the recipient."""
        return digest("recipient", self.recipient)

    def named(self, account: str) -> NamedRequest:
        """Return the same as the journal knows it.

        :param account: the journal's name of its account.
        """
        return NamedRequest(
            account=account,
            key=stored_key(self.key),
            numbers=tuple(number_name(account, number) for number in self.numbers),
            recipient=self.recipient_digest,
            recipient_tail=self.recipient[-4:],
            digest=self.digest,
            is_alert=self.is_alert,
            origin=self.origin,
            is_held_back=self.is_held_back,
            body_key=self.body_key,
        )


@dataclass(frozen=True)
class NamedRequest:
    """A message that needs a slot, in the journal's names: its key, its numbers and its body cannot be read from them.

    :param account: its account.
    :param key: its idempotency key.
    :param numbers: the numbers it may be sent from.
    :param recipient: the number it goes to.
    :param recipient_tail: the last four digits of that.
    :param digest: recipient and body together.
    :param is_alert: as in `SlotRequest`.
    :param origin: as in `SlotRequest`.
    :param is_held_back: as in `SlotRequest`.
    :param body_key: as in `SlotRequest`.
    """

    account: str
    key: str
    numbers: tuple[str, ...]
    recipient: str
    recipient_tail: str
    digest: str
    is_alert: bool = False
    origin: Origin = NO_TASK
    is_held_back: bool = False
    body_key: str | None = None

    @property
    def names(self) -> dict[str, str | None]:
        """What its earlier attempt is found by."""
        return {"of_key": self.key, "of_body_key": self.body_key}


@dataclass(frozen=True)
class Reservation:
    """A slot that this process holds, unless an alert or a retry takes it.

    :param id: its row in the journal.
    :param owner: this reservation's own token.
    :param number: the number the message is sent from.
    :param at: the slot on the journal's clock, in seconds since 1970.
    :param due: the slot on this process's monotonic clock, in seconds.
    """

    id: int
    owner: str
    number: str = field(repr=False)
    at: float
    due: float


@dataclass(frozen=True)
class Record:
    """A message's row in the journal, as it was read.

    :param id: its row.
    :param account: the journal's name of its account.
    :param number: the journal's name of the number it is sent from.
    :param at: when it was sent, or is to be, on the journal's clock, in seconds since 1970.
    :param state: its state.
    :param key: the journal's name of its idempotency key; None once a later attempt has taken it.
    :param owner: the token of its reservation.
    :param digest: the journal's name of recipient and body together.
    :param recipient: the journal's name of its recipient.
    :param recipient_tail: the last four digits of its recipient.
    :param detail: the stored details of its outcome.
    :param deadline: when its request is over at the latest.
    :param created: when the row was written.
    :param priority: 1 for an alert.
    :param displaced: how often an alert has taken its slot.
    :param body_key: the name that it has beside its key, as in `SlotRequest`.
    :param read_at: when it was read, on the journal's clock.
    """

    id: int
    account: str = field(repr=False)
    number: str = field(repr=False)
    at: float
    state: State
    key: str | None = field(repr=False)
    owner: str = field(repr=False)
    digest: str = field(repr=False)
    recipient: str = field(repr=False)
    recipient_tail: str
    detail: str = field(repr=False)
    deadline: float
    created: float
    priority: int
    displaced: int
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    loop_index: int
    body_key: str | None = field(repr=False)
    read_at: float

    @classmethod
    def of(cls, row: Sequence[Any]) -> Record:
        """Make a record of a row: the values of `COLUMNS`, and when they were read."""
        values = dict(zip(COLUMNS, row, strict=False))
        return cls(**{**values, "state": State(values["state"])}, read_at=row[len(COLUMNS)])

    @property
    def outcome(self) -> Mapping[str, Any]:
        """The details of its outcome; empty if the stored value is not valid."""
        try:
            found = json.loads(self.detail)
        except (ValueError, RecursionError):
            found = None
        return found if isinstance(found, dict) else {}

    @property
    def when(self) -> datetime:
        """When it was sent, or is to be; 1970 if the stored value is not a time."""
        try:
            return datetime.fromtimestamp(self.at, timezone.utc)
        except (OverflowError, OSError, ValueError, TypeError):
            return datetime.fromtimestamp(0, timezone.utc)

    @property
    def is_alert(self) -> bool:
        """Whether it is an alert."""
        return bool(self.priority)

    @property
    def is_current(self) -> bool:
        """Whether it still holds its idempotency key: no later attempt has taken it."""
        return self.key is not None

    @property
    def is_overdue(self) -> bool:
        """Whether its request must be over, so that its own process will not record its outcome any more."""
        return self.state is State.SENDING and self.undecided_for <= 0

    @property
    def given_up(self) -> Record:
        """The same record, in doubt."""
        return replace(self, state=State.IN_DOUBT)

    @property
    def undecided_for(self) -> float:
        """For how many seconds at most its process may still work on it."""
        if self.state is State.RESERVED:
            return max(0.0, self.at + ABANDONED - self.read_at)
        if self.state is not State.SENDING:
            return 0.0
        # Not longer than a request can take, where a clock was set back meanwhile.
        return max(0.0, min(self.deadline + GRACE - self.read_at, self.deadline - self.at + GRACE + LONGEST_LEAD))

    @property
    def reason(self) -> str:
        """Why it is in its state, in a few words, on one line."""
        if self.state is State.RESERVED and self.read_at - self.at > ABANDONED:
            return "not sent; its process is gone, so the next attempt takes it over"
        settled_by = self.outcome.get("settled_by")
        if isinstance(settled_by, str):
            return clean(f"settled by {settled_by[:_LONGEST_REASON]}")
        described = self.outcome.get("result_description")
        # The stored value may be anything.
        return (clean(described[:_LONGEST_REASON]) if isinstance(described, str) else "") or _REASONS[self.state]


def earlier_attempt(rows: Iterable[Sequence[Any]], body_key: str | None) -> Record | None:
    """Return the earlier attempt of a message: the one with its body key, which another instance of its mapped task may
    have made under another key, else the one with its key.

    :param rows: both as they were read, where there are any.
    :param body_key: the message's.
    """
    records = [Record.of(row) for row in rows]
    return max(records, key=lambda record: body_key is not None and record.body_key == body_key, default=None)


_REASONS = {
    State.RESERVED: "waits for its slot",
    State.SENDING: "its request was sent, or is about to be",
    State.SENT: "",
    State.REFUSED: "DialogTech gave no reason",
    State.THROTTLED: "DialogTech throttled it",
    State.IN_DOUBT: "its request was sent, and no outcome is known",
    State.RELEASED: "not sent; its slot was given back",
    State.UNSENT: "",
    State.HELD_BACK: "the connection's only_to does not name its recipient",
}

COLUMNS = tuple(column.name for column in fields(Record))[:-1]
"""The columns of a row that a `Record` has, in its order."""
