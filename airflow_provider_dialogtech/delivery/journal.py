"""The journal: at once the rate limiter's reservations and the record of what happened to each text.

The states, and who moves a text from one to the next:

    reserved → sending             `start`, by its owner, shortly before the slot
    reserved → released            given back, displaced by an alert, or taken over because its process is gone
    sending  → released            by its owner only, while no byte of the request has left
    sending  → sent | refused | throttled | in_doubt      `settle`, by its owner
    sending  → in_doubt            by anybody, once the request's deadline is long over
    in_doubt → sent | unsent                              by a person, with `texts.Texts.resolve`
    in_doubt | unsent → sent | refused | throttled        a late `settle`: the owner knows better

A row whose request may have left never moves to another slot and is never used again: a new attempt is a new row that
takes over the idempotency key.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal

from airflow_provider_dialogtech.delivery import statements
from airflow_provider_dialogtech.delivery.clock_readings import Reading
from airflow_provider_dialogtech.delivery.limits import RateLimits
from airflow_provider_dialogtech.delivery.metrics import JOURNAL, NO_RECORDER, THROTTLED_REPLIES, Recorder
from airflow_provider_dialogtech.delivery.records import (
    JournalRow,
    Record,
    Reservation,
    SlotRequest,
)
from airflow_provider_dialogtech.delivery.reservation import Planner
from airflow_provider_dialogtech.delivery.store import Statement, Store
from airflow_provider_dialogtech.delivery.timing import Timing
from airflow_provider_dialogtech.exceptions import DialogTechError, JournalUnavailable

Outcome = Literal["sent", "refused", "throttled", "in_doubt"]

# How far the journal's clock and a waiting process may disagree on the time that is left before one of them was set,
# frozen or asleep.
CLOCK_TOLERANCE = 0.1
# A text is not started later than this after its slot.
LATEST_START = 0.1
# Whatever max_wait is, one step may take so many seconds.
ONE_STEP = 5.0

PRUNED_EVERY = 16


class SendJournal:
    """Reserves slots for one account's texts and records their outcomes.

    :param store: where the journal is stored.
    :param account: the account's name in it: connections with the same name share its limits.
    :param limits: what the account may send.
    :param retention: how long rows are kept; after that a text's key is forgotten.
    :param recorder: keeps figures of the texts and of the journal's steps.
    """

    def __init__(
        self,
        store: Store,
        account: str,
        limits: RateLimits,
        *,
        retention: timedelta = timedelta(days=90),
        recorder: Recorder = NO_RECORDER,
    ) -> None:
        self._store = store
        self._account = account
        self._limits = limits
        self._retention = retention.total_seconds()
        self.recorder = recorder

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
        sleep: Callable[[float], None] | None = None,
    ) -> Reservation | Record:
        """Reserve the earliest slot that all limits allow, or return what the journal knows of the text.

        :param request: the text.
        :param resend: whether a text in doubt may be sent again.
        :param max_wait: reserve nothing when the slot is more than so many seconds away.
        :param connect: how many seconds before the slot the text needs for connecting.
        :param after: a reservation of the same text that was missed, displaced or throttled before a byte left; it is
            given back.
        :param sleep: sleeps while the journal is away; by default that of the store's clock.
        :return: a reservation, or the record of a text that was sent, is being sent, or is in doubt.
        :raises WaitTooLong: when there is no slot within `max_wait`.
        :raises InvalidMessage: when the key belongs to a text to somebody else.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        planner = Planner(
            request,
            self._account,
            self._limits,
            owner=uuid.uuid4().hex,  # made before the transaction, so that a second try recognises the first
            resend=resend,
            after=after,
            max_wait=max_wait,
        )
        read: list[float] = []

        def plan(row: Any, reading: Reading) -> tuple[Reservation | Record | DialogTechError, list[Statement]]:
            read[:] = [reading.at]
            self.timing.first_answer(reading.took)
            return planner.plan(row, reading, self.timing.head_start(connect))

        sql = statements.BEFORE_RESERVING_FOR_ALERT if request.is_alert else statements.BEFORE_RESERVING
        question = Statement(sql, {"of_account": self._account, "of_key": statements.stored_key(request.key)})
        with self._turn(is_alert=request.is_alert, max_wait=max_wait) as within, self._timed("reserve"):
            answer = self._store.locked(self._account, question, plan, within=within, sleep=sleep)
        if isinstance(answer, DialogTechError):
            raise answer
        if isinstance(answer, Reservation):
            self.timing.committed(self._store.clock.monotonic() - read[0])
        return answer

    def start(
        self,
        held: Reservation,
        *,
        timeout: float,
        within: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> bool:
        """Mark a text as being sent, shortly before its slot.

        :param held: the reservation.
        :param timeout: how many seconds its request may take.
        :param within: for how many seconds at most to try.
        :return: whether it may be sent; not when it is too late, when an alert has taken the slot or another process
            the text, when the account is paused, or when a clock was set. Then reserve again.
        :raises JournalUnavailable: when the journal cannot be used; the text must not be sent then.
        """
        asked = self._store.clock.monotonic()
        left = held.due - asked
        values = {
            **_of(held),
            "of_account": self._account,
            "slot": held.at,
            "timeout": timeout,
            "least_left": max(left - self.timing.start.bound - CLOCK_TOLERANCE, -LATEST_START),
            "most_left": left + CLOCK_TOLERANCE,
        }
        with self._timed("start"):
            started = self._store.do(Statement(statements.START, values), within=within, sleep=sleep)
        # Also where it came too late: the next head start must be long enough for such a one.
        self.timing.started(self._store.clock.monotonic() - asked)
        return started

    def settle(
        self,
        held: Reservation,
        outcome: Outcome,
        detail: Mapping[str, Any],
        *,
        took: float = 0.0,
        pause: float = 0.0,
        within: float | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """Record what became of a text, also where it was declared in doubt in the meantime: its owner knows better.

        :param held: the reservation.
        :param outcome: what became of it.
        :param detail: what is returned when its key comes again; plain JSON without text, key or full number.
        :param took: seconds from the slot to the reply. After markedly more than usual the text may have arrived late,
            so its row moves to when the reply came.
        :param pause: for how many seconds all texts of the account are held back.
        :param within: for how many seconds at most to try.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        values = {
            **_of(held), "outcome": outcome, "new_detail": json.dumps(dict(detail)), "took": took, "pause": pause
        }  # fmt: skip
        settling = statements.SETTLE_IN_SQLITE if self._store.is_file else statements.SETTLE_IN_POSTGRES
        writes = [Statement(sql, values) for sql in settling]
        if held.id % PRUNED_EVERY == 0:
            writes.append(Statement(statements.PRUNE, {"retention": self._retention}))
        if outcome == "throttled":
            self.recorder.count(THROTTLED_REPLIES)
        with self._timed("settle"):
            self._store.do(*writes, within=within, sleep=sleep)

    def release(
        self, held: Reservation, *, within: float | None = None, sleep: Callable[[float], None] | None = None
    ) -> None:
        """Give back the slot of a text no byte of which has left, so that it delays no other.

        :param within: for how many seconds at most to try.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        self._store.do(Statement(statements.RELEASE, _of(held)), within=within, sleep=sleep)

    def find(self, key: str, *, sleep: Callable[[float], None] | None = None) -> Record | None:
        """Return what the journal knows of the text with this key.

        :raises JournalUnavailable: when the journal cannot be used.
        """
        row = self._store.ask(Statement(statements.FIND, {"of_key": statements.stored_key(key)}), sleep=sleep)
        found = JournalRow.of(row.text)
        if found is None:
            return None
        if found.is_overdue(row.now):
            self._store.do(Statement(statements.DOUBT, {"of_id": found.id, "of_owner": found.owner}), sleep=sleep)
            found.state = "in_doubt"
        return found.record(row.now)

    def give_up(self, record: Record) -> None:
        """Declare a text in doubt whose process has not recorded in its time what became of it.

        :raises JournalUnavailable: when the journal cannot be used.
        """
        self._store.do(Statement(statements.DOUBT, {"of_id": record.id, "of_owner": record.owner}))

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        asked = self._store.clock.monotonic()
        yield
        self.recorder.time(f"{JOURNAL}.{step}", self._store.clock.monotonic() - asked)

    @contextmanager
    def _turn(self, *, is_alert: bool, max_wait: float | None) -> Iterator[float]:
        """Let the threads of this process reserve one at a time, so that an alert never finds a queue of them.

        In a file that needs no turns: all who wait for it are served with one commit.
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
