"""One alert per recipient, dedup key and cooldown: a storm of failures is one text, and the next says how many more."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa

from airflow_provider_dialogtech.delivery.schema import alert_grants, alerts, json_rows, now, sends
from airflow_provider_dialogtech.delivery.store import Reading, Statement, Store
from airflow_provider_dialogtech.masking import digest

# A callback that was killed while it waited mutes nobody for longer than this.
LEASE = 60.0
BUDGET_SECONDS = 600.0
# What nobody has been told of for so long is forgotten.
_FORGOTTEN_AFTER = 90 * 86400.0
_PRUNED_AT_ONCE = 100
_SHORTEST_RETENTION = 86400.0
_PRUNED_EVERY = 16
# Times further ahead were written by a clock that is right again.
_CLOCK_ERROR = 1.0

_TOLD = ("sending", "sent", "in_doubt")

_key: Any = sa.bindparam("of_key")
_claim: Any = sa.bindparam("of_claim")
_recipient: Any = sa.bindparam("of_recipient")
_COLUMNS = (
    "claim", "claimed", "silent_until", "carried", "carried_since", "more", "more_since", "text_key", "counted"
)  # fmt: skip


def _question() -> Any:
    its_text = sa.select(alerts.c.text_key).where(alerts.c.key == _key).scalar_subquery()
    counts = sa.and_(
        alert_grants.c.recipient == _recipient,
        alert_grants.c.at > now() - BUDGET_SECONDS,
        alert_grants.c.at < now() + _CLOCK_ERROR,
    )
    return sa.select(
        now().label("now"),
        sa.select(json_rows(*(alerts.c[name] for name in _COLUMNS)))
        .where(alerts.c.key == _key)
        .scalar_subquery()
        .label("alert"),
        sa.select(sends.c.state).where(sends.c.key == its_text).scalar_subquery().label("text_state"),
        sa.select(sa.func.count()).select_from(alert_grants).where(counts).scalar_subquery().label("granted"),
        sa.select(sa.func.count())
        .select_from(alert_grants)
        .where(alert_grants.c.claim == _claim)
        .scalar_subquery()
        .label("is_ours"),
    )


_BEFORE_CLAIMING = _question()
_INSERT = alerts.insert().inline()
_UPDATE = (
    alerts.update()
    .where(alerts.c.key == _key)
    .values({alerts.c[name]: sa.bindparam(f"new_{name}", type_=alerts.c[name].type) for name in _COLUMNS})
)
_GRANT = alert_grants.insert().inline()
_FORGET_GRANTS = alert_grants.delete().where(
    sa.or_(alert_grants.c.at < now() - BUDGET_SECONDS, alert_grants.c.at > now() + BUDGET_SECONDS)
)
_OLD = sa.select(alerts.c.key).where(sa.and_(alerts.c.silent_until < now() - _FORGOTTEN_AFTER))
_PRUNE = alerts.delete().where(alerts.c.key.in_(_OLD.limit(_PRUNED_AT_ONCE)))
_TAKE_GRANT_BACK = alert_grants.delete().where(alert_grants.c.claim == _claim)
_TAKE_CLAIM_BACK = (
    alerts.update()
    .where(alerts.c.key == _key, alerts.c.claim == _claim)
    .values(
        claim=None,
        silent_until=now(),
        carried=0,
        more=alerts.c.more + alerts.c.carried + 1,
        more_since=sa.func.coalesce(alerts.c.carried_since, alerts.c.claimed),
        carried_since=None,
    )
)


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
        """Claim an alert; None when it is only counted, since its recipient has just been told.

        :param dedup_key: what the alert is about.
        :param recipient: the number it goes to.
        :param cooldown: how long this recipient is not told again; None tells each time.
        :param claim_id: the claim's name; made before the transaction, so that a second try recognises the first.
        :raises JournalUnavailable: when the store cannot be used.
        """
        recipient_digest = digest(self._account, "recipient", recipient)
        key = digest(recipient_digest, dedup_key)
        id_ = claim_id or uuid.uuid4().hex

        def plan(row: Any, reading: Reading) -> tuple[Claim | None, list[Statement]]:
            alert = _Alert(row, reading.now)
            if row.is_ours:
                return alert.claim_again(id_, key, last=row.granted >= self._budget), []
            if alert.counted == id_:
                return None, []
            if row.granted >= self._budget or (cooldown is not None and alert.is_silent()):
                return None, [alert.write(key, **alert.counting(id_))]
            seconds = cooldown.total_seconds() if cooldown is not None else 0.0
            writes = [
                Statement(_GRANT, {"claim": id_, "recipient": recipient_digest, "at": reading.now}),
                alert.write(key, **alert.claiming(id_, reading.now + seconds)),
                Statement(_FORGET_GRANTS, {}),
            ]
            if int(id_[:8], 16) % _PRUNED_EVERY == 0:
                writes.append(Statement(_PRUNE, {}))
            return alert.claim(id_, key, last=row.granted == self._budget - 1), writes

        question = Statement(_BEFORE_CLAIMING, {"of_key": key, "of_recipient": recipient_digest, "of_claim": id_})
        return self._store.locked(self._lock, question, plan)

    def release(self, claim: Claim, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Give back a claim whose text was certainly not sent: the next alert is sent, and counts this one.

        :param sleep: sleeps while the store is away.
        :raises JournalUnavailable: when the store cannot be used.
        """
        values = {"of_claim": claim.id, "of_key": claim.key}
        taking_back = (Statement(_TAKE_GRANT_BACK, {"of_claim": claim.id}), Statement(_TAKE_CLAIM_BACK, values))
        self._store.do(*taking_back, sleep=sleep)


