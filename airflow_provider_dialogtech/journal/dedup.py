"""One message per recipient, dedup key and cooldown: other alerts are suppressed, and the next message counts them.

The account's lock is not held across a network round trip: hundreds of alerts would queue longer than an alert waits.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal import alert_statements
from airflow_provider_dialogtech.journal.alert_statements import BUDGET_SECONDS, CLOCK_ERROR
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.records import stored_key
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest

# A callback that was killed while it waited suppresses other alerts for no longer than this.
LEASE = 60.0
# Each failed compare-and-set means that another alert was claimed first.
_TRIES = 100
_PRUNED_EVERY = 16
_SHORTEST_RETENTION = 86400.0
_MAY_BE_OUT = (State.SENDING, State.SENT, State.IN_DOUBT)


@dataclass(frozen=True)
class StoredAlert:
    """The stored state of one recipient's alerts with one dedup key. A recovery message ends them.

    :param claim: the claim of the last alert that was sent; None if it was given back.
    :param claimed_at: when it was claimed.
    :param cooldown_ends: the end of the recipient's cooldown.
    :param reported: the number of suppressed alerts that its message reports.
    :param reported_since: when the first of these was due.
    :param suppressed: how many alerts were suppressed since.
    :param suppressed_since: when the first of these was due.
    :param message_key: the journal's name of its message.
    :param last_suppressed: the claim that the last suppressed alert would have had.
    :param failures: how many alerts there were, sent or suppressed, since the last recovery message.
    :param failing_since: when the first of these was due.
    :param sent_before: 1 if a message about one of these was sent before the last claim.
    :param about: a digest of what the last claim was about; empty if unknown.
    :param resolution: the claim of the recovery message. It counts while it is the last claim.
    """

    claim: str | None = None
    claimed_at: float = 0.0
    cooldown_ends: float = 0.0
    reported: int = 0
    reported_since: float | None = None
    suppressed: int = 0
    suppressed_since: float | None = None
    message_key: str = ""
    last_suppressed: str = ""
    failures: int = 0
    failing_since: float | None = None
    sent_before: int = 0
    about: str = ""
    resolution: str = ""

    @classmethod
    def of(cls, row: Any) -> StoredAlert | None:
        """Read the answer to `QUESTION`. A clock that was ahead may have written times in the future."""
        if row.key is None:
            return None
        stored = cls(*(getattr(row, name) for name in alert_statements.COLUMNS))
        return replace(
            stored,
            reported_since=_no_later(stored.reported_since, row.now),
            suppressed_since=_no_later(stored.suppressed_since, row.now),
            failing_since=_no_later(stored.failing_since, row.now),
        )

    @property
    def is_resolution(self) -> bool:
        """Whether the last claim is that of a recovery message."""
        return self.claim is not None and self.claim == self.resolution

    def as_it_stands(self, row: Any) -> StoredAlert:
        """Return the current state, if the last claim is that of a recovery message.

        If that message may have been sent, or is about to be, the failures are over. If it was not sent, they continue.
        """
        if not self.is_resolution:
            return self
        if was_sent(self, row) or row.message_state == State.HELD_BACK or is_leased(self, row.now):
            return StoredAlert(last_suppressed=self.last_suppressed)
        return replace(
            self,
            claim=None,
            resolution="",
            cooldown_ends=0.0,
            reported=0,
            reported_since=None,
            suppressed=self.suppressed + self.reported,
            suppressed_since=self.suppressed_since if self.reported_since is None else self.reported_since,
        )


def new_values(alert: StoredAlert) -> dict[str, Any]:
    """Return the parameters of a statement that writes an alert."""
    return {f"new_{name}": value for name, value in asdict(alert).items()}


def seen_values(alert: StoredAlert) -> dict[str, Any]:
    """Return the parameters by which a statement checks that an alert has not changed since it was read."""
    return {"seen_claim": alert.claim, "seen_suppressed": alert.suppressed}


def _no_later(moment: float | None, now: float) -> float | None:
    return None if moment is None else min(moment, now)


def was_sent(alert: StoredAlert, row: Any) -> bool:
    """Return whether the message of the last claim was sent, as far as the journal knows."""
    # A message that the journal has deleted after its retention was sent; one that was never in it was not.
    is_forgotten = row.message_state is None and alert.claimed_at < row.now - _SHORTEST_RETENTION
    return row.message_state in _MAY_BE_OUT or is_forgotten


def is_leased(alert: StoredAlert, now: float) -> bool:
    """Return whether the last claim's message may still be sent."""
    return alert.claim is not None and alert.claimed_at <= now + CLOCK_ERROR and now < alert.claimed_at + LEASE


