"""A text that an alert wants to be, and the right to send it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_dialogtech.alerts import dedup_sql
from airflow_provider_dialogtech.alerts.stored_alert import StoredAlert
from airflow_provider_dialogtech.delivery.store import Statement

_PRUNED_EVERY = 16


@dataclass(frozen=True)
class Recovery:
    """The failures that are over.

    :param failures: how many there were, sent or suppressed.
    :param lasted: how long ago the first of them was.
    :param is_same: whether the last text was about the task or DAG that works now.
    """

    failures: int
    lasted: timedelta
    is_same: bool


@dataclass(frozen=True)
class Claim:
    """The right to send one alert.

    :param id: the claim's name; it is the text's idempotency key in the journal.
    :param suppressed: how many alerts were suppressed since the last text.
    :param since: when the first of these was due.
    :param is_last: whether it is the last one that the recipient's budget allows for now.
    :param recovery: the failures that are over, where its text says that.
    """

    id: str
    key: str = field(repr=False)
    suppressed: int = 0
    since: datetime | None = None
    is_last: bool = False
    recovery: Recovery | None = None


@dataclass(frozen=True)
class Decision:
    """What becomes of an alert, once its writes are done: the last of them changes a row, or nothing is written."""

    claim: Claim | None
    writes: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """A text that somebody wants to send: to whom, and about what."""

    id: str
    key: str
    recipient: str
    about: str
    budget: int

    @property
    def question(self) -> Statement:
        return Statement(dedup_sql.QUESTION, {"of_key": self.key, "of_recipient": self.recipient, "of_claim": self.id})

    def write(self, sql: Any, **values: Any) -> Statement:
        return Statement(sql, {"of_key": self.key, "of_claim": self.id, **values})

    def write_claim(self, seen: StoredAlert, claimed: StoredAlert, row: Any) -> tuple[Statement, ...]:
        """Return what makes the claim, where the alert is still as it was seen."""
        values = dedup_sql.seen_values(seen)
        claim = self.write(dedup_sql.CLAIM, **dedup_sql.new_values(claimed), **values)
        return (self.grant(dedup_sql.GRANT, seen_granted=row.granted, **values), *self.tidying(), claim)

    def grant(self, sql: Any, **values: Any) -> Statement:
        return self.write(sql, of_recipient=self.recipient, **values)

    def tidying(self) -> list[Statement]:
        prune = [Statement(dedup_sql.PRUNE, {})] if int(self.id[:8], 16) % _PRUNED_EVERY == 0 else []
        return [Statement(dedup_sql.FORGET_GRANTS, {}), *prune]

    def is_last(self, row: Any) -> bool:
        return bool(row.granted == self.budget - 1)
