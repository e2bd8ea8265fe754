"""The journal: at once the rate limiter's reservations and the record of what happened to each text.

A row whose request may have left never moves to another slot and is never used again; a new attempt is a new row that
takes over the idempotency key, and the old one stays in the windows without it.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from airflow_provider_dialogtech.api.errors import WaitTooLong
from airflow_provider_dialogtech.delivery.limits import LONG_MARGIN, RateLimits, earliest_send_time
from airflow_provider_dialogtech.delivery.store import Store, accounts, sends
from airflow_provider_dialogtech.masking import digest

State = Literal["reserved", "sending", "sent", "refused", "throttled", "in_doubt"]
Outcome = Literal["sent", "refused", "throttled", "in_doubt"]

# The other side's clock and a busy machine get this long after a request's deadline before the text counts as in doubt.
GRACE = 5.0
# A reservation this long past its slot belongs to a process that is gone: whoever comes late takes a new slot.
ABANDONED = 1.0
# How far the journal's clock and a waiting process may disagree on the time that is left before one of them was set,
# frozen or asleep.
CLOCK_TOLERANCE = 0.1

# No slot is given sooner than a connection is opened and a start written down: it would be missed, and wasted.
HEAD_START = 0.1
HEAD_START_AGAIN = 0.05

# Each refusal for the rate widens the short windows by so much, for so long.
WIDENING = 0.025
WIDEST = 0.25
WIDENED_FOR = 60.0
# A reply that took this much longer than twice the usual time came from a text that may have arrived late.
MARKEDLY_LATER = 0.05

_HORIZON = 60 + LONG_MARGIN
_PRUNED_AT_ONCE = 100
_PRUNED_EVERY = 16


@dataclass(frozen=True)
class Wish:
    """A text that wants a slot.

    :param key: its idempotency key.
    :param numbers: the numbers it may leave from; the one whose slot comes first is taken.
    :param recipient: the number it goes to.
    :param text: what it says. Only a digest of it is stored.
    :param owner: who sends it: one call in one process.
    """

    key: str
    numbers: tuple[str, ...] = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    owner: str = ""

    @property
    def digest(self) -> str:
        return digest(self.recipient, self.text)


@dataclass(frozen=True)
class Reservation:
    """A slot that is ours as long as nobody takes the text over.

    :param due: the slot on this process's monotonic clock, in seconds.
    """

    id: int
    owner: str
    number: str = field(repr=False)
    due: float


@dataclass(frozen=True)
class Record:
    """What the journal knows of a text.

    :param at: when it left, or was to leave, in seconds since 1970.
    :param age: seconds since then, on the journal's clock.
    :param deadline: until when its request may be out, in seconds since 1970.
    """

    id: int
    state: State
    digest: str
    recipient_tail: str
    detail: Mapping[str, Any]
    at: float
    age: float
    deadline: float

    @property
    def since(self) -> datetime:
        return datetime.fromtimestamp(self.at, timezone.utc)


class SlotMoved(Exception):
    """The slot cannot be used any more: the account is paused, or a clock was set. A new one must be reserved."""


class SendJournal:
    """Reserves slots for one account's texts and records their outcomes, each in one transaction.

    :param store: where the journal lies.
    :param account: a digest of the account's access key: connections with the same key share its limits.
    :param limits: what the account may send.
    :param retention: how long rows are kept; after that a text's key is forgotten.
    """

    def __init__(
        self, store: Store, account: str, limits: RateLimits, *, retention: timedelta = timedelta(days=90)
    ) -> None:
        self._store = store
        self._account = account
        self._limits = limits
        self._retention = retention.total_seconds()

    def reserve(self, wish: Wish, *, resend: bool = False, max_wait: float | None = None) -> Reservation | Record:
        """Reserve the earliest slot that all limits allow, or tell what the journal knows of the text.

        :param wish: the text.
        :param resend: whether a text in doubt may be sent again.
        :param max_wait: reserve nothing when the slot is more than so many seconds away.
        :return: a reservation, or the record of a text that was sent, is being sent, or is in doubt.
        :raises WaitTooLong: when there is no slot within `max_wait`.
        :raises JournalUnavailable: when the journal cannot be used.
        """

        def work(connection: Connection, now: float) -> Reservation | Record:
            read = time.monotonic()
            row = _find(connection, wish.key)
            if row is not None:
                row = _doubt_if_overdue(connection, row, now)
                if row.state in {"sent", "sending"} or (row.state == "in_doubt" and not resend):
                    return _record(row, now)
            reservable = row if row is not None and row.state == "reserved" else None
            at, number = self._earliest(connection, wish.numbers, now, HEAD_START, without=reservable and reservable.id)
            if max_wait is not None and at - now > max_wait + HEAD_START:
                raise _too_long(at)
            values = {
                "account": self._account,
                "number": self._number_digest(number),
                "at": at,
                "state": "reserved",
                "owner": wish.owner,
                "digest": wish.digest,
                "recipient_tail": wish.recipient[-4:],
                "detail": "{}",
                "deadline": at,
                "updated": now,
                "created": now,
            }
            if reservable is not None:
                taken_over = sends.update().where(sends.c.id == reservable.id)
                connection.execute(taken_over.values(attempt=reservable.attempt + 1, **values))
                return Reservation(reservable.id, wish.owner, number, due=read + at - now)
            if row is not None:
                connection.execute(sends.update().where(sends.c.id == row.id).values(key=None))
            inserted = connection.execute(sends.insert().values(attempt=1, key=digest(wish.key), **values))
            row_id: int = inserted.inserted_primary_key[0]  # type: ignore[index]  # one row was inserted
            return Reservation(row_id, wish.owner, number, due=read + at - now)

        return self._store.run(self._account, work)

    def reserve_again(self, held: Reservation, *, max_wait: float | None = None) -> Reservation | None:
        """Give back a slot that was missed and reserve the number's next one; None when somebody took the text over.

        Only for a text no byte of which has left.

        :param held: the reservation, started or not.
        :param max_wait: reserve nothing when the slot is more than so many seconds away.
        :raises WaitTooLong: when there is no slot within `max_wait`; the old slot is given back then.
        :raises JournalUnavailable: when the journal cannot be used.
        """

        def work(connection: Connection, now: float) -> Reservation | WaitTooLong | None:
            read = time.monotonic()
            at, _ = self._earliest(connection, (held.number,), now, HEAD_START_AGAIN, without=held.id)
            too_long = max_wait is not None and at - now > max_wait + HEAD_START_AGAIN
            moved = connection.execute(
                sends.update()
                .where(_not_left(held))
                .values(
                    state="reserved",
                    at=now - ABANDONED if too_long else at,
                    attempt=sends.c.attempt + 1,
                    updated=now,
                    created=now,
                )
            )
            if not moved.rowcount:
                return None
            if too_long:
                return _too_long(at)
            return Reservation(held.id, held.owner, held.number, due=read + at - now)

        found = self._store.run(self._account, work)
        if isinstance(found, WaitTooLong):
            raise found
        return found

    def start(self, held: Reservation, *, timeout: float) -> bool:
        """Mark a text as being sent, shortly before its slot; false when somebody took it over, and must send it.

        :param held: the reservation.
        :param timeout: how many seconds its request may take.
        :raises SlotMoved: when the slot is not to be used: reserve again.
        :raises JournalUnavailable: when the journal cannot be used; the text must not be sent then.
        """

        def work(connection: Connection, now: float) -> bool:
            left = held.due - time.monotonic()
            at = connection.execute(sa.select(sends.c.at).where(_not_left(held))).scalar()
            if at is None:
                return False
            if abs(at - now - left) > CLOCK_TOLERANCE or self._paused_until(connection) > at:
                raise SlotMoved
            connection.execute(
                sends.update().where(sends.c.id == held.id).values(state="sending", deadline=at + timeout, updated=now)
            )
            return True

        return self._store.run(self._account, work)

    def settle(
        self, held: Reservation, outcome: Outcome, detail: Mapping[str, Any], *, took: float = 0.0, pause: float = 0.0
    ) -> None:
        """Record what became of a text, also where somebody has declared it in doubt meanwhile: we know better.

        :param held: the reservation.
        :param outcome: what became of it.
        :param detail: what is told when its key comes again; plain JSON without text, key or full number.
        :param took: seconds from the slot to the reply. After markedly more than usual the text may have arrived late,
            so its row moves to when the reply came.
        :param pause: for how many seconds all texts of the account hold on.
        :raises JournalUnavailable: when the journal cannot be used.
        """

        def work(connection: Connection, now: float) -> None:
            late = self._note_on_account(connection, now, outcome, took=took, pause=pause)
            connection.execute(
                sends.update()
                .where(_ours(held), sends.c.state.in_(["sending", "in_doubt"]))
                .values(state=outcome, at=sends.c.at + late, detail=json.dumps(dict(detail)), updated=now)
            )
            if held.id % _PRUNED_EVERY == 0:
                _prune(connection, now - self._retention)

        self._store.run(self._account, work)

    def release(self, held: Reservation) -> None:
        """Give back the slot of a text that was not sent, so that it delays no other.

        :raises JournalUnavailable: when the journal cannot be used.
        """

        def work(connection: Connection, now: float) -> None:
            connection.execute(
                sends.update().where(_not_left(held)).values(state="reserved", at=now - ABANDONED, updated=now)
            )

        self._store.run(self._account, work)

    def find(self, key: str) -> Record | None:
        """Tell what the journal knows of the text with this key.

        :raises JournalUnavailable: when the journal cannot be used.
        """

        def work(connection: Connection, now: float) -> Record | None:
            row = _find(connection, key)
            return row and _record(_doubt_if_overdue(connection, row, now), now)

        return self._store.run(self._account, work)

    def _earliest(
        self, connection: Connection, numbers: Sequence[str], now: float, head_start: float, *, without: int | None
    ) -> tuple[float, str]:
        """Find the first slot, and the number that has it."""
        account = self._account_row(connection)
        extra_margin = account.extra_margin if account is not None and account.widened_until > now else 0.0
        not_before = max(now + head_start, account.paused_until if account is not None else now)
        times, by_number = self._times(connection, now, without)
        of_account = (self._limits.of_account(extra_margin), times)
        of_number = self._limits.of_number(extra_margin)
        used = [by_number[self._number_digest(number)] for number in numbers]
        # Among numbers whose slots are equally near, the one that was used least: else some would wait for their minute
        # to end while another has hardly begun its own.
        at, _, place = min(
            (earliest_send_time(not_before, [of_account, (of_number, texts)]), len(texts), place)
            for place, texts in enumerate(used)
        )
        return at, numbers[place]

    def _times(
        self, connection: Connection, now: float, without: int | None
    ) -> tuple[list[float], defaultdict[str, list[float]]]:
        """Load when the account's texts leave that still matter, in order, all together and by number."""
        rows = self._rows_that_matter(connection, now)
        ahead = max((row.created for row in rows), default=now) - now
        if ahead > 0:
            self._set_back(connection, now, ahead)
            rows = self._rows_that_matter(connection, now)
        times: list[float] = []
        by_number: defaultdict[str, list[float]] = defaultdict(list)
        for row in rows:
            if row.id == without or (row.state == "reserved" and row.at < now - ABANDONED):
                continue
            times.append(row.at)
            by_number[row.number].append(row.at)
        return times, by_number

    def _rows_that_matter(self, connection: Connection, now: float) -> Sequence[Any]:
        return connection.execute(
            sa.select(sends.c.id, sends.c.number, sends.c.at, sends.c.state, sends.c.created)
            .where(sends.c.account == self._account, sends.c.at > now - _HORIZON)
            .order_by(sends.c.at)
        ).all()

    def _set_back(self, connection: Connection, now: float, by: float) -> None:
        """Follow a clock that was set back: the time between the rows and now stays what it was."""
        connection.execute(
            sends.update()
            .where(sends.c.account == self._account, sends.c.at > now - _HORIZON)
            .values(at=sends.c.at - by, deadline=sends.c.deadline - by, created=sends.c.created - by)
        )
        connection.execute(
            accounts.update()
            .where(accounts.c.account == self._account)
            .values(paused_until=accounts.c.paused_until - by, widened_until=accounts.c.widened_until - by)
        )

    def _account_row(self, connection: Connection) -> Any:
        return connection.execute(sa.select(accounts).where(accounts.c.account == self._account)).first()

    def _paused_until(self, connection: Connection) -> float:
        row = self._account_row(connection)
        return row.paused_until if row is not None else 0.0

    def _note_on_account(
        self, connection: Connection, now: float, outcome: Outcome, *, took: float, pause: float
    ) -> float:
        """Learn from a reply; return by how much later than usual it came (0 unless markedly)."""
        row = self._account_row(connection)
        if row is None:
            values = {"extra_margin": 0.0, "widened_until": 0.0, "paused_until": 0.0, "usual_latency": took}
            connection.execute(accounts.insert().values(account=self._account, **values))
            row = self._account_row(connection)
        changes = {"paused_until": max(row.paused_until, now + pause if pause else 0.0)}
        if outcome == "sent":
            changes["usual_latency"] = 0.9 * row.usual_latency + 0.1 * took
        if outcome == "throttled":
            widened = row.extra_margin if row.widened_until > now else 0.0
            changes["extra_margin"] = min(widened + WIDENING, WIDEST)
            changes["widened_until"] = now + WIDENED_FOR
        connection.execute(accounts.update().where(accounts.c.account == self._account).values(**changes))
        return took - row.usual_latency if took > 2 * row.usual_latency + MARKEDLY_LATER else 0.0

    def _number_digest(self, number: str) -> str:
        return digest(self._account, number)


