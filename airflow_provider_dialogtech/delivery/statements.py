"""All SQL of a text on its way. (`texts.py` has what people ask, `alerts/dedup_sql.py` the alerts, `schema.py` the
tables.)

Every change is a compare-and-set: it names the row, the owner and the state that it expects, and changes nothing where
these differ.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import ColumnElement

from airflow_provider_dialogtech.delivery.limits import LONGEST_WINDOW
from airflow_provider_dialogtech.delivery.schema import accounts, json_rows, next_id, now, sends
from airflow_provider_dialogtech.masking import digest

# Each refusal for the rate widens the short windows by so much, for so long.
WIDENING = 0.025
WIDEST = 0.25
WIDENED_FOR = 60.0
# No reply pauses an account for longer.
LONGEST_PAUSE = 60.0
# A reply that took this much longer than twice the usual time came from a text that may have arrived late.
MARKEDLY_LATER = 0.05
_SLOWEST_USUAL = 5.0
_PRUNED_AT_ONCE = 100
# Times pass through JSON, which may round them.
_SAME_TIME = 0.001

_id: Any = sa.bindparam("of_id")
_owner: Any = sa.bindparam("of_owner")
_account: Any = sa.bindparam("of_account")
_key: Any = sa.bindparam("of_key")
_took, _pause = sa.bindparam("took", type_=sa.Float), sa.bindparam("pause", type_=sa.Float)
_outcome = sa.bindparam("outcome", type_=sa.String)

KEY_COLUMNS = (
    "id", "account", "number", "at", "state", "owner", "digest", "recipient", "recipient_tail", "detail", "deadline",
    "created", "displaced",
)  # fmt: skip
LINE_COLUMNS = ("id", "number", "at", "state", "priority", "displaced", "created")
ACCOUNT_COLUMNS = ("extra_margin", "widened_until", "paused_until")


def stored_key(key: str) -> str:
    """Return the name under which the journal stores an idempotency key."""
    return digest(key)


def _json(columns: tuple[str, ...], source: Any, *conditions: ColumnElement[bool]) -> Any:
    rows = json_rows(*(source.c[name] for name in columns))
    query = sa.select(rows).select_from(source)
    return (query.where(*conditions) if conditions else query).scalar_subquery()


def _text_with_key() -> Any:
    return _json(KEY_COLUMNS, sends, sends.c.key == _key).label("text")


def _in_line() -> Any:
    return sa.and_(sends.c.account == _account, sends.c.at > now() - LONGEST_WINDOW)


def _question(line: Any) -> Any:
    return sa.select(
        now().label("now"),
        next_id().label("next_id"),
        _json(ACCOUNT_COLUMNS, accounts, accounts.c.account == _account).label("account"),
        _text_with_key(),
        line.label("line"),
    )


def state_of_text(key: Any) -> Any:
    """Return the query of a text's state.

    :param key: the query of its stored key.
    """
    return sa.select(sends.c.state).where(sends.c.key == key).scalar_subquery()


FIND = sa.select(now().label("now"), _text_with_key())
"""What the journal knows of a text."""

BEFORE_RESERVING = _question(_json(LINE_COLUMNS, sends, _in_line()))
"""Everything that a reservation depends on."""

BEFORE_RESERVING_FOR_ALERT = _question(
    _json(LINE_COLUMNS, sa.select(*(sends.c[name] for name in LINE_COLUMNS)).where(_in_line()).with_for_update().cte())
)
"""The same, and no text of the line can be started until the alert has its slot: it may take one from them."""

INSERT = sends.insert().inline()


def _state_is(*states: str) -> ColumnElement[bool]:
    return sa.or_(*(sends.c.state == state for state in states))


def _ours(*states: str) -> ColumnElement[bool]:
    return sa.and_(sends.c.id == _id, sends.c.owner == _owner, _state_is(*states))


def _change(condition: ColumnElement[bool], **values: Any) -> Any:
    return sends.update().where(condition).values(updated=now(), **values)


START = _change(
    sa.and_(
        _ours("reserved", "sending"),
        sa.func.abs(sends.c.at - sa.bindparam("slot", type_=sa.Float)) < _SAME_TIME,
        sends.c.at - now() >= sa.bindparam("least_left", type_=sa.Float),
        sends.c.at - now() <= sa.bindparam("most_left", type_=sa.Float),
        ~sa.exists().where(accounts.c.account == _account, accounts.c.paused_until > sends.c.at + _SAME_TIME),
    ),
    state="sending",
    deadline=sends.c.at + sa.bindparam("timeout", type_=sa.Float),
)
"""reserved → sending, shortly before the slot. A second time it changes nothing, but finds its row."""

RELEASE = _change(_ours("reserved", "sending", "in_doubt"), state="released")
"""reserved or sending → released, by the owner alone, who knows that no byte has left."""

TAKE_KEY = _change(
    sa.and_(sends.c.id == _id, sends.c.owner == _owner, sends.c.state == sa.bindparam("in_state")), key=None
)
"""Free a row's idempotency key for a new attempt."""

