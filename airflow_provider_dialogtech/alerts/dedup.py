"""One text per recipient, dedup key and cooldown: other alerts are suppressed, and the next text says how many.

The account's lock is held only while PostgreSQL carries out one message, never over the way there and back: hundreds of
alerts at once would queue for it longer than an alert waits.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_dialogtech.alerts import dedup_sql
from airflow_provider_dialogtech.alerts.dedup_sql import BUDGET_SECONDS, CLOCK_ERROR, StoredAlert
from airflow_provider_dialogtech.delivery.statements import stored_key
from airflow_provider_dialogtech.delivery.store import Statement, Store
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.masking import digest

__all__ = ["BUDGET_SECONDS", "LEASE", "AlertGate", "Claim"]

# A callback that was killed while it waited suppresses others for no longer than this.
LEASE = 60.0
_SHORTEST_RETENTION = 86400.0
_PRUNED_EVERY = 16
# Each time that it was not as it was read, another alert got ahead.
_TRIES = 100

_MAY_BE_OUT = ("sending", "sent", "in_doubt")


@dataclass(frozen=True)
class Claim:
    """The right to send one alert.

    :param id: the claim's name; it is the text's idempotency key in the journal.
    :param suppressed: how many alerts were suppressed since the last text.
    :param since: when the first of these was due.
    :param is_last: whether it is the last one that the recipient's budget allows for now.
    """

    id: str
    key: str = field(repr=False)
    suppressed: int = 0
    since: datetime | None = None
    is_last: bool = False


class AlertGate:
    """Decides which alerts become texts.

    :param store: the journal's store.
    :param account: the account's name in it.
    :param budget: texts per recipient in ten minutes, over all dedup keys.
    """

    def __init__(self, store: Store, account: str, *, budget: int = 10) -> None:
        self._store = store
        self._account = account
        self._lock = digest(account, "alerts")
        self._budget = budget

    def claim(
        self, dedup_key: str, recipient: str, cooldown: timedelta | None, *, claim_id: str | None = None
    ) -> Claim | None:
        """Claim an alert; None when it is suppressed, since its recipient was texted about the same a short time ago.

        :param dedup_key: what the alert is about.
        :param recipient: the number it goes to.
        :param cooldown: how long this recipient is not texted again; None texts each time.
        :param claim_id: the claim's name; made before anything is written, so that a second try recognises the first.
        :raises JournalUnavailable: when the store cannot be used.
        """
        recipient_digest = digest(self._account, "recipient", recipient)
        key = digest(recipient_digest, dedup_key)
        claiming = _Claiming(claim_id or uuid.uuid4().hex, key, recipient_digest, cooldown, self._budget)
        for _ in range(_TRIES):
            decision = claiming.decide(self._store.ask(claiming.question))
            if not decision.writes or self._store.do(*decision.writes, lock=self._lock):
                return decision.claim
        raise JournalUnavailable("too many alerts are claimed at the same time")

    def release(self, claim: Claim, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Give back a claim whose text was certainly not sent: the next alert is sent, and counts this one.

        :param sleep: sleeps while the store is away.
        :raises JournalUnavailable: when the store cannot be used.
        """
        values = {"of_claim": claim.id}
        taking_back = (
            Statement(dedup_sql.TAKE_GRANT_BACK, values),
            Statement(dedup_sql.TAKE_CLAIM_BACK, {**values, "of_key": claim.key}),
        )
        self._store.do(*taking_back, lock=self._lock, sleep=sleep)


