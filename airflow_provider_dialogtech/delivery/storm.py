"""One alert per recipient, dedup key and cooldown: a storm of failures is one text, and the next says how many more."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from airflow_provider_dialogtech.delivery.store import Store, alert_grants, alerts, sends
from airflow_provider_dialogtech.masking import digest

# A callback that was killed while it waited mutes nobody for longer than this.
LEASE = 60.0
BUDGET_SECONDS = 600.0

_TOLD = ("sending", "sent", "in_doubt")


@dataclass(frozen=True)
class Claim:
    """The right to send one alert.

    :param id: the claim's name; it is the text's idempotency key in the journal.
    :param more: how many alerts were not sent since the last text.
    :param since: when the first of these was due.
    :param last: whether it is the last one that the recipient's budget allows for now.
    """

    id: str
    key: str = field(repr=False)
    more: int = 0
    since: datetime | None = None
    last: bool = False


class AlertGate:
    """Decides which alerts become texts.

    :param store: the journal's store.
    :param account: a digest of the account's access key.
    :param budget: texts per recipient in ten minutes, over all dedup keys.
    """

    def __init__(self, store: Store, account: str, *, budget: int = 10) -> None:
        self._store = store
        self._account = account
        self._lock = digest(account, "alerts")
        self._budget = budget

    def claim(self, dedup_key: str, recipient: str, cooldown: timedelta | None) -> Claim | None:
        """Claim an alert; None when it is only counted, since its recipient has just been told.

        :param dedup_key: what the alert is about.
        :param recipient: the number it goes to.
        :param cooldown: how long this recipient is not told again; None tells each time.
        :raises JournalUnavailable: when the store cannot be used.
        """
        recipient_digest = digest(self._account, "recipient", recipient)
        key = digest(recipient_digest, dedup_key)

        def work(connection: Connection, now: float) -> Claim | None:
            row = _alert(connection, key, now)
            granted = _granted(connection, recipient_digest, now)
            if granted >= self._budget or (
                cooldown is not None and now < row.silent_until and _stands(connection, row, now)
            ):
                _count(connection, row, now)
                return None
            more, since = _untold(connection, row)
            claim = uuid.uuid4().hex
            connection.execute(alert_grants.insert().values(claim=claim, recipient=recipient_digest, at=now))
            _update(
                connection,
                key,
                claim=claim,
                claimed=now,
                silent_until=now + (cooldown.total_seconds() if cooldown is not None else 0),
                carried=more,
                carried_since=since,
                more=0,
                more_since=None,
            )
            when = datetime.fromtimestamp(since, timezone.utc) if since is not None else None
            return Claim(claim, key, more, when, last=granted == self._budget - 1)

        return self._store.run(self._lock, work)

    def release(self, claim: Claim) -> None:
        """Give back a claim whose text was certainly not sent: the next alert is sent, and counts this one.

        :raises JournalUnavailable: when the store cannot be used.
        """

        def work(connection: Connection, now: float) -> None:
            connection.execute(alert_grants.delete().where(alert_grants.c.claim == claim.id))
            row = _alert(connection, claim.key, now)
            if row.claim == claim.id:
                more, since = row.more + row.carried + 1, row.carried_since or row.claimed
                _update(connection, claim.key, claim=None, silent_until=now, carried=0, more=more, more_since=since)

        self._store.run(self._lock, work)


def _alert(connection: Connection, key: str, now: float) -> Any:
    query = sa.select(alerts).where(alerts.c.key == key)
    row = connection.execute(query).first()
    if row is None:
        connection.execute(alerts.insert().values(key=key, claimed=now, silent_until=now, carried=0, more=0))
        row = connection.execute(query).one()
    return row


def _granted(connection: Connection, recipient: str, now: float) -> int:
    connection.execute(alert_grants.delete().where(alert_grants.c.at < now - BUDGET_SECONDS))
    query = sa.select(sa.func.count()).select_from(alert_grants).where(alert_grants.c.recipient == recipient)
    return int(connection.execute(query).scalar_one())


def _told(connection: Connection, row: Any) -> bool:
    """Say whether the text of the row's claim is out, or may be."""
    state = connection.execute(sa.select(sends.c.state).where(sends.c.key == digest(row.claim))).scalar()
    return state in _TOLD


def _stands(connection: Connection, row: Any, now: float) -> bool:
    return row.claim is not None and (now < row.claimed + LEASE or _told(connection, row))


def _untold(connection: Connection, row: Any) -> tuple[int, float | None]:
    """Count the alerts that no text has told of, and since when."""
    if row.claim is None or _told(connection, row):
        return row.more, row.more_since
    return row.more + row.carried + 1, row.carried_since or row.claimed


def _count(connection: Connection, row: Any, now: float) -> None:
    _update(connection, row.key, more=row.more + 1, more_since=row.more_since or now)


def _update(connection: Connection, key: str, **values: Any) -> None:
    connection.execute(alerts.update().where(alerts.c.key == key).values(**values))