TAKE_OVER = _change(_ours("reserved"), state="released", key=None)
"""reserved → released, by another process with the same key. Where the text was just started, the key stays taken."""

RELEASE_OURS = _change(_ours("reserved", "sending", "in_doubt", "released"), state="released", key=None)
"""The same by its owner, who knows that no byte has left, for another attempt."""

DISPLACE = _change(
    sa.and_(sends.c.id == _id, sends.c.state == "reserved"), state="released", displaced=sends.c.displaced + 1
)
"""reserved → released, for an alert. The text's process learns it when it tries to start."""

DOUBT = _change(_ours("sending"), state="in_doubt")
"""sending → in doubt, by anybody, once the request's deadline is long over."""

SHIFT_LINE = (
    sends.update()
    .where(_in_line(), sends.c.created > now())
    .values(
        at=sends.c.at - sa.bindparam("by", type_=sa.Float),
        deadline=sends.c.deadline - sa.bindparam("by", type_=sa.Float),
        created=sends.c.created - sa.bindparam("by", type_=sa.Float),
    )
)
"""Follow a clock that was set back: what was written by the clock that was ahead is as old as it was before."""

PAUSE_UNTIL = (
    accounts.update()
    .where(accounts.c.account == _account)
    .values(paused_until=sa.bindparam("until", type_=sa.Float), widened_until=sa.bindparam("widened", type_=sa.Float))
)

_OLD = sa.select(sends.c.id).where(sends.c.at < now() - sa.bindparam("retention", type_=sa.Float))
PRUNE = sends.delete().where(sends.c.id.in_(_OLD.order_by(sends.c.at).limit(_PRUNED_AT_ONCE)))
"""Forget a few texts whose time is over; few, so that nobody waits for it."""


def _settled() -> Any:
    """sending, in doubt or unsent → what became of the text. Its owner knows better than whoever decided without it."""
    usual = accounts.c.usual_latency
    late = (
        sa.select(sa.case((_took > 2 * usual + MARKEDLY_LATER, _took - usual), else_=0.0))
        .where(accounts.c.account == sends.c.account)
        .scalar_subquery()
    )
    return _change(
        _ours("sending", "in_doubt", "unsent"),
        state=_outcome,
        at=sends.c.at + sa.func.coalesce(late, 0.0),
        detail=sa.bindparam("new_detail", type_=sa.Text),
    )


def _noted(insert: Any, account: Any, source: Any) -> Any:
    """What an outcome means for its account: how long replies take, a pause, wider windows."""
    learned = sa.case((_took < _SLOWEST_USUAL, _took), else_=_SLOWEST_USUAL)
    is_sent, is_throttled = _outcome == "sent", _outcome == "throttled"
    new = {
        "account": account,
        "extra_margin": sa.case((is_throttled, WIDENING), else_=0.0),
        "widened_until": sa.case((is_throttled, now() + WIDENED_FOR), else_=0.0),
        "paused_until": sa.case((_pause > 0, now() + _pause), else_=0.0),
        "usual_latency": sa.case((is_sent, learned), else_=0.0),
    }
    query = sa.select(*(value.label(name) for name, value in new.items()))
    noted = insert.from_select(list(new), query.where(*source) if source else query)
    old = accounts.c
    margin = sa.case((old.widened_until > now(), old.extra_margin), else_=0.0) + WIDENING
    # A pause that is further away than any can be was set by a clock that is right again.
    pause = sa.case((old.paused_until <= now() + LONGEST_WINDOW, old.paused_until), else_=0.0)
    return noted.on_conflict_do_update(
        index_elements=["account"],
        set_={
            "extra_margin": sa.case(
                (sa.and_(is_throttled, margin < WIDEST), margin), (is_throttled, WIDEST), else_=old.extra_margin
            ),
            "widened_until": sa.case((is_throttled, now() + WIDENED_FOR), else_=old.widened_until),
            "paused_until": sa.case((sa.and_(_pause > 0, now() + _pause > pause), now() + _pause), else_=pause),
            "usual_latency": sa.case(
                (sa.and_(is_sent, old.usual_latency > 0), 0.9 * old.usual_latency + 0.1 * learned),
                (is_sent, learned),
                else_=old.usual_latency,
            ),
        },
    )


def _settle_in_postgres() -> Any:
    settled = _settled().returning(sends.c.account).cte("settled")
    return _noted(postgresql.insert(accounts), settled.c.account, ())


SETTLE_IN_POSTGRES = (_settle_in_postgres(),)
"""One statement, whose first half decides whether its second notes anything."""

SETTLE_IN_SQLITE = (
    _settled(),
    _noted(sqlite.insert(accounts), sends.c.account, (sends.c.id == _id, sa.func.changes() > 0)),
)
"""The same as two, since SQLite's file is locked meanwhile; the second asks whether the first changed a row."""