def is_cooling_down(alert: StoredAlert, now: float, *, sent: bool) -> bool:
    """Return whether its recipient got a message within the cooldown, or is about to get one."""
    if alert.claimed_at > now + CLOCK_ERROR:
        return False  # by a clock that was ahead; one message too many is better than none
    counts = alert.claim is not None and (now < alert.claimed_at + LEASE or sent)
    return now < alert.cooldown_ends and counts


def unsent(alert: StoredAlert, now: float, *, sent: bool) -> tuple[int, float | None]:
    """Return the number of alerts that no message has reported, and since when.

    A message that is about to leave reports its own; where it does not leave after all, `release` counts it.
    """
    if alert.claim is None or sent or is_leased(alert, now):
        return alert.suppressed, alert.suppressed_since
    since = alert.reported_since or min(alert.claimed_at, now)
    return alert.suppressed + alert.reported + 1, since


@dataclass(frozen=True)
class Recovery:
    """The failures that are over.

    :param failures: how many there were, sent or suppressed.
    :param lasted: how long ago the first of them was.
    :param is_same: whether the last message was about the task or DAG that works again.
    """

    failures: int
    lasted: timedelta
    is_same: bool


@dataclass(frozen=True)
class Claim:
    """The right to send one alert.

    :param id: the claim's name; it is the message's idempotency key in the journal.
    :param suppressed: how many alerts were suppressed since the last message.
    :param since: when the first of these was due.
    :param is_last: whether it is the last one that the recipient's budget allows for now.
    :param recovery: the failures that are over, if this is a recovery message.
    """

    id: str
    key: str = field(repr=False)
    suppressed: int = 0
    since: datetime | None = None
    is_last: bool = False
    recovery: Recovery | None = None


@dataclass(frozen=True)
class Decision:
    """The decision on an alert, once its writes are done: the last of them changes a row, or nothing is written.

    :param claim: the right to send it; None if it is suppressed, or there is nothing to resolve.
    :param writes: what is to be written.
    :param cooldown_ends: until when it is suppressed, because its recipient got one with the same dedup key.
    :param is_used_up: whether it is suppressed because the recipient's budget is used up.
    """

    claim: Claim | None
    writes: tuple[Statement, ...] = ()
    cooldown_ends: datetime | None = None
    is_used_up: bool = False


@dataclass(frozen=True)
class Wanted:
    """A message to be claimed: its recipient and its subject."""

    id: str
    key: str
    recipient: str
    about: str
    budget: int

    @property
    def question(self) -> Statement:
        return Statement(
            alert_statements.QUESTION, {"of_key": self.key, "of_recipient": self.recipient, "of_claim": self.id}
        )

    def write(self, sql: Any, **values: Any) -> Statement:
        return Statement(sql, {"of_key": self.key, "of_claim": self.id, **values})

    def claimed(self, alert: StoredAlert, now: float, reported: int, since: float | None) -> StoredAlert:
        """Return the alert with this message reporting the suppressed ones."""
        return replace(
            alert,
            claim=self.id,
            claimed_at=now,
            cooldown_ends=now,
            reported=reported,
            reported_since=since,
            suppressed=0,
            suppressed_since=None,
            message_key=stored_key(self.id),
            failing_since=alert.failing_since or now,
        )

    def write_claim(self, seen: StoredAlert, claimed: StoredAlert, row: Any) -> tuple[Statement, ...]:
        """Return the statement that makes the claim, if the alert has not changed since it was read."""
        values = seen_values(seen)
        claim = self.write(alert_statements.CLAIM, **new_values(claimed), **values)
        return (self.grant(alert_statements.GRANT, seen_granted=row.granted, **values), *self.tidying(), claim)

    def grant(self, sql: Any, **values: Any) -> Statement:
        return self.write(sql, of_recipient=self.recipient, **values)

    def tidying(self) -> list[Statement]:
        prune = [Statement(alert_statements.PRUNE, {})] if int(self.id[:8], 16) % _PRUNED_EVERY == 0 else []
        return [Statement(alert_statements.FORGET_GRANTS, {}), *prune]

    def is_last(self, row: Any) -> bool:
        return bool(row.granted == self.budget - 1)


