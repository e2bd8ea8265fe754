"""Whether a success becomes the text that failures are over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from airflow_provider_dialogtech.alerts.stored_alert import StoredAlert, is_leased, was_sent
from airflow_provider_dialogtech.alerts.wanted import Claim, Decision, Recovery, Wanted
from airflow_provider_dialogtech.delivery.statements import stored_key


@dataclass(frozen=True)
class Resolving:
    """One text that failures are over, where there were some."""

    wanted: Wanted
    same_only: bool

    def decide(self, row: Any) -> Decision:
        seen = StoredAlert.of(row)
        if seen is None:
            return Decision(None)
        if row.is_ours:  # only the answer was lost; a failure since was sent at once
            is_last = row.granted >= self.wanted.budget
            return Decision(self._claim(seen, is_last=is_last) if seen.claim == self.wanted.id else None)
        alert = seen.as_it_stands(row)
        # Where the budget is used up, the next success sends it.
        if not self._is_to_send(alert, row) or row.granted >= self.wanted.budget:
            return Decision(None)
        resolved = self._resolved(alert, row.now)
        claim = self._claim(resolved, is_last=self.wanted.is_last(row))
        return Decision(claim, self.wanted.write_claim(seen, resolved, row))

    def _is_to_send(self, alert: StoredAlert, row: Any) -> bool:
        if self.same_only and alert.about != self.wanted.about:
            return False
        if alert.claim is not None and was_sent(alert, row):
            return True
        # A failure whose text is about to leave is not over yet.
        return bool(alert.sent_before) and not is_leased(alert, row.now)

    def _resolved(self, alert: StoredAlert, now: float) -> StoredAlert:
        reported, since = alert.suppressed, alert.suppressed_since
        return replace(
            alert,
            claim=self.wanted.id,
            claimed_at=now,
            cooldown_ends=now,
            reported=reported,
            reported_since=since,
            suppressed=0,
            suppressed_since=None,
            text_key=stored_key(self.wanted.id),
            failures=alert.known_failures,
            failing_since=alert.first_failure(now),
            sent_before=1,
            resolution=self.wanted.id,
        )

    def _claim(self, resolved: StoredAlert, *, is_last: bool) -> Claim:
        lasted = timedelta(seconds=max(0.0, resolved.claimed_at - resolved.first_failure(resolved.claimed_at)))
        recovery = Recovery(resolved.failures, lasted, is_same=resolved.about == self.wanted.about)
        return Claim(self.wanted.id, self.wanted.key, is_last=is_last, recovery=recovery)
