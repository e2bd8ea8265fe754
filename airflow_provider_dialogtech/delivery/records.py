"""What goes into the journal for a text, and what comes out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from airflow_provider_dialogtech.delivery import statements
from airflow_provider_dialogtech.delivery.origin import NO_TASK, Origin
from airflow_provider_dialogtech.masking import digest

State = Literal["reserved", "sending", "sent", "refused", "throttled", "in_doubt", "released", "unsent", "held_back"]

# Such a row takes no place in the limits: its text has no slot, or has it no more.
WITHOUT_SLOT: tuple[State, ...] = ("released", "held_back")

# The other side's clock and a busy machine get this long after a request's deadline before the text counts as in doubt.
GRACE = 5.0
# A reservation this long past its slot belongs to a process that is gone: whoever comes late takes a new slot.
ABANDONED = 1.0
# A text is started at most so long before its slot, so a request is over this long after its row was written.
_LONGEST_LEAD = 10.0


def number_name(account: str, number: str) -> str:
    """Return the journal's name of a number.

    :param account: the journal's name of its account.
    :param number: the number, in digits.
    """
    return digest(account, number)


@dataclass(frozen=True)
class SlotRequest:
    """A text that needs a slot.

    :param key: its idempotency key.
    :param numbers: the numbers it may leave from; the one whose slot comes first is taken.
    :param recipient: the number it goes to.
    :param text: what it says. Only a digest of it is stored.
    :param is_alert: whether it goes before everything that is no alert.
    :param origin: the task that it belongs to.
    :param is_held_back: whether it is only written down, since its recipient must not be texted.
    """

    key: str
    numbers: tuple[str, ...] = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    is_alert: bool = False
    origin: Origin = NO_TASK
    is_held_back: bool = False

    @property
    def digest(self) -> str:
        """The journal's name of recipient and text together."""
        return digest(self.recipient, self.text)

    @property
    def recipient_digest(self) -> str:
        """The journal's name of the recipient."""
        return digest("recipient", self.recipient)


@dataclass(frozen=True)
class Reservation:
    """A slot that is ours as long as nobody takes it.

    :param id: its row in the journal.
    :param owner: this reservation's own token.
    :param number: the number the text leaves from.
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
    """What the journal knows of a text.

    :param id: its row.
    :param owner: the token of the reservation.
    :param at: when it left, or was to leave, in seconds since 1970.
    :param age: seconds since then, on the journal's clock.
    :param undecided_for: for how many seconds at most its process may still be at it.
    """

    id: int
    owner: str
    state: State
    digest: str
    recipient_tail: str
    detail: Mapping[str, Any]
    at: float
    age: float
    undecided_for: float

    @property
    def since(self) -> datetime:
        """When it left, or was to leave; 1970 where somebody has written a time into the journal that is none."""
        try:
            return datetime.fromtimestamp(self.at, timezone.utc)
        except (OverflowError, OSError, ValueError, TypeError):
            return datetime.fromtimestamp(0, timezone.utc)


class JournalRow:
    """A text's row, as the journal's JSON has it."""

    def __init__(self, values: list[Any]) -> None:
        self.__dict__.update(zip(statements.KEY_COLUMNS, values, strict=True))

    id: int
    account: str
    number: str
    at: float
    state: State
    owner: str
    digest: str
    recipient: str
    recipient_tail: str
    detail: str
    deadline: float
    created: float
    displaced: int

    @classmethod
    def of(cls, found: str) -> JournalRow | None:
        """Read what the journal found under a key."""
        rows = json.loads(found)
        return cls(rows[0]) if rows else None

    def record(self, now: float) -> Record:
        """Return what may be shown of it."""
        return Record(
            self.id,
            self.owner,
            self.state,
            self.digest,
            self.recipient_tail,
            mapping_of(self.detail),
            self.at,
            now - self.at,
            self._undecided_for(now),
        )

    def is_overdue(self, now: float) -> bool:
        """Return whether its request must be over, so that its own process will not record its outcome any more."""
        return self.state == "sending" and self._undecided_for(now) <= 0

    def _undecided_for(self, now: float) -> float:
        if self.state == "reserved":
            return max(0.0, self.at + ABANDONED - now)
        if self.state != "sending":
            return 0.0
        # Not longer than a request can take, where a clock was set back meanwhile.
        return max(0.0, min(self.deadline + GRACE - now, self.deadline - self.at + GRACE + _LONGEST_LEAD))


def mapping_of(detail: str) -> Mapping[str, Any]:
    """Read a row's detail; one that somebody has tampered with says nothing."""
    try:
        found = json.loads(detail)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}
