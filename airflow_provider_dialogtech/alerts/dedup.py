"""One text per recipient, dedup key and cooldown: other alerts are suppressed, and the next text says how many.

The account's lock is held only while PostgreSQL carries out one message, never over the way there and back: hundreds of
alerts at once would queue for it longer than an alert waits.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from airflow_provider_dialogtech.alerts import dedup_sql
from airflow_provider_dialogtech.alerts.claiming import Claiming
from airflow_provider_dialogtech.alerts.dedup_sql import BUDGET_SECONDS
from airflow_provider_dialogtech.alerts.resolving import Resolving
from airflow_provider_dialogtech.alerts.stored_alert import LEASE
from airflow_provider_dialogtech.alerts.wanted import Claim, Wanted
from airflow_provider_dialogtech.delivery.store import Statement, Store
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.masking import digest

__all__ = ["BUDGET_SECONDS", "LEASE", "AlertGate", "Claim"]

# Each time that it was not as it was read, another alert got ahead.
_TRIES = 100


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
        self,
        dedup_key: str,
        recipient: str,
        cooldown: timedelta | None,
        *,
        about: str = "",
        claim_id: str | None = None,
    ) -> Claim | None:
        """Claim an alert; None when it is suppressed, since its recipient was texted about the same a short time ago.

        :param dedup_key: what the alert is about.
        :param recipient: the number it goes to.
        :param cooldown: how long this recipient is not texted again; None texts each time.
        :param about: the task or DAG that it is about: several of them may share a dedup key.
        :param claim_id: the claim's name; made before anything is written, so that a second try recognises the first.
        :raises JournalUnavailable: when the store cannot be used.
        """
        return self._decide(Claiming(self._wanted(dedup_key, recipient, about, claim_id), cooldown))

    def resolve(
        self, dedup_key: str, recipient: str, *, about: str = "", same_only: bool = False, claim_id: str | None = None
    ) -> Claim | None:
        """Claim the text that failures are over; None where no text about one was sent since the last such text.

        Nothing is locked or written then. Else these failures are over once the text is out: the next one is sent at
        once. Where it does not leave, they go on.

        :param dedup_key: that of the failures.
        :param recipient: the number it goes to.
        :param about: the task or DAG that works again.
        :param same_only: whether it is sent only where the last text was about that task or DAG.
        :param claim_id: as for `claim`.
        :raises JournalUnavailable: when the store cannot be used.
        """
        return self._decide(Resolving(self._wanted(dedup_key, recipient, about, claim_id), same_only))

    def _wanted(self, dedup_key: str, recipient: str, about: str, claim_id: str | None) -> Wanted:
        recipient_digest = digest(self._account, "recipient", recipient)
        key = digest(recipient_digest, dedup_key)
        return Wanted(claim_id or uuid.uuid4().hex, key, recipient_digest, digest(key, about), self._budget)

    def _decide(self, deciding: Claiming | Resolving) -> Claim | None:
        for _ in range(_TRIES):
            decision = deciding.decide(self._store.ask(deciding.wanted.question))
            if not decision.writes or self._store.do(*decision.writes, lock=self._lock):
                return decision.claim
        raise JournalUnavailable("too many alerts are claimed at the same time")

    def release(self, claim: Claim) -> None:
        """Give back a claim whose text was certainly not sent: the next alert is sent, and counts this one.

        :raises JournalUnavailable: when the store cannot be used.
        """
        values = {"of_claim": claim.id}
        taking_back = (
            Statement(dedup_sql.TAKE_GRANT_BACK, values),
            Statement(dedup_sql.TAKE_CLAIM_BACK, {**values, "of_key": claim.key}),
        )
        self._store.do(*taking_back, lock=self._lock)