@dataclass(frozen=True)
class _Decision:
    """What becomes of an alert, once its writes are done: the last of them changes a row, or nothing is written."""

    claim: Claim | None
    writes: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class _Claiming:
    """One alert that wants to become a text."""

    id: str
    key: str
    recipient: str
    cooldown: timedelta | None
    budget: int

    @property
    def question(self) -> Statement:
        return Statement(dedup_sql.QUESTION, {"of_key": self.key, "of_recipient": self.recipient, "of_claim": self.id})

    def decide(self, row: Any) -> _Decision:
        """Decide by the answer to `question`."""
        alert = StoredAlert.of(row.alert, row.now)
        if row.is_ours and alert is not None:  # only the answer was lost
            return _Decision(self._claimed_before(alert, is_last=row.granted >= self.budget))
        if alert is None:
            if row.granted >= self.budget:
                return _Decision(None, (self._write(dedup_sql.SUPPRESS_FIRST),))
            return _Decision(self._claim(0, None, row), self._writes_of_first(row.granted))
        if alert.last_suppressed == self.id:
            return _Decision(None)
        sent = _was_sent(alert, row)
        if row.granted >= self.budget or (self.cooldown is not None and _is_cooling_down(alert, row.now, sent=sent)):
            return _Decision(None, (self._write(dedup_sql.SUPPRESS, seen_claim=alert.claim),))
        unsent, since = _unsent(alert, row.now, sent=sent)
        return _Decision(self._claim(unsent, since, row), self._writes(alert, unsent, since, row))

    def _claimed_before(self, alert: StoredAlert, *, is_last: bool) -> Claim:
        # Where another alert was claimed since, its text reports what was suppressed.
        is_newest = alert.claim == self.id
        since = _moment(alert.reported_since) if is_newest and alert.reported else None
        return Claim(self.id, self.key, alert.reported if is_newest else 0, since, is_last)

    def _claim(self, unsent: int, since: float | None, row: Any) -> Claim:
        when = _moment(since) if unsent else None
        return Claim(self.id, self.key, unsent, when, is_last=row.granted == self.budget - 1)

    def _writes_of_first(self, granted: int) -> tuple[Statement, ...]:
        claim = self._write(dedup_sql.CLAIM_FIRST, cooldown=self._cooldown_seconds, text_key=stored_key(self.id))
        return (self._grant(dedup_sql.GRANT_FIRST, seen_granted=granted), *self._tidying(), claim)

    def _writes(self, alert: StoredAlert, unsent: int, since: float | None, row: Any) -> tuple[Statement, ...]:
        claimed = replace(
            alert,
            claim=self.id,
            claimed_at=row.now,
            cooldown_ends=row.now + self._cooldown_seconds,
            reported=unsent,
            reported_since=since,
            suppressed=0,
            suppressed_since=None,
            text_key=stored_key(self.id),
        )
        seen = dedup_sql.seen_values(alert)
        claim = self._write(dedup_sql.CLAIM, **dedup_sql.new_values(claimed), **seen)
        return (self._grant(dedup_sql.GRANT, seen_granted=row.granted, **seen), *self._tidying(), claim)

    def _grant(self, sql: Any, **values: Any) -> Statement:
        return self._write(sql, of_recipient=self.recipient, **values)

    def _tidying(self) -> list[Statement]:
        prune = [Statement(dedup_sql.PRUNE, {})] if int(self.id[:8], 16) % _PRUNED_EVERY == 0 else []
        return [Statement(dedup_sql.FORGET_GRANTS, {}), *prune]

    def _write(self, sql: Any, **values: Any) -> Statement:
        return Statement(sql, {"of_key": self.key, "of_claim": self.id, **values})

    @property
    def _cooldown_seconds(self) -> float:
        return self.cooldown.total_seconds() if self.cooldown is not None else 0.0


def _is_cooling_down(alert: StoredAlert, now: float, *, sent: bool) -> bool:
    """Return whether its recipient was texted a short time ago, or is about to be."""
    if alert.claimed_at > now + CLOCK_ERROR:
        return False  # by a clock that was ahead; better one text too many
    counts = alert.claim is not None and (now < alert.claimed_at + LEASE or sent)
    return now < alert.cooldown_ends and counts


def _was_sent(alert: StoredAlert, row: Any) -> bool:
    """Say whether the text of the last claim is out, as far as the journal knows."""
    if not alert.text_key:  # the first release did not write down which text it was
        return True
    # A text that has gone from the journal, for its time was over, was sent; one that never came into it was not.
    is_forgotten = row.text_state is None and alert.claimed_at < row.now - _SHORTEST_RETENTION
    return row.text_state in _MAY_BE_OUT or is_forgotten


def _unsent(alert: StoredAlert, now: float, *, sent: bool) -> tuple[int, float | None]:
    """Return how many alerts no text has reported, and since when."""
    if alert.claim is None or sent:
        return alert.suppressed, alert.suppressed_since
    since = alert.reported_since or min(alert.claimed_at, now)
    return alert.suppressed + alert.reported + 1, since


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