@dataclass(frozen=True)
class Claiming:
    """An alert to be claimed."""

    wanted: Wanted
    cooldown: timedelta | None
    run: Wanted | None = None

    def decide(self, row: Any) -> Decision:
        seen = StoredAlert.of(row)
        if row.is_ours and seen is not None:  # only the answer was lost
            return Decision(self._claimed_before(seen, is_last=row.granted >= self.wanted.budget))
        is_used_up = row.granted >= self.wanted.budget
        if seen is None and is_used_up:
            writes = (*self._notes(is_suppressed=True), self.wanted.write(alert_statements.SUPPRESS_FIRST))
            return Decision(None, writes, is_used_up=True)
        if seen is None:
            return Decision(self._claim(0, None, row), self._writes_of_first(row.granted))
        if seen.last_suppressed == self.wanted.id:
            return Decision(None, cooldown_ends=_moment(seen.cooldown_ends), is_used_up=is_used_up)
        alert = seen.as_it_stands(row)
        sent = was_sent(alert, row)
        if is_used_up or (self.cooldown is not None and is_cooling_down(alert, row.now, sent=sent)):
            writes = (*self._notes(is_suppressed=True), self._suppress(seen, alert, row.now))
            return Decision(None, writes, None if is_used_up else _moment(alert.cooldown_ends), is_used_up)
        return self._claimed(seen, alert, row, sent=sent)

    def _claimed_before(self, alert: StoredAlert, *, is_last: bool) -> Claim:
        # If another alert was claimed since, its message reports the suppressed ones.
        is_newest = alert.claim == self.wanted.id
        since = _moment(alert.reported_since) if is_newest and alert.reported else None
        return Claim(self.wanted.id, self.wanted.key, alert.reported if is_newest else 0, since, is_last)

    def _claim(self, suppressed: int, since: float | None, row: Any) -> Claim:
        when = _moment(since) if suppressed else None
        return Claim(self.wanted.id, self.wanted.key, suppressed, when, is_last=self.wanted.is_last(row))

    def _writes_of_first(self, granted: int) -> tuple[Statement, ...]:
        claim = self.wanted.write(
            alert_statements.CLAIM_FIRST,
            cooldown=self._cooldown_seconds,
            message_key=stored_key(self.wanted.id),
            about=self.wanted.about,
        )
        grant = self.wanted.grant(alert_statements.GRANT_FIRST, seen_granted=granted)
        return (*self._notes(), grant, *self.wanted.tidying(), claim)

    def _claimed(self, seen: StoredAlert, alert: StoredAlert, row: Any, *, sent: bool) -> Decision:
        reported, since = unsent(alert, row.now, sent=sent)
        claimed = replace(
            self.wanted.claimed(alert, row.now, reported, since),
            cooldown_ends=row.now + self._cooldown_seconds,
            failures=alert.failures + 1,
            sent_before=int(alert.sent_before or (alert.claim is not None and sent)),
            about=self.wanted.about,
        )
        writes = (*self._notes(), *self.wanted.write_claim(seen, claimed, row))
        return Decision(self._claim(reported, since, row), writes)

    def _notes(self, *, is_suppressed: bool = False) -> tuple[Statement, ...]:
        """Return the statement that records that its recipient is alerted to a run, or that an alert about the whole
        run is counted."""
        if self.run is None or (is_suppressed and not self.run.about):
            return ()
        values = {"message_key": "" if is_suppressed else stored_key(self.wanted.id), "about": self.run.about}
        return tuple(self.run.write(sql, **values) for sql in (alert_statements.NOTE, alert_statements.NOTE_FIRST))

    def _suppress(self, seen: StoredAlert, alert: StoredAlert, now: float) -> Statement:
        if alert == seen:
            return self.wanted.write(alert_statements.SUPPRESS, seen_claim=seen.claim)
        suppressed = replace(
            alert,
            claimed_at=now,
            cooldown_ends=now,
            suppressed=alert.suppressed + 1,
            suppressed_since=now if alert.suppressed_since is None else alert.suppressed_since,
            last_suppressed=self.wanted.id,
            failures=alert.failures + 1,
            failing_since=alert.failing_since or now,
        )
        values = new_values(suppressed) | seen_values(seen)
        return self.wanted.write(alert_statements.SUPPRESS_ANEW, **values)

    @property
    def _cooldown_seconds(self) -> float:
        return (self.cooldown or timedelta()).total_seconds()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


