"""What `reserve` decides, from what the journal knows: the key's earlier text, or a slot. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow_provider_dialogtech.delivery import records, statements
from airflow_provider_dialogtech.delivery.clock_readings import Reading
from airflow_provider_dialogtech.delivery.limits import LONGEST_WINDOW, RateLimits
from airflow_provider_dialogtech.delivery.line import MOST_DISPLACED, Line, Place, Slot
from airflow_provider_dialogtech.delivery.records import (
    JournalRow,
    Record,
    Reservation,
    SlotRequest,
    State,
    number_name,
)
from airflow_provider_dialogtech.delivery.store import Statement
from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidMessage, WaitTooLong

# Times pass through JSON, which may round them.
_CLOCK_ERROR = 0.001

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
        else:  # a row of the version before 0.1.0
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
            and row["state"] not in records.WITHOUT_SLOT
            and not (row["state"] == "reserved" and row["at"] < now - records.ABANDONED)
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
        return number_name(self.account, number)


def _too_long(at: float, max_wait: float) -> WaitTooLong:
    sendable_at = datetime.fromtimestamp(at, timezone.utc)
    return WaitTooLong(
        f"the next slot is at {sendable_at:%Y-%m-%d %H:%M:%S} UTC, later than max_wait ({max_wait:g} s) allows",
        advice="Retry after that.",
        sendable_at=sendable_at,
    )
