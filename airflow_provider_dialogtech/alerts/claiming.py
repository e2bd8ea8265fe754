"""Whether an alert becomes a text, or is suppressed and counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_dialogtech.alerts import dedup_sql
from airflow_provider_dialogtech.alerts.stored_alert import StoredAlert, is_cooling_down, unsent, was_sent
from airflow_provider_dialogtech.alerts.wanted import Claim, Decision, Wanted
from airflow_provider_dialogtech.delivery.statements import stored_key
from airflow_provider_dialogtech.delivery.store import Statement


@dataclass(frozen=True)
class Claiming:
    """One alert that wants to become a text."""

    wanted: Wanted
    cooldown: timedelta | None

    @property
    def id(self) -> str:
        return self.wanted.id

    def decide(self, row: Any) -> Decision:
        seen = StoredAlert.of(row)
        if row.is_ours and seen is not None:  # only the answer was lost
            return Decision(self._claimed_before(seen, is_last=row.granted >= self.wanted.budget))
        is_used_up = row.granted >= self.wanted.budget
        if seen is None:
            if is_used_up:
                return Decision(None, (self.wanted.write(dedup_sql.SUPPRESS_FIRST),))
            return Decision(self._claim(0, None, row), self._writes_of_first(row.granted))
        if seen.last_suppressed == self.id:
            return Decision(None)
        alert = seen.as_it_stands(row)
        sent = was_sent(alert, row)
        if is_used_up or (self.cooldown is not None and is_cooling_down(alert, row.now, sent=sent)):
            return Decision(None, (self._suppress(seen, alert, row.now),))
        return self._claimed(seen, alert, row, sent=sent)

    def _claimed_before(self, alert: StoredAlert, *, is_last: bool) -> Claim:
        # Where another alert was claimed since, its text reports what was suppressed.
        is_newest = alert.claim == self.id
        since = _moment(alert.reported_since) if is_newest and alert.reported else None
        return Claim(self.id, self.wanted.key, alert.reported if is_newest else 0, since, is_last)

    def _claim(self, suppressed: int, since: float | None, row: Any) -> Claim:
        when = _moment(since) if suppressed else None
        return Claim(self.id, self.wanted.key, suppressed, when, is_last=self.wanted.is_last(row))

    def _writes_of_first(self, granted: int) -> tuple[Statement, ...]:
        claim = self.wanted.write(
            dedup_sql.CLAIM_FIRST,
            cooldown=self._cooldown_seconds,
            text_key=stored_key(self.id),
            about=self.wanted.about,
        )
        grant = self.wanted.grant(dedup_sql.GRANT_FIRST, seen_granted=granted)
        return (grant, *self.wanted.tidying(), claim)

    def _claimed(self, seen: StoredAlert, alert: StoredAlert, row: Any, *, sent: bool) -> Decision:
        reported, since = unsent(alert, row.now, sent=sent)
        claimed = replace(
            alert,
            claim=self.id,
            claimed_at=row.now,
            cooldown_ends=row.now + self._cooldown_seconds,
            reported=reported,
            reported_since=since,
            suppressed=0,
            suppressed_since=None,
            text_key=stored_key(self.id),
            failures=alert.known_failures + 1,
            failing_since=alert.first_failure(row.now),
            sent_before=int(alert.sent_before or (alert.claim is not None and sent)),
            about=self.wanted.about,
        )
        return Decision(self._claim(reported, since, row), self.wanted.write_claim(seen, claimed, row))

    def _suppress(self, seen: StoredAlert, alert: StoredAlert, now: float) -> Statement:
        if alert == seen:
            return self.wanted.write(dedup_sql.SUPPRESS, seen_claim=seen.claim)
        suppressed = replace(
            alert,
            claimed_at=now,
            cooldown_ends=now,
            suppressed=alert.suppressed + 1,
            suppressed_since=now if alert.suppressed_since is None else alert.suppressed_since,
            last_suppressed=self.id,
            failures=alert.known_failures + 1,
            failing_since=alert.first_failure(now),
        )
        values = dedup_sql.new_values(suppressed) | dedup_sql.seen_values(seen)
        return self.wanted.write(dedup_sql.SUPPRESS_ANEW, **values)

    @property
    def _cooldown_seconds(self) -> float:
        return self.cooldown.total_seconds() if self.cooldown is not None else 0.0


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