class _Alert:
    """What is known of one alert, told or not."""

    def __init__(self, row: Any, now: float) -> None:
        found = json.loads(row.alert)
        self._exists = bool(found)
        self._now = now
        self._text_state = row.text_state
        self._old: dict[str, Any] = dict(zip(_COLUMNS, found[0] if found else _new(now), strict=True))
        for name in ("more_since", "carried_since"):  # a clock that was ahead may have written them
            self._old[name] = None if self._old[name] is None else min(self._old[name], now)

    @property
    def counted(self) -> str:
        return str(self._old["counted"])

    def is_silent(self) -> bool:
        """Say whether its recipient was told a short time ago, or is about to be."""
        old = self._old
        if old["claimed"] > self._now + _CLOCK_ERROR:
            return False  # by a clock that was ahead; better told once too often
        stands = old["claim"] is not None and (self._now < old["claimed"] + LEASE or self._was_told())
        return bool(self._now < old["silent_until"] and stands)

    def counting(self, id_: str) -> dict[str, Any]:
        """Return what becomes of it when it is only counted."""
        more_since = self._old["more_since"] if self._old["more"] else self._now
        return {"more": self._old["more"] + 1, "more_since": more_since, "counted": id_}

    def claiming(self, id_: str, silent_until: float) -> dict[str, Any]:
        """Return what becomes of it when its text is sent."""
        more, since = self._untold()
        return {
            "claim": id_,
            "claimed": self._now,
            "silent_until": silent_until,
            "carried": more,
            "carried_since": since,
            "more": 0,
            "more_since": None,
            "text_key": digest(id_),
        }

    def claim(self, id_: str, key: str, *, last: bool) -> Claim:
        """Return the claim that `claiming` writes down."""
        return self._claim(id_, key, *self._untold(), last=last)

    def claim_again(self, id_: str, key: str, *, last: bool) -> Claim:
        """Return the claim that was made before; only its answer was lost."""
        old = self._old
        # Where another one was made since, that one tells what there was to be told.
        more, since = (old["carried"], old["carried_since"]) if old["claim"] == id_ else (0, None)
        return self._claim(id_, key, more, since, last=last)

    def _claim(self, id_: str, key: str, more: int, since: float | None, *, last: bool) -> Claim:
        when = datetime.fromtimestamp(since, timezone.utc) if since is not None and more else None
        return Claim(id_, key, more, when, last)

    def write(self, key: str, **changes: Any) -> Statement:
        values = {**self._old, **changes}
        if not self._exists:
            return Statement(_INSERT, {"key": key, **values})
        return Statement(_UPDATE, {"of_key": key, **{f"new_{name}": value for name, value in values.items()}})

    def _was_told(self) -> bool:
        # The first release did not write down which text it was.
        if self._text_state in _TOLD or not self._old["text_key"]:
            return True
        # A text that has gone from the journal, for its time was over, was told; one that never came into it was not.
        return self._text_state is None and bool(self._old["claimed"] < self._now - _SHORTEST_RETENTION)

    def _untold(self) -> tuple[int, float | None]:
        """Return how many alerts no text has told of, and since when."""
        old = self._old
        if old["claim"] is None or self._was_told():
            return old["more"], old["more_since"]
        return old["more"] + old["carried"] + 1, old["carried_since"] or min(old["claimed"], self._now)


def _new(now: float) -> tuple[Any, ...]:
    return (None, now, now, 0, None, 0, None, "", "")
