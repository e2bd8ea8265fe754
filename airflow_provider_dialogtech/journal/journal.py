"""The journal: at once the rate limiter's reservations and the record of what happened to each message."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from airflow_provider_dialogtech.exceptions import DialogTechError, JournalUnavailable
from airflow_provider_dialogtech.journal import queries, statements
from airflow_provider_dialogtech.journal.backend import Reading, Statement
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.metrics import JOURNAL, NO_RECORDER, THROTTLED_REPLIES, Recorder
from airflow_provider_dialogtech.journal.planner import Planned, Planner, Planning
from airflow_provider_dialogtech.journal.records import (
    Record,
    Reservation,
    SlotRequest,
    earlier_attempt,
    number_name,
    stored_key,
)
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.journal.timing import Timing

log = logging.getLogger(__name__)

Outcome = Literal["sent", "refused", "throttled", "in_doubt"]

# If the journal's clock and a waiting process disagree by more than this on the remaining time, one of them was set,
# frozen or asleep. What is tolerated is less than the margin of a window.
CLOCK_TOLERANCE = 0.03
# A message is not started later than this after its slot.
LATEST_START = 0.1
# One step may take this many seconds, whatever max_wait is.
ONE_STEP = 5.0

PRUNED_EVERY = 16

# It asks once more if the journal's clock was set ahead, or if a question was late.
_MOST_QUESTIONS = 3
_SET_AGAIN = "the delivery journal's clock is set again and again"


class MessageJournal:
    """Reserves slots for one account's messages and records their outcomes.

    :param store: where the journal is stored.
    :param account: the account's name in it: connections with the same name share its limits.
    :param limits: what the account may send.
    :param retention: how long rows are kept; after that a message's key is forgotten.
    :param recorder: keeps figures of the messages and of the journal's steps.
    :param namespace: the name of the Airflow that sends, where several share the journal.
    """

    def __init__(
        self,
        store: Store,
        account: str,
        limits: RateLimits,
        *,
        retention: timedelta = timedelta(days=90),
        recorder: Recorder = NO_RECORDER,
        namespace: str = "",
    ) -> None:
        self._store = store
        self._account = account
        self._limits = limits
        self._retention = retention.total_seconds()
        self.recorder = recorder
        self._namespace = namespace

    @property
    def timing(self) -> Timing:
        """How long the journal's steps take here."""
        return self._store.timing

    def reserve(
        self,
        request: SlotRequest,
        *,
        resend: bool = False,
        max_wait: float | None = None,
        connect: float = 0.0,
        after: Reservation | None = None,
        longest_pause: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> Reservation | Record:
        """Reserve the earliest slot that all limits allow, or return what the journal knows of the message.

        :param request: the message.
        :param resend: whether a message in doubt may be sent again.
        :param max_wait: reserve nothing when the slot is more than this many seconds away.
        :param connect: how many seconds before the slot the message needs for connecting.
        :param after: an earlier reservation of the same message, which was missed, displaced or throttled; it is given
            back.
        :param longest_pause: for how many seconds at most a pause of the account is heeded; None heeds all of it.
        :param sleep: sleeps while the journal is unavailable; by default that of the store's clock.
        :return: a reservation, or the record of a message that was sent, is being sent, or is in doubt.
        :raises WaitTooLong: when there is no slot within `max_wait`, or too many messages are waiting.
        :raises InvalidMessage: when the key belongs to a message to another recipient.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        planner = self._planner(
            request,
            owner=uuid.uuid4().hex,  # created before the transaction, so that a second try recognises the first
            resend=resend,
            after=None if after is None else after.owner,
            max_wait=max_wait,
            longest_pause=longest_pause,
        )

        def head_start(reading: Reading) -> float:
            self.timing.first_answer(reading.took)
            return self.timing.head_start(connect)

        planning = Planning(planner, head_start=head_start)
        with self._turn(is_alert=request.is_alert, max_wait=max_wait) as timeout, self._timed("reserve"):
            remaining = self._countdown(timeout)
            for _ in range(_MOST_QUESTIONS):
                answer, reading = self._ask_planner(planning, timeout=remaining(), sleep=sleep)
                if answer is not None:
                    break
        if answer is None or isinstance(answer, DialogTechError):
            raise answer or JournalUnavailable(_SET_AGAIN)
        if isinstance(answer, Reservation):
            self.timing.committed(self._store.clock.monotonic() - reading.at)
            return _with_its_number(answer, request, self._account)
        self._prune(answer.id)
        return answer

    def start(
        self,
        held: Reservation,
        *,
        request_timeout: float,
        timeout: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> bool:
        """Mark a message as being sent, shortly before its slot.

        :param held: the reservation.
        :param request_timeout: how many seconds its request may take.
        :param timeout: for how many seconds at most to try.
        :return: whether it may be sent. It may not if it is too late, if an alert has taken the slot or another process
            the message, if the account is paused, or if a clock was set. Then reserve again.
        :raises JournalUnavailable: when the journal cannot be used; the message must not be sent then.
        """
        patience, bound = self._countdown(timeout), self.timing.start.bound + CLOCK_TOLERANCE
        for _ in range(_MOST_QUESTIONS):
            asked = self._store.clock.monotonic()
            remaining = held.due - asked
            values = {
                **_of(held),
                "of_account": self._account,
                "slot": held.at,
                "timeout": request_timeout,
                "least_remaining": max(remaining - bound, -LATEST_START),
                "most_remaining": remaining + CLOCK_TOLERANCE,
            }
            with self._timed("start"):
                started = self._store.do(Statement(statements.START, values), timeout=patience(), sleep=sleep)
            took = self._store.clock.monotonic() - asked
            # Also if it was too late: the next head start must be long enough for a step like this.
            self.timing.started(took)
            # A question that was late may have found too little time for that alone.
            if started or took < bound or took > remaining + LATEST_START:
                break
        return started

    def settle(
        self,
        held: Reservation,
        outcome: Outcome,
        detail: Mapping[str, Any],
        *,
        took: float = 0.0,
        pause: float = 0.0,
        timeout: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> bool:
        """Record the outcome of a message. A late outcome from the owner overrides 'in doubt'.

        :param held: the reservation.
        :param outcome: its outcome.
        :param detail: what a later attempt with its key returns; plain JSON without body, key or full number.
        :param took: seconds from the slot to the reply. If that is much more than usual, the message may have arrived
            late, so its row moves to the time of the reply.
        :param pause: for how many seconds all messages of the account are held back.
        :param timeout: for how many seconds at most to try, in all.
        :return: whether its row has an outcome now, this one or the one that a person has set meanwhile. False if the
            journal has lost the row, or its start.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        values = {
            **_of(held), "outcome": outcome, "new_detail": json.dumps(dict(detail)), "took": took, "pause": pause
        }  # fmt: skip
        if outcome == "throttled":
            self.recorder.count(THROTTLED_REPLIES)
        remaining = self._countdown(timeout)
        with self._timed("settle"):
            changed = self._store.do(Statement(statements.SETTLE, values), timeout=timeout, sleep=sleep, insist=True)
        if not changed:
            # With an outcome already, an answer was lost, or a person resolved it.
            state = self.state_of(held, timeout=remaining(), sleep=sleep)
            if state in {None, State.RESERVED, State.RELEASED}:
                return False
        self._prune(held.id)
        return True

    def bring_back(
        self,
        request: SlotRequest,
        held: Reservation,
        outcome: Outcome,
        detail: Mapping[str, Any],
        *,
        timeout: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> str:
        """Record the outcome of a message whose row, or whose start, the journal has lost.

        That happens if the server acknowledges commits that it has not written yet, and crashes; or if a standby that
        is behind takes over.

        :return: what was lost, in words.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        values = {**_of(held), "outcome": outcome, "new_detail": json.dumps(dict(detail))}
        remaining = self._countdown(timeout)
        has_row = self._store.do(Statement(statements.SETTLE_LOST, values), timeout=timeout, sleep=sleep, insist=True)
        if not has_row or outcome in {"sent", "in_doubt"}:
            planning = Planning(
                self._planner(request, owner=held.owner),
                "take_key_back" if has_row else "restore",
                held=replace(held, number=number_name(self._account, held.number)),
                outcome=State(outcome),
                detail=values["new_detail"],
            )
            self._ask_planner(planning, timeout=remaining(), sleep=sleep, insist=True)
        return "the start" if has_row else "the row"

    def release(
        self,
        held: Reservation,
        *,
        why: str = "",
        timeout: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> bool:
        """Give back the slot of a message of which no byte was sent, so that other messages can use it.

        :param why: why it was not sent, in words.
        :param timeout: for how many seconds at most to try.
        :return: whether its row is released. False if the journal has lost it, or a person has settled it.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        detail = {"result_description": f"not sent: {why}"} if why else {}
        release = Statement(statements.RELEASE, {**_of(held), "new_detail": json.dumps(detail)})
        return self._store.do(release, timeout=timeout, sleep=sleep, insist=True)

    def find(
        self, key: str, body_key: str | None = None, *, sleep: Callable[[float], None] | None = None
    ) -> Record | None:
        """Return what the journal knows of the message with this key, or with this body key.

        :raises JournalUnavailable: when the journal cannot be used.
        """
        names = {"of_key": stored_key(key), "of_body_key": body_key}
        found = earlier_attempt(self._store.ask(Statement(queries.FIND, names), sleep=sleep), body_key)
        if found is not None and found.is_overdue and self.give_up(found, sleep=sleep):
            return found.given_up
        return found

    def find_sent(self, keys: Sequence[str], *, sleep: Callable[[float], None] | None = None) -> dict[str, Record]:
        """Return the records of those of several messages that were sent, by their keys.

        :raises JournalUnavailable: when the journal cannot be used.
        """
        by_name = {stored_key(key): key for key in keys}
        found = map(Record.of, self._store.ask(Statement(queries.FIND_SENT, {"of_keys": [*by_name]}), sleep=sleep))
        return {by_name[str(record.key)]: record for record in found}

    def state_of(self, held: Reservation, *, timeout: float, sleep: Callable[[float], None] | None) -> State | None:
        """Return the state of a reservation; None if the journal has lost it.

        :raises JournalUnavailable: when the journal cannot be used.
        """
        rows = self._store.ask(Statement(queries.GET, _of(held)), timeout=timeout, sleep=sleep, insist=True)
        return State(rows[0].state) if rows else None

    def give_up(self, record: Record, *, sleep: Callable[[float], None] | None = None) -> bool:
        """Declare a message in doubt whose process has not recorded its outcome in time.

        :return: whether it is in doubt now. False if its outcome was recorded after all.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        return self._store.do(Statement(statements.DOUBT, {"of_id": record.id, "of_owner": record.owner}), sleep=sleep)

    def _planner(self, request: SlotRequest, **options: Any) -> Planner:
        readings, namespace = self._store.readings, self._namespace
        return Planner(request.named(self._account), self._limits, readings=readings, namespace=namespace, **options)

    def _ask_planner(self, planning: Planning, **options: Any) -> Planned:
        return self._store.locked(planning.lock, planning.question, planning, **options)

    def _countdown(self, timeout: float | None) -> Callable[[], float]:
        """Return a function that returns the seconds that remain for the next of several steps."""
        until = self._store.clock.monotonic() + (self._store.patience if timeout is None else timeout)
        return lambda: max(0.0, until - self._store.clock.monotonic())

    def _prune(self, id_: int) -> None:
        """Now and then, delete a few messages whose retention is over. A failure does not fail a message."""
        if id_ % PRUNED_EVERY:
            return
        try:
            self._store.do(Statement(statements.PRUNE, {"retention": self._retention}), timeout=ONE_STEP)
        except DialogTechError as error:
            log.warning("Messages older than journal_retention_days could not be deleted: %s.", error.reason)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        asked = self._store.clock.monotonic()
        yield
        self.recorder.time(f"{JOURNAL}.{step}", self._store.clock.monotonic() - asked)

    @contextmanager
    def _turn(self, *, is_alert: bool, max_wait: float | None) -> Iterator[float]:
        """Let the threads of this process reserve one at a time, so that an alert never waits behind many of them.

        A file needs no turns: one commit serves all threads that wait for it.
        """
        patience = self._store.patience
        if max_wait is not None and not is_alert:
            patience = min(patience, max_wait + ONE_STEP)
        if is_alert or self._store.is_file:
            yield patience
            return
        until = self._store.clock.monotonic() + patience
        lock = self._store.one_at_a_time(self._account)
        if not lock.acquire(timeout=patience):
            raise JournalUnavailable(f"the delivery journal has not answered for {patience:.0f} s")
        try:
            yield max(ONE_STEP, until - self._store.clock.monotonic())
        finally:
            lock.release()


def _of(held: Reservation) -> dict[str, Any]:
    return {"of_id": held.id, "of_owner": held.owner}


def _with_its_number(held: Reservation, request: SlotRequest, account: str) -> Reservation:
    """Return a reservation with the number itself, not the journal's name of it."""
    number = next(number for number in request.numbers if number_name(account, number) == held.number)
    return replace(held, number=number)


def preview(request: SlotRequest, store: Store, account: str, limits: RateLimits) -> Reservation | Record:
    """Return the slot that the message would get, or what the journal knows of it.

    :param request: the message.
    :param store: where the journal is stored. Nothing is written to it.
    :param account: the account's name in it.
    :param limits: what the account may send.
    :raises InvalidMessage: when the key belongs to a message to another recipient.
    :raises JournalUnavailable: when the journal cannot be used.
    """
    store.open()
    planning = Planning(Planner(request.named(account), limits, owner=""))
    asked = store.clock.monotonic()
    (row,) = store.ask(planning.question)
    reading = Reading.of(row, asked, store.clock.monotonic())
    store.timing.first_answer(reading.took)
    answer, _ = planning.planner.plan(row, reading, store.timing.head_start(0.0))
    if answer is None or isinstance(answer, DialogTechError):
        raise answer or JournalUnavailable(_SET_AGAIN)
    return _with_its_number(answer, request, account) if isinstance(answer, Reservation) else answer
