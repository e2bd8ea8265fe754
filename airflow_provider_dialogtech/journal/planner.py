"""What `reserve` decides, from what the journal knows: the key's earlier message, or a slot. No I/O."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple

from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidMessage, WaitTooLong
from airflow_provider_dialogtech.journal import records, statements, states
from airflow_provider_dialogtech.journal.backend import ClockReadings, Reading, Statement
from airflow_provider_dialogtech.journal.limits import LONGEST_WINDOW, RateLimits
from airflow_provider_dialogtech.journal.records import NamedRequest, Record, Reservation, earlier_attempt
from airflow_provider_dialogtech.journal.slots import MOST_DISPLACED, AccountSlots, Slot, TakenSlot
from airflow_provider_dialogtech.journal.states import WITHOUT_SLOT, State

# Times pass through JSON, which may round them.
_CLOCK_ERROR = 0.001

# This long after the clock was found to be set, messages that had left by then, or were about to, are outside every
# window of a second.
_SECOND_PASSED = 1.6

MOST_WAITING = 5_000
"""How many messages of an account may wait for their slots, and as many alerts: each reservation reads them all."""

Answer = Reservation | Record | DialogTechError
Step = Literal["plan", "restore", "take_key_back"]


@dataclass
class Planner:
    """Decides on one request.

    :param request: the message.
    :param limits: what the account may send.
    :param owner: the token of the reservation to be made.
    :param resend: whether a message in doubt may be sent again.
    :param after: the token of the reservation that this one replaces; its request has certainly not left.
    :param max_wait: reserve nothing when the slot is more than this many seconds away.
    :param longest_pause: for how many seconds at most a pause of the account is heeded; None heeds all of it.
    :param readings: what this process has read of the journal's clock.
    :param namespace: the name of the Airflow that sends, where several share the journal.
    """

    request: NamedRequest
    limits: RateLimits
    owner: str
    resend: bool = False
    after: str | None = None
    max_wait: float | None = None
    longest_pause: float | None = None
    readings: ClockReadings = field(default_factory=ClockReadings)
    namespace: str = ""

    def plan(self, row: Any, reading: Reading, head_start: float) -> tuple[Answer | None, list[Statement]]:
        """Decide.

        :param row: the answer to `BEFORE_RESERVING`.
        :param reading: when the journal's clock was read.
        :param head_start: how many seconds the slot must be away at least.
        :return: the answer, and what to write; no answer if the writes bring back messages that the answer depends on.
        """
        now, head_start = reading.now, head_start + reading.answered_in
        rows, earlier, account, writes = self._follow_clock(row, reading)
        if any(write.sql is statements.SHIFT_AHEAD for write in writes):
            return None, writes
        if earlier is not None and earlier.is_overdue and not self._is_ours_and_unsent(earlier):
            writes.append(Statement(statements.DOUBT, _of(earlier)))
            earlier = earlier.given_up
        if earlier is not None and (answer := self._by_earlier_message(earlier, reading)) is not None:
            return answer, writes
        freed = [] if earlier is None else [self._freeing(earlier)]
        if self.request.is_held_back:
            insert = self._insert(row.next_id, Slot(now, 0), now, earlier, State.HELD_BACK)
            return Record.of([*(insert.values[name] for name in records.COLUMNS), now]), [*writes, *freed, insert]
        waiting = self._waiting(rows, without=earlier)
        if len(waiting) >= MOST_WAITING:
            return _too_many(max(waiting)), writes
        slot = self._slot(rows, _left(row, now), now, head_start, account, without=earlier)
        if self.max_wait is not None and slot.at - now > self.max_wait + head_start:
            # Nothing is reserved, so an earlier attempt, which may still send, keeps the key.
            return _too_long(slot.at, self.max_wait), writes
        displaced = [Statement(statements.DISPLACE, {"of_id": id_}) for id_ in slot.displaced]
        insert = self._insert(row.next_id, slot, now, earlier, State.RESERVED)
        return (
            self._reservation(row.next_id, slot.at, self.request.numbers[slot.number], reading),
            [*writes, *freed, *displaced, insert],
        )

    def restore(self, row: Any, reading: Reading, state: State, detail: str, held: Reservation) -> list[Statement]:
        """Return the statements that restore a row that the journal has lost, with its outcome.

        :param row: the answer to `BEFORE_RESERVING`.
        :param reading: when the journal's clock was read.
        :param state: its outcome.
        :param detail: the details that the journal keeps.
        :param held: its reservation.
        """
        _, later, _, writes = self._follow_clock(row, reading)
        if later is not None and later.owner == held.owner:
            return writes  # only the answer was lost
        freed = _freed(later)
        # By this process's clock: the journal's may have been set since.
        left = reading.now + min(0.0, held.due - reading.at)
        slot = Slot(left, self.request.numbers.index(held.number))
        insert = self._insert(row.next_id, slot, reading.now, later, state)
        values = {**insert.values, "detail": detail, "key": None if freed is None else insert.values["key"]}
        return [*writes, *(freed or ()), Statement(insert.sql, values)]

    def take_key_back(self, row: Any, reading: Reading, held: Reservation) -> list[Statement]:
        """Return the statements that give a key, which a retry has taken, back to the message whose start was lost.

        The retry then finds that the message was sent, unless its own request may have left.
        """
        _, later, _, writes = self._follow_clock(row, reading)
        freed = _freed(later)
        if freed is None or (later is not None and later.owner == held.owner):
            return writes
        values = {"of_id": held.id, "of_owner": held.owner, "of_key": self._key(later)}
        return [*writes, *freed, Statement(statements.GIVE_KEY, values)]

    def _follow_clock(
        self, row: Any, reading: Reading
    ) -> tuple[list[dict[str, Any]], Record | None, dict[str, float], list[Statement]]:
        """Read the answer, and correct it if the journal's clock was set.

        :return: the recent messages that are undecided, the record of the attempt that has the key, the account, and
            what that writes.
        """
        now = reading.now
        rows = _changing(row)
        found = ([*values, now] for values in json.loads(row.message))
        earlier = earlier_attempt(found, self.request.body_key)
        # While it was ahead, the clock has written some messages. So has a statement that reached the store after this
        # one and was committed before this one read.
        by = max(map(_written, rows), default=now) - now
        if by < _CLOCK_ERROR + reading.answered_in:
            return rows, earlier, *self._account(row, reading)
        # Waiting messages take another slot anyway, because their processes have noticed it as well.
        moved = [row for row in rows if _written(row) > now or (row["state"] == State.RESERVED and row["at"] > now)]
        for each in moved:
            each["at"] -= by
        if earlier is not None and earlier.id in {each["id"] for each in moved}:
            earlier = replace(earlier, at=earlier.at - by, deadline=earlier.deadline - by)
        account, writes = self._account(row, reading, moved_by=by)
        return (
            rows,
            earlier,
            account,
            [Statement(statements.SHIFT_BACK, {"of_account": self.request.account, "by": by}), *writes],
        )

    def _by_earlier_message(self, earlier: Record, reading: Reading) -> Answer | None:
        """Answer by the key's earlier message, unless this one is to be sent."""
        if earlier.owner == self.owner:
            # The answer to this reservation's own COMMIT was lost.
            if self.request.is_held_back:
                return earlier
            return self._reservation(earlier.id, earlier.at, earlier.number, reading)
        if self._is_ours_and_unsent(earlier):
            return None
        is_elsewhere = earlier.state is State.SENDING or (
            # A process that lost the message to another one does not take it back; a new attempt takes it over.
            earlier.state is State.RESERVED and self.after is not None and earlier.undecided_for > 0
        )
        may_be_out = earlier.state is State.SENT or (earlier.state is State.IN_DOUBT and not self.resend)
        return (self._mismatch(earlier) or earlier) if is_elsewhere or may_be_out else None

    def _freeing(self, earlier: Record) -> Statement:
        """Return the statements that free the key of an earlier message."""
        if self._is_ours_and_unsent(earlier):
            return Statement(statements.RELEASE_OURS, _of(earlier))
        return _taking_key(earlier)

    def _is_ours_and_unsent(self, earlier: Record) -> bool:
        """Return whether this is the row of the reservation that this one replaces, and no byte of it was sent."""
        return self.after is not None and earlier.owner == self.after and earlier.state in states.before("release_ours")

    def _is_unused(self, earlier: Record) -> bool:
        return earlier.state is State.RESERVED or self._is_ours_and_unsent(earlier)

    def _key(self, earlier: Record | None) -> str:
        """Return the key for a new attempt's row, which an earlier attempt may have had."""
        return self.request.key if earlier is None or earlier.key is None else earlier.key

    def _mismatch(self, earlier: Record) -> InvalidMessage | None:
        if earlier.recipient == self.request.recipient:
            return None
        return InvalidMessage(
            f"its idempotency_key belongs to a message to …{earlier.recipient_tail}, and this one goes to "
            f"…{self.request.recipient_tail}",
            advice="Give each recipient an idempotency_key of its own.",
        )

    def _account(
        self, row: Any, reading: Reading, *, moved_by: float = 0.0
    ) -> tuple[dict[str, float], list[Statement]]:
        """Return the account's pause and wider windows, corrected where a clock was set, and what that writes.

        :param moved_by: by how many seconds its messages are moved back.
        """
        now, found = reading.now, json.loads(row.account)
        values = found[0] if found else [0.0] * len(statements.ACCOUNT_COLUMNS)
        account = dict(zip(statements.ACCOUNT_COLUMNS, values, strict=True))
        # A time further away than the longest possible one was written by a clock that was ahead.
        paused = account["paused_until"] if account["paused_until"] <= now + LONGEST_WINDOW else now
        widened = min(account["widened_until"], now + statements.WIDENED_FOR)
        unknown, set_by = account["unknown_until"], account["clock_set_by"]
        step = self.readings.step(self.request.account, reading, set_by)
        if step is None:
            step = -moved_by
        elif step > 0 or moved_by:
            unknown += step
            # During a pause nothing is sent; towards its end, the first message may be started.
            if step > statements.SHORT_STEP and unknown <= now + records.LONGEST_LEAD:
                # Messages of the last minute seem to be older than they are, so the account waits for a minute.
                unknown = now + LONGEST_WINDOW
        # A step back is noted also if it has moved no message: others detect by it that the clock is set ahead again.
        self.readings.remember(self.request.account, reading, set_by + step, dict(json.loads(row.clock_set_by)))
        # Messages that were unknown then are unknown now as well, however far that clock was ahead.
        unknown, set_by = min(unknown, now + LONGEST_WINDOW), set_by + step
        followed = (
            [Statement(statements.SHIFT_AHEAD, {"of_account": self.request.account, "by": step})] if step > 0 else []
        )
        corrected = account | {
            "widened_until": widened, "paused_until": paused, "unknown_until": unknown, "clock_set_by": set_by
        }  # fmt: skip
        if corrected == account:
            return account, []
        of_account = {"of_account": self.request.account}
        new = {"paused": paused, "widened": widened, "unknown": unknown, "set_by": set_by}
        # The messages before the account, as `settle` locks them.
        return corrected, [
            *followed,
            Statement(statements.ENSURE_ACCOUNT, of_account),
            Statement(statements.CORRECT_ACCOUNT, {**of_account, **new}),
        ]

    def _slot(
        self,
        rows: list[dict[str, Any]],
        left: Mapping[str, list[float]],
        now: float,
        head_start: float,
        account: Mapping[str, float],
        *,
        without: Record | None,
    ) -> Slot:
        # Of a message that has not left, only its newest row counts.
        unused = without if without is not None and self._is_unused(without) else None
        unused_id = None if unused is None else unused.id
        if unused is not None and unused.state is not State.RESERVED and unused_id not in {row["id"] for row in rows}:
            _forget(unused.at, left.get(unused.number, []))
        taken = [
            TakenSlot(
                row["id"],
                row["number"],
                row["at"],
                may_move=row["state"] == State.RESERVED and not row["priority"] and row["displaced"] < MOST_DISPLACED,
            )
            for row in rows
            if row["id"] != unused_id
            and row["state"] not in WITHOUT_SLOT
            and not (row["state"] == State.RESERVED and row["at"] < now - records.ABANDONED)
        ]
        extra_margin = account["extra_margin"] if account["widened_until"] > now else 0.0
        unknown, only_alerts_since = account["unknown_until"], math.inf
        if self.request.is_alert and self.limits.of_reserve() and unknown > now:
            # The minute before may not be known exactly, but the reserve was free in it.
            only_alerts_since = unknown - LONGEST_WINDOW
            unknown = only_alerts_since + _SECOND_PASSED
        slots = AccountSlots(taken, self.limits, extra_margin, left, only_alerts_since)
        find = slots.slot_for_alert if self.request.is_alert else slots.slot
        numbers = self.request.numbers
        pause = account["paused_until"]
        if self.longest_pause is not None:
            pause = min(pause, now + self.longest_pause)
        not_before = max(now + head_start, pause, unknown)
        found = find(numbers, not_before)
        if unused is None or unused.state is not State.RESERVED or unused.number not in numbers:
            return found
        # Its slot fits where it is. In a new search, a rounded neighbour could seem too close.
        is_best = not_before <= unused.at <= found.at
        return Slot(unused.at, numbers.index(unused.number)) if is_best else found

    def _waiting(self, rows: list[dict[str, Any]], *, without: Record | None) -> list[float]:
        """Return the slots of the messages that wait: of the alerts for an alert, so that no list keeps it out."""
        replaced = None if without is None else without.id
        return [
            float(row["at"])
            for row in rows
            if row["state"] in {State.RESERVED, State.SENDING}
            and row["priority"] == self.request.is_alert
            and row["id"] != replaced
        ]

    def _insert(self, id_: int, slot: Slot, now: float, earlier: Record | None, state: State) -> Statement:
        request = self.request
        values = {
            "id": id_,
            "account": request.account,
            "number": request.numbers[slot.number],
            "at": slot.at,
            "state": state.value,
            "key": self._key(earlier),
            "owner": self.owner,
            "digest": request.digest,
            "recipient": request.recipient,
            "recipient_tail": request.recipient_tail,
            "detail": "{}",
            "deadline": slot.at,
            "updated": now,
            "created": now,
            "priority": int(request.is_alert),
            "displaced": earlier.displaced if earlier is not None and earlier.state is State.RELEASED else 0,
            "dag_id": request.origin.dag_id,
            "run_id": request.origin.run_id,
            "task_id": request.origin.task_id,
            "map_index": request.origin.map_index,
            "loop_index": request.origin.loop_index,
            "body_key": request.body_key,
            "namespace": self.namespace,
        }
        return Statement(statements.INSERT, values)

    def _reservation(self, id_: int, at: float, number: str, reading: Reading) -> Reservation:
        return Reservation(id_, self.owner, number, at, reading.at + at - reading.now)


