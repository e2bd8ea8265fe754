"""The SQL of the alerts' claims.

Every write is a compare-and-set under the account's lock: it changes nothing where the alert is not as it was read.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import ColumnElement

from airflow_provider_dialogtech.alerts.stored_alert import CLOCK_ERROR, StoredAlert
from airflow_provider_dialogtech.delivery.schema import alert_grants, alerts, json_rows, now
from airflow_provider_dialogtech.delivery.statements import state_of_text

BUDGET_SECONDS = 600.0
# An alert that has been quiet for so long is forgotten.
_FORGOTTEN_AFTER = 90 * 86400.0
_PRUNED_AT_ONCE = 100

_COLUMNS = {
    "claim": alerts.c.claim,
    "claimed_at": alerts.c.claimed,
    "cooldown_ends": alerts.c.silent_until,
    "reported": alerts.c.carried,
    "reported_since": alerts.c.carried_since,
    "suppressed": alerts.c.more,
    "suppressed_since": alerts.c.more_since,
    "text_key": alerts.c.text_key,
    "last_suppressed": alerts.c.counted,
    "failures": alerts.c.failures,
    "failing_since": alerts.c.failing_since,
    "sent_before": alerts.c.sent_before,
    "about": alerts.c.about,
    "resolution": alerts.c.resolution,
}
_key: Any = sa.bindparam("of_key")
_claim: Any = sa.bindparam("of_claim", type_=sa.String)
_recipient: Any = sa.bindparam("of_recipient", type_=sa.String)
_cooldown: Any = sa.bindparam("cooldown", type_=sa.Float)


def _new(name: str) -> Any:
    return sa.bindparam(f"new_{name}", type_=_COLUMNS[name].type)


def new_values(alert: StoredAlert) -> dict[str, Any]:
    """Return the parameters of a statement that writes an alert."""
    return {f"new_{name}": value for name, value in asdict(alert).items()}


def seen_values(alert: StoredAlert) -> dict[str, Any]:
    """Return the parameters by which a statement recognises an alert as it was read."""
    return {"seen_claim": alert.claim, "seen_suppressed": alert.suppressed}


_is_of_key = alerts.c.key == _key
_has_seen_claim = alerts.c.claim.is_not_distinct_from(sa.bindparam("seen_claim", type_=sa.String))
_is_as_seen = sa.and_(_is_of_key, _has_seen_claim, alerts.c.more == sa.bindparam("seen_suppressed", type_=sa.Integer))
_is_stored = sa.exists().where(_is_of_key)
_is_granted = sa.exists().where(alert_grants.c.claim == _claim)


def _count_of_grants(*conditions: ColumnElement[bool]) -> Any:
    return sa.select(sa.func.count()).select_from(alert_grants).where(*conditions).scalar_subquery()


_granted = _count_of_grants(
    alert_grants.c.recipient == _recipient,
    alert_grants.c.at > now() - BUDGET_SECONDS,
    alert_grants.c.at < now() + CLOCK_ERROR,
)

QUESTION = sa.select(
    now().label("now"),
    sa.select(json_rows(*_COLUMNS.values())).where(_is_of_key).scalar_subquery().label("alert"),
    state_of_text(sa.select(alerts.c.text_key).where(_is_of_key).scalar_subquery()).label("text_state"),
    _granted.label("granted"),
    _count_of_grants(alert_grants.c.claim == _claim).label("is_ours"),
)
"""Everything that a claim depends on."""


def _grant(condition: ColumnElement[bool]) -> Any:
    values = sa.select(_claim, _recipient, now()).where(
        condition, ~_is_granted, _granted == sa.bindparam("seen_granted", type_=sa.Integer)
    )
    return alert_grants.insert().from_select(["claim", "recipient", "at"], values)


def _insert(condition: ColumnElement[bool], **values: Any) -> Any:
    """The first failure of an alert; what is not named is empty."""
    new = {
        "key": sa.bindparam("of_key", type_=sa.String),
        "claimed": now(),
        "silent_until": now(),
        "carried": sa.literal_column("0"),
        "more": sa.literal_column("0"),
        "failures": sa.literal_column("1"),
        "failing_since": now(),
        **values,
    }
    return alerts.insert().from_select(list(new), sa.select(*new.values()).where(~_is_stored, condition))


GRANT_FIRST = _grant(~_is_stored)
GRANT = _grant(sa.exists().where(_is_as_seen))
"""Take one text from the recipient's budget, where no other took one meanwhile."""

_all_new = {column: _new(name) for name, column in _COLUMNS.items()}

CLAIM_FIRST = _insert(
    _is_granted,
    claim=_claim,
    silent_until=now() + _cooldown,
    text_key=sa.bindparam("text_key", type_=sa.String),
    about=sa.bindparam("about", type_=sa.String),
)
CLAIM = alerts.update().where(_is_as_seen, _is_granted).values(_all_new)
"""Claim the alert, or the text that its failures are over, once its text was granted."""

SUPPRESS_FIRST = _insert(
    sa.true(), more=sa.literal_column("1"), more_since=now(), counted=sa.bindparam("of_claim", type_=sa.String)
)
SUPPRESS = (
    alerts.update()
    .where(_is_of_key, _has_seen_claim, alerts.c.counted != _claim)
    .values(
        more=alerts.c.more + 1,
        more_since=sa.case((sa.and_(alerts.c.more > 0, alerts.c.more_since < now()), alerts.c.more_since), else_=now()),
        failures=alerts.c.failures + 1,
        counted=_claim,
    )
)
"""Count an alert that becomes no text, whatever else was counted meanwhile."""

SUPPRESS_ANEW = alerts.update().where(_is_as_seen).values(_all_new)
"""The same for the first one after others were over, or after the text that they are was not sent."""

TAKE_GRANT_BACK = alert_grants.delete().where(alert_grants.c.claim == _claim)
_tells_the_end = alerts.c.resolution == alerts.c.claim
TAKE_CLAIM_BACK = (
    alerts.update()
    .where(_is_of_key, alerts.c.claim == _claim)
    .values(
        claim=None,
        silent_until=now(),
        carried=0,
        more=alerts.c.more + alerts.c.carried + sa.case((_tells_the_end, 0), else_=1),
        more_since=sa.func.coalesce(
            alerts.c.carried_since, sa.case((_tells_the_end, alerts.c.more_since), else_=alerts.c.claimed)
        ),
        carried_since=None,
        resolution="",
    )
)

FORGET_GRANTS = alert_grants.delete().where(
    sa.or_(alert_grants.c.at < now() - BUDGET_SECONDS, alert_grants.c.at > now() + BUDGET_SECONDS)
)
_quiet = sa.select(alerts.c.key).where(alerts.c.silent_until < now() - _FORGOTTEN_AFTER)
PRUNE = alerts.delete().where(alerts.c.key.in_(_quiet.limit(_PRUNED_AT_ONCE)))
"""Forget a few alerts that nobody needs; few, so that nobody waits for it."""
