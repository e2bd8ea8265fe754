"""What `reserve` decides, from what the journal knows: the key's earlier text, or a slot. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from airflow_provider_dialogtech.delivery import statements
from airflow_provider_dialogtech.delivery.limits import LONGEST_WINDOW, RateLimits
from airflow_provider_dialogtech.delivery.line import MOST_DISPLACED, Line, Place, Slot
from airflow_provider_dialogtech.delivery.origin import NO_TASK, Origin
from airflow_provider_dialogtech.delivery.store import Reading, Statement
from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidMessage, WaitTooLong
from airflow_provider_dialogtech.masking import digest

State = Literal["reserved", "sending", "sent", "refused", "throttled", "in_doubt", "released", "unsent", "held_back"]

# The other side's clock and a busy machine get this long after a request's deadline before the text counts as in doubt.
GRACE = 5.0
# A reservation this long past its slot belongs to a process that is gone: whoever comes late takes a new slot.
ABANDONED = 1.0
# A text is started at most so long before its slot, so a request is over this long after its row was written.
_LONGEST_LEAD = 10.0
# Times pass through JSON, which may round them.
_CLOCK_ERROR = 0.001


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
            _mapping(self.detail),
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


def _mapping(detail: str) -> Mapping[str, Any]:
    """Read a row's detail; one that somebody has tampered with says nothing."""
    try:
        found = json.loads(detail)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


Answer = Reservation | Record | DialogTechError