class Planned(NamedTuple):
    """What was decided.

    :param answer: the answer; None where there is none, or where it takes another reading.
    :param reading: when the journal's clock was read.
    """

    answer: Answer | None
    reading: Reading


@dataclass(frozen=True)
class Planning:
    """A question to the planner under the account's lock. It is carried out where the store is.

    :param planner: the planner.
    :param step: which of its methods.
    :param head_start: returns how many seconds away a slot must be at least, given when the journal's clock was read.
    :param held: the reservation to restore, or to give its key back to; its number in the journal's name.
    :param outcome: what is to be restored.
    :param detail: the details that the journal keeps.
    """

    planner: Planner
    step: Step = "plan"
    head_start: Callable[[Reading], float] = lambda _: 0.0
    held: Reservation | None = None
    outcome: State = State.SENT
    detail: str = "{}"

    @property
    def lock(self) -> str:
        return self.planner.request.account

    @property
    def question(self) -> Statement:
        request = self.planner.request
        displaces = request.is_alert and self.step == "plan"
        sql = statements.BEFORE_RESERVING_FOR_ALERT if displaces else statements.BEFORE_RESERVING
        return Statement(sql, {"of_account": request.account, **request.names})

    def __call__(self, row: Any, reading: Reading) -> tuple[Planned, list[Statement]]:
        """Decide; the row is the answer to `question`."""
        answer: Answer | None = None
        if self.step == "restore" and self.held is not None:
            writes = self.planner.restore(row, reading, self.outcome, self.detail, self.held)
        elif self.step == "take_key_back" and self.held is not None:
            writes = self.planner.take_key_back(row, reading, self.held)
        else:
            answer, writes = self.planner.plan(row, reading, self.head_start(reading))
        return Planned(answer, reading), writes