@dataclass(frozen=True)
class Resolving:
    """A recovery message to be claimed, if there were failures."""

    wanted: Wanted
    same_only: bool
    recent: timedelta | None = None

    def decide(self, row: Any) -> Decision:
        seen = StoredAlert.of(row)
        if seen is None:
            return Decision(None)
        if row.is_ours:  # only the answer was lost; a later failure was sent at once
            is_last = row.granted >= self.wanted.budget
            return Decision(self._claim(seen, is_last=is_last) if seen.claim == self.wanted.id else None)
        alert = seen.as_it_stands(row)
        # If the budget is used up, the next success sends it.
        if not self._is_to_send(alert, row) or row.granted >= self.wanted.budget:
            return Decision(None)
        resolved = self._resolved(alert, row.now)
        claim = self._claim(resolved, is_last=self.wanted.is_last(row))
        return Decision(claim, self.wanted.write_claim(seen, resolved, row))

    def _is_to_send(self, alert: StoredAlert, row: Any) -> bool:
        if self.same_only and alert.about != self.wanted.about:
            return False
        if self.recent is not None and row.now - alert.claimed_at > self.recent.total_seconds():
            return False
        if alert.claim is not None and was_sent(alert, row):
            return True
        # A failure whose message is about to be sent is not over yet.
        return bool(alert.sent_before) and not is_leased(alert, row.now)

    def _resolved(self, alert: StoredAlert, now: float) -> StoredAlert:
        claimed = self.wanted.claimed(alert, now, alert.suppressed, alert.suppressed_since)
        return replace(claimed, sent_before=1, resolution=self.wanted.id)

    def _claim(self, resolved: StoredAlert, *, is_last: bool) -> Claim:
        lasted = timedelta(seconds=max(0.0, resolved.claimed_at - (resolved.failing_since or resolved.claimed_at)))
        recovery = Recovery(resolved.failures, lasted, is_same=resolved.about == self.wanted.about)
        return Claim(self.wanted.id, self.wanted.key, is_last=is_last, recovery=recovery)


__all__ = ["BUDGET_SECONDS", "LEASE", "AlertGate", "Claim"]