@dataclass
class Planner:
    """Decides on one request.

    :param request: the text.
    :param account: the journal's name of its account.
    :param limits: what the account may send.
    :param owner: the token of the reservation to be made.
    :param resend: whether a text in doubt may be sent again.
    :param after: the reservation that this one replaces; its request has certainly not left.
    :param max_wait: reserve nothing when the slot is more than so many seconds away.
    """

    request: SlotRequest
    account: str
    limits: RateLimits
    owner: str
    resend: bool = False
    after: Reservation | None = None
    max_wait: float | None = None

    def plan(self, row: Any, reading: Reading, head_start: float) -> tuple[Answer, list[Statement]]:
        """Decide.

        :param row: the answer to `BEFORE_RESERVING`.
        :param reading: when the journal's clock was read.
        :param head_start: how many seconds the slot must be away at least.
        """
        now = reading.now
        line = [dict(zip(statements.LINE_COLUMNS, values, strict=True)) for values in json.loads(row.line)]
        earlier = JournalRow.of(row.text)
        writes = self._follow_clock(now, line, earlier)
        if earlier is not None:
            if earlier.owner == self.owner and self.request.is_held_back:
                return earlier.record(now), []
            if earlier.owner == self.owner:
                # The answer to this reservation's own COMMIT was lost.
                return self._reservation(earlier.id, earlier.at, self._index_of(earlier.number), reading), []
            answer, freed = self._by_earlier_text(earlier, now)
            writes += freed
            if answer is not None:
                return answer, writes
        if self.request.is_held_back:
            return self._hold_back(row.next_id, now, writes)
        account, changed = self._account(json.loads(row.account), reading)
        writes += changed
        slot = self._slot(line, now, head_start, account, without=earlier)
        if self.max_wait is not None and slot.at - now > self.max_wait + head_start:
            return _too_long(slot.at, self.max_wait), writes
        writes += [Statement(statements.DISPLACE, {"of_id": id_}) for id_ in slot.displaced]
        writes.append(self._insert(row.next_id, slot, now, earlier))
        return self._reservation(row.next_id, slot.at, slot.number, reading), writes

    def _follow_clock(self, now: float, line: list[dict[str, Any]], earlier: JournalRow | None) -> list[Statement]:
        """Where the journal's clock was set back, move the texts back that it has written while it was ahead."""
        by = max((row["created"] for row in line), default=now) - now
        if by < _CLOCK_ERROR:
            return []
        for row in line:
            if row["created"] > now:
                row["at"] -= by
        if earlier is not None and earlier.account == self.account and earlier.created > now:
            earlier.at -= by
            earlier.deadline -= by
        return [Statement(statements.SHIFT_LINE, {"of_account": self.account, "by": by})]

    def _by_earlier_text(self, earlier: JournalRow, now: float) -> tuple[Answer | None, list[Statement]]:
        """Decide by the key's earlier text: an answer, or None and what frees the key."""
        of_row = {"of_id": earlier.id, "of_owner": earlier.owner}
        if self._is_ours_and_unsent(earlier):
            return None, [Statement(statements.RELEASE_OURS, of_row)]
        writes = []
        if earlier.is_overdue(now):
            writes = [Statement(statements.DOUBT, of_row)]
            earlier.state = "in_doubt"
        record = earlier.record(now)
        is_elsewhere = earlier.state == "sending" or (
            # Whoever lost the text to another process leaves it there; whoever is new takes it over.
            earlier.state == "reserved" and self.after is not None and record.undecided_for > 0
        )
        if is_elsewhere or earlier.state == "sent" or (earlier.state == "in_doubt" and not self.resend):
            return self._mismatch(earlier) or record, writes
        if earlier.state == "reserved":
            return None, [Statement(statements.TAKE_OVER, of_row)]
        return None, [*writes, Statement(statements.TAKE_KEY, {**of_row, "in_state": earlier.state})]

    def _is_ours_and_unsent(self, earlier: JournalRow) -> bool:
        """Return whether this is the row of the reservation that this one replaces, and no byte of it has left."""
        return (
            self.after is not None
            and earlier.owner == self.after.owner
            and earlier.state in {"reserved", "sending", "in_doubt", "released"}
        )

    def _mismatch(self, earlier: JournalRow) -> InvalidMessage | None:
        if earlier.recipient:
            is_same = earlier.recipient == self.request.recipient_digest
        else:  # a row of the first release
            is_same = earlier.recipient_tail == self.request.recipient[-4:]
        if is_same:
            return None
        return InvalidMessage(
            f"its idempotency_key belongs to a text to …{earlier.recipient_tail}, and this one goes to "
            f"…{self.request.recipient[-4:]}",
            advice="Give each recipient an idempotency_key of its own.",
        )

    def _account(self, found: list[list[float]], reading: Reading) -> tuple[dict[str, float], list[Statement]]:
        """Return the account's pause and wider windows, corrected where a clock was set."""
        now = reading.now
        values = found[0] if found else [0.0, 0.0, 0.0]
        account = dict(zip(statements.ACCOUNT_COLUMNS, values, strict=True))
        until = account["paused_until"] if account["paused_until"] <= now + LONGEST_WINDOW else now
        if reading.ahead:
            # What was sent in the last minute seems to be long ago; as much time must pass once more.
            until = now + LONGEST_WINDOW
        widened = min(account["widened_until"], now + statements.WIDENED_FOR)
        corrected = {"extra_margin": account["extra_margin"], "widened_until": widened, "paused_until": until}
        if not found or corrected == account:
            return corrected, []
        values_to_write = {"of_account": self.account, "until": until, "widened": widened}
        return corrected, [Statement(statements.PAUSE_UNTIL, values_to_write)]

    def _slot(
        self,
        rows: list[dict[str, Any]],
        now: float,
        head_start: float,
        account: Mapping[str, float],
        *,
        without: JournalRow | None,
    ) -> Slot:
        # Of a text that has not left, only its newest row counts.
        is_unused = without is not None and (without.state == "reserved" or self._is_ours_and_unsent(without))
        unused = without.id if without is not None and is_unused else None
        places = [
            Place(
                row["id"],
                row["number"],
                row["at"],
                may_move=row["state"] == "reserved" and not row["priority"] and row["displaced"] < MOST_DISPLACED,
                is_alert=bool(row["priority"]),
            )
            for row in rows
            if row["id"] != unused
            and row["state"] not in {"released", "held_back"}
            and not (row["state"] == "reserved" and row["at"] < now - ABANDONED)
        ]
        extra_margin = account["extra_margin"] if account["widened_until"] > now else 0.0
        line = Line(places, self.limits, extra_margin)
        find = line.slot_for_alert if self.request.is_alert else line.slot
        numbers = [self.name_of(number) for number in self.request.numbers]
        return find(numbers, max(now + head_start, account["paused_until"]))

    def _hold_back(self, id_: int, now: float, writes: list[Statement]) -> tuple[Answer, list[Statement]]:
        """Write the text down under its key, without a slot."""
        insert = self._insert(id_, Slot(now, 0), now, None, state="held_back")
        held_back = JournalRow([insert.values[name] for name in statements.KEY_COLUMNS])
        return held_back.record(now), [*writes, insert]

    def _insert(
        self, id_: int, slot: Slot, now: float, earlier: JournalRow | None, state: State = "reserved"
    ) -> Statement:
        request = self.request
        values = {
            "id": id_,
            "account": self.account,
            "number": self.name_of(request.numbers[slot.number]),
            "at": slot.at,
            "state": state,
            "key": statements.stored_key(request.key),
            "owner": self.owner,
            "attempt": 1,
            "digest": request.digest,
            "recipient": request.recipient_digest,
            "recipient_tail": request.recipient[-4:],
            "detail": "{}",
            "deadline": slot.at,
            "updated": now,
            "created": now,
            "priority": int(request.is_alert),
            "displaced": earlier.displaced if earlier is not None and earlier.state == "released" else 0,
            "dag_id": request.origin.dag_id,
            "run_id": request.origin.run_id,
            "task_id": request.origin.task_id,
            "map_index": request.origin.map_index,
        }
        return Statement(statements.INSERT, values)

    def _reservation(self, id_: int, at: float, index: int, reading: Reading) -> Reservation:
        return Reservation(id_, self.owner, self.request.numbers[index], at, reading.at + at - reading.now)

    def _index_of(self, number_digest: str) -> int:
        names = [self.name_of(number) for number in self.request.numbers]
        return names.index(number_digest)

    def name_of(self, number: str) -> str:
        """Return the journal's name of one of the account's numbers."""
        return digest(self.account, number)


def _too_long(at: float, max_wait: float) -> WaitTooLong:
    sendable_at = datetime.fromtimestamp(at, timezone.utc)
    return WaitTooLong(
        f"the next slot is at {sendable_at:%Y-%m-%d %H:%M:%S} UTC, later than max_wait ({max_wait:g} s) allows",
        advice="Retry after that.",
        sendable_at=sendable_at,
    )