def _changing(row: Any) -> list[dict[str, Any]]:
    """Return the account's messages whose state or slot may still change."""
    return [dict(zip(statements.SLOT_COLUMNS, values, strict=True)) for values in json.loads(row.changing)]


def _left(row: Any, now: float) -> dict[str, list[float]]:
    """Return when the account's other recent messages left, ascending, by the number they left from."""
    return {
        number: sorted([now - ago / statements.MICROSECONDS for ago in json.loads(left)])
        for number, left in json.loads(row.left)
    }


def _forget(at: float, times: list[float]) -> None:
    """Remove the time of a message from those of its number."""
    place = bisect_left(times, at - _CLOCK_ERROR)
    if place < len(times) and times[place] < at + _CLOCK_ERROR:
        del times[place]


def _freed(later: Record | None) -> list[Statement] | None:
    """Return the statement that takes the key from another attempt; None if that attempt's request may have left."""
    if later is None:
        return []
    return None if later.state in {State.SENDING, State.SENT, State.IN_DOUBT} else [_taking_key(later)]


def _taking_key(earlier: Record) -> Statement:
    """Return the statement that takes the key from an earlier attempt."""
    if earlier.state is State.RESERVED:
        return Statement(statements.TAKE_OVER, _of(earlier))
    return Statement(statements.TAKE_KEY, {**_of(earlier), "in_state": earlier.state.value})