class AlertGate:
    """Decides which alerts are sent.

    :param store: the journal's store.
    :param account: the account's name in it.
    :param budget: messages per recipient in ten minutes, over all dedup keys.
    :param namespace: the name of the Airflow that alerts: alerts of other Airflows do not suppress its own.
    """

    def __init__(self, store: Store, account: str, *, budget: int = 10, namespace: str = "") -> None:
        self._store = store
        self._account = account
        self._lock = digest(account, "alerts")
        self._budget = budget
        self._namespace = namespace

    def decide(
        self,
        dedup_key: str,
        recipient: str,
        cooldown: timedelta | None,
        *,
        about: str = "",
        run: str = "",
        is_whole_run: bool = False,
        claim_id: str | None = None,
    ) -> Decision:
        """Claim an alert, or say why it is suppressed.

        :param dedup_key: what the alert is about.
        :param recipient: the number it goes to.
        :param cooldown: how long later alerts to this recipient are suppressed; None for not at all.
        :param about: the task or DAG that it is about: several of them may share a dedup key.
        :param run: the failed run that it is about, noted for `has_told`; empty for none.
        :param is_whole_run: whether it is about the run itself, not about one of its tasks.
        :param claim_id: the claim's name; made before anything is written, so that a second try recognises the first.
        :raises JournalUnavailable: when the store cannot be used.
        """
        wanted = self._wanted(dedup_key, recipient, about, claim_id)
        of_run = Wanted(wanted.id, self._run_key(run, recipient), "", wanted.key if is_whole_run else "", 0)
        return self._decide(Claiming(wanted, cooldown, of_run if run else None))

    def has_told(self, dedup_key: str, recipient: str, run: str, within: timedelta) -> bool:
        """Return whether any account alerted a recipient to a run, or the alert was counted under the same dedup key.

        :param dedup_key: that of the alert about the whole run.
        :param recipient: the number.
        :param run: the run, as it was given to `decide`.
        :param within: since when.
        :raises JournalUnavailable: when the store cannot be used.
        """
        row = self._store.ask(Wanted("", self._run_key(run, recipient), "", "", 0).question)[0]
        told = StoredAlert.of(row)
        if told is None or told.claimed_at <= row.now - within.total_seconds():
            return False
        counted_as = self._wanted(dedup_key, recipient, "", "").key
        return row.message_state in {State.RESERVED, *_MAY_BE_OUT} or (
            not told.message_key and told.about == counted_as
        )

    def resolve(
        self,
        dedup_key: str,
        recipient: str,
        *,
        about: str = "",
        same_only: bool = False,
        recent: timedelta | None = None,
        claim_id: str | None = None,
    ) -> Claim | None:
        """Claim the recovery message; None if no message about a failure was sent since the last claim.

        Nothing is locked or written then. Otherwise the failures are over once the message is sent: the next failure is
        sent at once. If the message is not sent, they continue.

        :param dedup_key: that of the failures.
        :param recipient: the number it goes to.
        :param about: the task or DAG that works again.
        :param same_only: whether it is sent only if the last message was about that task or DAG.
        :param recent: the greatest age of the last failure; after an older one it is not sent.
        :param claim_id: as for `decide`.
        :raises JournalUnavailable: when the store cannot be used.
        """
        return self._decide(Resolving(self._wanted(dedup_key, recipient, about, claim_id), same_only, recent)).claim

    def _wanted(self, dedup_key: str, recipient: str, about: str, claim_id: str | None) -> Wanted:
        recipient_digest = digest(self._account, "recipient", recipient)
        key = digest(recipient_digest, dedup_key, *filter(None, [self._namespace]))
        return Wanted(claim_id or uuid.uuid4().hex, key, recipient_digest, digest(key, about), self._budget)

    def _run_key(self, run: str, recipient: str) -> str:
        return digest("run", self._namespace, run, recipient)

    def _decide(self, deciding: Claiming | Resolving) -> Decision:
        for _ in range(_TRIES):
            decision = deciding.decide(self._store.ask(deciding.wanted.question)[0])
            if not decision.writes or self._store.do(*decision.writes, lock=self._lock):
                return decision
        raise JournalUnavailable("too many alerts are claimed at the same time")

    def release(self, claim: Claim) -> None:
        """Give back a claim whose message was certainly not sent: the next alert is sent, and counts this one.

        :raises JournalUnavailable: when the store cannot be used.
        """
        values = {"of_claim": claim.id, "of_key": claim.key}
        unsent = claim.suppressed + 1 if claim.recovery is None else 0
        taking_back = (
            Statement(alert_statements.COUNT_SUPERSEDED, {**values, "unsent": unsent, "lease": LEASE}),
            Statement(alert_statements.TAKE_CLAIM_BACK, values),
            Statement(alert_statements.TAKE_GRANT_BACK, {"of_claim": claim.id}),
        )
        self._store.do(*taking_back, lock=self._lock)