def _find(connection: Connection, key: str) -> Any:
    return connection.execute(sa.select(sends).where(sends.c.key == digest(key))).first()


def _ours(held: Reservation) -> sa.ColumnElement[bool]:
    return sa.and_(sends.c.id == held.id, sends.c.owner == held.owner)


def _not_left(held: Reservation) -> sa.ColumnElement[bool]:
    return sa.and_(_ours(held), sends.c.state.in_(["reserved", "sending"]))


def _doubt_if_overdue(connection: Connection, row: Any, now: float) -> Any:
    if row.state == "sending" and now > row.deadline + GRACE:
        connection.execute(sends.update().where(sends.c.id == row.id).values(state="in_doubt", updated=now))
        return connection.execute(sa.select(sends).where(sends.c.id == row.id)).one()
    return row


def _record(row: Any, now: float) -> Record:
    detail = json.loads(row.detail)
    return Record(row.id, row.state, row.digest, row.recipient_tail, detail, row.at, now - row.at, row.deadline)


def _too_long(at: float) -> WaitTooLong:
    sendable_at = datetime.fromtimestamp(at, timezone.utc)
    return WaitTooLong(
        f"The text was not sent: the rate limits leave no slot before {sendable_at:%Y-%m-%d %H:%M:%S} UTC, which is "
        "further away than max_wait. It may be sent then.",
        sendable_at=sendable_at,
    )


def _prune(connection: Connection, before: float) -> None:
    """Forget a few rows whose time is over: few, since somebody may wait for this transaction to end."""
    old = sa.select(sends.c.id).where(sends.c.at < before).order_by(sends.c.at).limit(_PRUNED_AT_ONCE)
    connection.execute(sends.delete().where(sends.c.id.in_(old)))