def _of(record: Record) -> dict[str, Any]:
    return {"of_id": record.id, "of_owner": record.owner}


def _written(row: Mapping[str, Any]) -> float:
    """Return when a row was written at the earliest, by the clock of that time."""
    if row["state"] == State.SENDING:
        return max(float(row["created"]), float(row["updated"]))
    waited = row["state"] in {State.RESERVED, *WITHOUT_SLOT}
    # A message with an outcome left in its slot before that.
    at = float(row["at"]) - statements.LEFT_EARLY
    return float(row["created"]) if waited else max(float(row["created"]), at)


def _too_long(at: float, max_wait: float) -> WaitTooLong:
    sendable_at = datetime.fromtimestamp(at, timezone.utc)
    return WaitTooLong(
        f"the next slot is at {sendable_at:%Y-%m-%d %H:%M:%S} UTC, later than max_wait allows ({max_wait:.3g} s left)",
        advice="Retry after that.",
        sendable_at=sendable_at,
    )


def _too_many(at: float) -> WaitTooLong:
    return WaitTooLong(
        f"{MOST_WAITING:,} messages of the account are already waiting for their slots, and no more may wait",
        advice="Retry later, when some of them have been sent.",
        sendable_at=datetime.fromtimestamp(at, timezone.utc),
    )
