"""The SQL of the alerts' claims.

Every write is a compare-and-set under the account's lock: it changes nothing if the alert has changed since it was
read.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import ColumnElement

from airflow_provider_dialogtech.journal.schema import alert_grants, alerts, answered_at, messages, now

BUDGET_SECONDS = 600.0
# Times further ahead were written by a clock that is right again.
CLOCK_ERROR = 1.0
# An alert without failures for this long is forgotten.
_FORGOTTEN_AFTER = 90 * 86400.0
_PRUNED_AT_ONCE = 100

COLUMNS = tuple(column.name for column in alerts.columns if column.name != "key")
"""The columns of an alert that a claim reads and writes."""

_key: Any = sa.bindparam("of_key")
_claim: Any = sa.bindparam("of_claim", type_=sa.String)
_recipient: Any = sa.bindparam("of_recipient", type_=sa.String)
_cooldown: Any = sa.bindparam("cooldown", type_=sa.Float)


def _new(name: str) -> Any:
    return sa.bindparam(f"new_{name}", type_=alerts.c[name].type)


_is_of_key = alerts.c.key == _key
_has_seen_claim = alerts.c.claim.is_not_distinct_from(sa.bindparam("seen_claim", type_=sa.String))
_is_as_seen = sa.and_(
    _is_of_key, _has_seen_claim, alerts.c.suppressed == sa.bindparam("seen_suppressed", type_=sa.Integer)
)
_is_stored = sa.exists().where(_is_of_key)
_is_granted = sa.exists().where(alert_grants.c.claim == _claim)


def _count_of_grants(*conditions: ColumnElement[bool]) -> Any:
    return sa.select(sa.func.count()).select_from(alert_grants).where(*conditions).scalar_subquery()


_granted = _count_of_grants(
    alert_grants.c.recipient == _recipient,
    alert_grants.c.at > now() - BUDGET_SECONDS,
    alert_grants.c.at < now() + CLOCK_ERROR,
)

_one_row = sa.select(sa.literal_column("1")).subquery()
_state_of_message = sa.select(messages.c.state).where(messages.c.key == alerts.c.message_key).scalar_subquery()

QUESTION = sa.select(
    # Not when it reached the store: a claim that was committed before it was read is not in the future.
    answered_at().label("now"),
    alerts.c.key,
    *(alerts.c[name] for name in COLUMNS),
    _state_of_message.label("message_state"),
    _granted.label("granted"),
    _count_of_grants(alert_grants.c.claim == _claim).label("is_ours"),
).select_from(_one_row.outerjoin(alerts, _is_of_key))
"""Everything that a claim depends on."""


def _grant(condition: ColumnElement[bool]) -> Any:
    values = sa.select(_claim, _recipient, now()).where(
        condition, ~_is_granted, _granted == sa.bindparam("seen_granted", type_=sa.Integer)
    )
    return alert_grants.insert().from_select(["claim", "recipient", "at"], values)


def _insert(condition: ColumnElement[bool], **values: Any) -> Any:
    """The first failure of an alert; columns that are not named are empty."""
    new = {
        "key": sa.bindparam("of_key", type_=sa.String),
        "claimed_at": now(),
        "cooldown_ends": now(),
        "reported": sa.literal_column("0"),
        "suppressed": sa.literal_column("0"),
        "failures": sa.literal_column("1"),
        "failing_since": now(),
        **values,
    }
    return alerts.insert().from_select(list(new), sa.select(*new.values()).where(~_is_stored, condition))


GRANT_FIRST = _grant(~_is_stored)
GRANT = _grant(sa.exists().where(_is_as_seen))
"""Take one message from the recipient's budget, unless another alert took one meanwhile."""

_all_new = {name: _new(name) for name in COLUMNS}

CLAIM_FIRST = _insert(
    _is_granted,
    claim=_claim,
    cooldown_ends=now() + _cooldown,
    message_key=sa.bindparam("message_key", type_=sa.String),
    about=sa.bindparam("about", type_=sa.String),
)
CLAIM = alerts.update().where(_is_as_seen, _is_granted).values(_all_new)
"""Claim the alert, or the message that its failures are over, once the message was granted."""

_message_of_claim = {
    "claim": _claim,
    "cooldown_ends": now(),
    "message_key": sa.bindparam("message_key", type_=sa.String),
    "about": sa.bindparam("about", type_=sa.String),
}
NOTE_FIRST = _insert(sa.true(), **_message_of_claim)
NOTE = alerts.update().where(_is_of_key).values(claimed_at=now(), **_message_of_claim)
"""Record under a key of its own which message alerted a recipient to a run, or which alert about it was counted."""

SUPPRESS_FIRST = _insert(
    sa.true(),
    suppressed=sa.literal_column("1"),
    suppressed_since=now(),
    last_suppressed=sa.bindparam("of_claim", type_=sa.String),
)
_was_suppressed = sa.and_(alerts.c.suppressed > 0, alerts.c.suppressed_since < now())
SUPPRESS = (
    alerts.update()
    .where(_is_of_key, _has_seen_claim, alerts.c.last_suppressed != _claim)
    .values(
        suppressed=alerts.c.suppressed + 1,
        suppressed_since=sa.case((_was_suppressed, alerts.c.suppressed_since), else_=now()),
        failures=alerts.c.failures + 1,
        last_suppressed=_claim,
    )
)
"""Count a suppressed alert, whatever else was counted meanwhile."""

SUPPRESS_ANEW = alerts.update().where(_is_as_seen).values(_all_new)
"""The same for the first alert after a recovery, or after a recovery message that was not sent."""

_lease_ends = alert_grants.c.at + sa.bindparam("lease", type_=sa.Float)
COUNT_SUPERSEDED = (
    alerts.update()
    .where(
        _is_of_key,
        alerts.c.claim.is_distinct_from(_claim),
        sa.exists().where(alert_grants.c.claim == _claim, _lease_ends > now()),
    )
    .values(
        suppressed=alerts.c.suppressed + sa.bindparam("unsent", type_=sa.Integer),
        suppressed_since=sa.case((_was_suppressed, alerts.c.suppressed_since), else_=now()),
    )
)
"""Count an alert whose message was not sent, where a later alert was claimed while it was about to be."""

TAKE_GRANT_BACK = alert_grants.delete().where(alert_grants.c.claim == _claim)
_tells_the_end = alerts.c.resolution == alerts.c.claim
TAKE_CLAIM_BACK = (
    alerts.update()
    .where(_is_of_key, alerts.c.claim == _claim)
    .values(
        claim=None,
        cooldown_ends=now(),
        reported=0,
        suppressed=alerts.c.suppressed + alerts.c.reported + sa.case((_tells_the_end, 0), else_=1),
        suppressed_since=sa.func.coalesce(
            alerts.c.reported_since, sa.case((_tells_the_end, alerts.c.suppressed_since), else_=alerts.c.claimed_at)
        ),
        reported_since=None,
        resolution="",
    )
)

FORGET_GRANTS = alert_grants.delete().where(
    sa.or_(alert_grants.c.at < now() - BUDGET_SECONDS, alert_grants.c.at > now() + BUDGET_SECONDS)
)
_quiet = sa.select(alerts.c.key).where(alerts.c.cooldown_ends < now() - _FORGOTTEN_AFTER)
PRUNE = alerts.delete().where(alerts.c.key.in_(_quiet.limit(_PRUNED_AT_ONCE)))
"""Delete a few alerts that are no longer needed; few, so that no sender waits for long."""
