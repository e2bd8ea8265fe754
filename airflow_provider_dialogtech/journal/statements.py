"""The SQL that sends messages, and the name of every statement. (`queries.py` has the questions about messages,
`alert_statements.py` the SQL of alerts, `schema.py` the tables.)

Every change is a compare-and-set: it names the row, the owner and the states that it expects, and changes nothing where
these differ. The states come from `states.py`. Each statement has a name in `STATEMENTS`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import ColumnElement, Executable

from airflow_provider_dialogtech.journal import alert_statements, queries, states
from airflow_provider_dialogtech.journal.backend import MOST_ACCOUNTS, ByStore
from airflow_provider_dialogtech.journal.limits import LONGEST_WINDOW
from airflow_provider_dialogtech.journal.queries import account, id_, is_in, is_of_message, is_overdue, key_
from airflow_provider_dialogtech.journal.records import ABANDONED, COLUMNS, LONGEST_LEAD
from airflow_provider_dialogtech.journal.schema import (
    accounts,
    answered_at,
    is_by_number,
    journal_version,
    json_list,
    json_row,
    messages,
    next_id,
    now,
)
from airflow_provider_dialogtech.journal.states import WITHOUT_SLOT, State

# Each throttled reply widens the short windows by this much, for this long.
WIDENING = 0.025
WIDEST = 0.25
WIDENED_FOR = 60.0
# No reply pauses an account for longer.
LONGEST_PAUSE = 60.0
# A reply that took this much longer than twice the usual time came from a message that may have arrived late.
MARKEDLY_LATER = 0.05
_SLOWEST_USUAL = 5.0
# After a clock was set ahead by no more than this, it is enough to move the messages.
SHORT_STEP = 1.0
# A request leaves in its slot as the clock was estimated, and has an outcome afterwards.
LEFT_EARLY = 0.5
_PRUNED_AT_ONCE = 100
# Times pass through JSON, which may round them.
_SAME_TIME = 0.001
MICROSECONDS = 1_000_000
# Longer than every window of a second, however wide, and than a reservation outlives its slot. The state and the slot
# of an older message matter no more: of these only the times are read.
LAST_SECONDS = 2.0
_LEFT = [state for state in State if state not in (State.RESERVED, State.SENDING, *WITHOUT_SLOT)]

_owner: Any = sa.bindparam("of_owner")
_took, _pause = sa.bindparam("took", type_=sa.Float), sa.bindparam("pause", type_=sa.Float)
_outcome = sa.bindparam("outcome", type_=sa.String)

SLOT_COLUMNS = ("id", "number", "at", "state", "priority", "displaced", "created", "updated")
ACCOUNT_COLUMNS = ("extra_margin", "widened_until", "paused_until", "unknown_until", "clock_set_by")


# What `reserve` reads


def _json(columns: tuple[str, ...], source: Any, condition: ColumnElement[bool]) -> Any:
    row = json_row(*(source.c[name] for name in columns))
    return sa.select(json_list(row)).select_from(source).where(condition).scalar_subquery()


_is_of_account = messages.c.account == account
# A message with an outcome has left in its slot.
_is_ahead = sa.or_(messages.c.created > now(), sa.and_(is_in(*_LEFT), messages.c.at > now() + LEFT_EARLY))
_of_last_seconds = messages.c.at > now() - LAST_SECONDS
_may_change = sa.and_(_of_last_seconds, sa.or_(is_in(State.RESERVED, State.SENDING), _is_ahead))


def _left(is_left: ColumnElement[bool]) -> Any:
    """Return how many microseconds ago messages of the last minute left, by number.

    Of a full minute these are nearly all. They are read from the index alone.
    """
    ago = sa.cast((now() - messages.c.at) * MICROSECONDS, sa.BigInteger)
    is_recent = sa.and_(is_by_number(account), messages.c.at > now() - LONGEST_WINDOW)
    rows = sa.select(messages.c.number, json_list(ago).label("left"))
    return rows.where(is_recent, is_in(*_LEFT, State.SENDING), is_left).group_by(messages.c.number)


def _question(is_read_whole: ColumnElement[bool], *, for_update: bool = False) -> Any:
    """Return the question for all that a reservation depends on.

    :param is_read_whole: of which messages the rows are read; of the others of the minute, only the times.
    """
    rows = sa.select(*(messages.c[name] for name in SLOT_COLUMNS)).where(_is_of_account, is_read_whole)
    changing = (rows.with_for_update() if for_update else rows).subquery()
    left = _left(sa.not_(is_read_whole)).subquery()
    # An account whose steps are not read waits a minute at most when this process first uses it.
    noted = sa.select(accounts.c.account, accounts.c.clock_set_by).where(accounts.c.clock_set_by != 0)
    steps = noted.limit(MOST_ACCOUNTS).subquery()
    return sa.select(
        now().label("now"),
        next_id().label("next_id"),
        _json(ACCOUNT_COLUMNS, accounts, accounts.c.account == account).label("account"),
        sa.select(json_list(json_row(*steps.c))).scalar_subquery().label("clock_set_by"),
        _json(COLUMNS, messages, is_of_message).label("message"),
        sa.select(json_list(json_row(*changing.c))).scalar_subquery().label("changing"),
        sa.select(json_list(json_row(*left.c))).scalar_subquery().label("left"),
        answered_at().label("answered_at"),
    )


BEFORE_RESERVING = _question(_may_change)
"""Everything that a reservation depends on."""

# PostgreSQL reads a row again after it has waited for its lock. If the state decided here, a message that is settled
# meanwhile would be in neither half.
BEFORE_RESERVING_FOR_ALERT = _question(
    sa.and_(_of_last_seconds, sa.or_(sa.not_(is_in(*WITHOUT_SLOT)), _is_ahead)), for_update=True
)
"""The same, and no message of the account can be started until the alert has its slot: it may displace one."""


# What changes a row

INSERT = messages.insert().inline()


def _ours(*before: State) -> ColumnElement[bool]:
    return sa.and_(messages.c.id == id_, messages.c.owner == _owner, is_in(*before))


def _change(condition: ColumnElement[bool], to: State, **values: Any) -> Any:
    return messages.update().where(condition).values(state=to.value, updated=now(), **values)


def _later(one: Any, other: Any) -> Any:
    return sa.case((one > other, one), else_=other)


START = _change(
    sa.and_(
        _ours(*states.before("start")),
        sa.func.abs(messages.c.at - sa.bindparam("slot", type_=sa.Float)) < _SAME_TIME,
        messages.c.at - now() >= sa.bindparam("least_remaining", type_=sa.Float),
        messages.c.at - now() <= sa.bindparam("most_remaining", type_=sa.Float),
        ~sa.exists().where(
            accounts.c.account == account,
            sa.case(
                # An alert has its own, shorter pause, but it must know what a clock that was set had hidden.
                (messages.c.priority == 1, accounts.c.unknown_until - LONGEST_WINDOW > messages.c.created + _SAME_TIME),
                else_=_later(accounts.c.paused_until, accounts.c.unknown_until) > messages.c.at + _SAME_TIME,
            ),
        ),
    ),
    State.SENDING,
    deadline=messages.c.at + sa.bindparam("timeout", type_=sa.Float),
)
"""Shortly before the slot. A second time it changes nothing, but finds its row."""

RELEASE = _change(_ours(*states.before("release")), State.RELEASED, detail=sa.bindparam("new_detail", type_=sa.Text))
"""By the owner, who knows that no byte was sent."""

RELEASE_OURS = _change(_ours(*states.before("release_ours")), State.RELEASED, key=None)
"""The same, for another attempt under the same key."""

TAKE_OVER = _change(_ours(*states.before("take_over")), State.RELEASED, key=None)
"""By another process with the same key. Where the message was just started, the key stays taken."""

TAKE_KEY = (
    messages.update()
    .where(messages.c.id == id_, messages.c.owner == _owner, messages.c.state == sa.bindparam("in_state"))
    .values(key=None, updated=now())
)
"""Free a row's idempotency key for a new attempt; its state stays."""

GIVE_KEY = (
    messages.update()
    .where(messages.c.id == id_, messages.c.owner == _owner, messages.c.key.is_(None))
    .values(key=key_, updated=now())
)
"""Give the key back to a message that was sent, whose start the journal had lost."""

DISPLACE = _change(
    sa.and_(messages.c.id == id_, messages.c.state == State.RESERVED.value),
    State.RELEASED,
    displaced=messages.c.displaced + 1,
)
"""By an alert. The message's process notices it when it tries to start."""

DOUBT = _change(_ours(*states.before("doubt")), State.IN_DOUBT)
"""By any process, once the request's deadline is long over."""

DOUBT_OVERDUE = _change(sa.and_(messages.c.id == id_, is_overdue), State.IN_DOUBT)
"""The same by the row's id alone."""

RESOLVE = (
    messages.update()
    .where(messages.c.id == id_, messages.c.state == State.IN_DOUBT.value)
    .values(
        state=sa.bindparam("new_state", type_=sa.String),
        detail=sa.bindparam("new_detail", type_=sa.Text),
        updated=now(),
    )
)
"""By a person. The row keeps its idempotency key until a new attempt takes it."""

_by = sa.bindparam("by", type_=sa.Float)


def _shifted(by: Any, *conditions: ColumnElement[bool]) -> Any:
    return (
        messages.update()
        .where(*conditions)
        .values({name: messages.c[name] + by for name in ("at", "deadline", "created", "updated")})
    )


SHIFT_BACK = _shifted(
    -_by,
    _is_of_account,
    messages.c.at > now() - LONGEST_WINDOW,
    sa.or_(
        _is_ahead,
        sa.and_(is_in(State.SENDING), messages.c.updated > now()),
        # Waiting messages take another slot anyway.
        sa.and_(is_in(State.RESERVED), messages.c.at > now()),
    ),
)
"""Follow a clock that was set back: rows written by the clock that was ahead keep their age."""

SHIFT_AHEAD = _shifted(
    _by,
    _is_of_account,
    messages.c.at > now() - LONGEST_WINDOW - _by,
    sa.or_(
        sa.and_(
            messages.c.at <= now() + LONGEST_LEAD - _by,
            sa.or_(
                sa.and_(is_in(State.SENDING), messages.c.updated <= now() + LEFT_EARLY - _by),
                sa.and_(is_in(*_LEFT), messages.c.at <= now() + LEFT_EARLY - _by),
            ),
        ),
        # Once it is moved, a waiting message cannot be started in its old slot.
        sa.and_(is_in(State.RESERVED), messages.c.at > now() - ABANDONED - _by, _by <= SHORT_STEP),
    ),
)
"""Follow a clock that was set ahead: messages of the minute before keep their age. Waiting ones reserve anew."""

_no_values: dict[str, Any] = {
    column.name: sa.literal_column("0.0") for column in accounts.columns if column.name != "account"
}
ENSURE_ACCOUNT = accounts.insert().from_select(
    ["account", *_no_values],
    sa.select(sa.bindparam("of_account", type_=sa.String), *_no_values.values()).where(
        ~sa.exists().where(accounts.c.account == account)
    ),
)
"""Create an account's row, so that a pause can be recorded in it."""

CORRECT_ACCOUNT = (
    accounts.update()
    .where(accounts.c.account == account)
    .values(
        paused_until=sa.bindparam("paused", type_=sa.Float),
        widened_until=sa.bindparam("widened", type_=sa.Float),
        unknown_until=sa.bindparam("unknown", type_=sa.Float),
        clock_set_by=sa.bindparam("set_by", type_=sa.Float),
    )
)

_expired = sa.select(messages.c.id).where(messages.c.at < now() - sa.bindparam("retention", type_=sa.Float))
PRUNE = messages.delete().where(messages.c.id.in_(_expired.order_by(messages.c.at).limit(_PRUNED_AT_ONCE)))
"""Delete a few messages whose retention is over; few, so that no sender waits for long."""


# The outcome, and what it means for the account


def _settled() -> Any:
    usual = accounts.c.usual_latency
    late = (
        sa.select(sa.case((_took > 2 * usual + MARKEDLY_LATER, _took - usual), else_=0.0))
        .where(accounts.c.account == messages.c.account)
        .scalar_subquery()
    )
    return _with_outcome("settle", at=messages.c.at + sa.func.coalesce(late, 0.0))


def _with_outcome(step: str, *, twice: bool = False, **values: Any) -> Any:
    allowed = sa.or_(
        *(
            sa.and_(_outcome == outcome.value, is_in(*states.may_settle(outcome, step), *([outcome] if twice else [])))
            for outcome in states.OUTCOMES
        )
    )
    return (
        messages.update()
        .where(messages.c.id == id_, messages.c.owner == _owner, allowed)
        .values(state=_outcome, detail=sa.bindparam("new_detail", type_=sa.Text), updated=now(), **values)
    )


SETTLE_LOST = _with_outcome("settle_lost", twice=True)
"""Settle a row whose `start` the journal has lost. Its owner knows that its request was sent. May run twice."""


def _noted(insert: Any, account: Any, source: Any) -> Any:
    """What an outcome changes for its account: how long replies take, a pause, wider windows."""
    learned = sa.case((_took < _SLOWEST_USUAL, _took), else_=_SLOWEST_USUAL)
    is_sent, is_throttled = _outcome == State.SENT.value, _outcome == State.THROTTLED.value
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
    # A pause further away than the longest possible one was set by a clock that is right again.
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


_settled_in_postgres = _settled().returning(messages.c.account).cte("settled")

_note_in_sqlite = _noted(sqlite.insert(accounts), messages.c.account, (messages.c.id == id_, sa.func.changes() > 0))

SETTLE = ByStore(
    # The second asks whether the first changed a row; the file is locked meanwhile.
    sqlite=(_settled(), _note_in_sqlite),
    # The first half decides whether the second notes anything.
    postgres=(_noted(postgresql.insert(accounts), _settled_in_postgres.c.account, ()),),
)
"""By the owner: the outcome, and what it means for the account, where this is what has changed the row."""


# The store itself

NOW = sa.select(now().label("now"), answered_at().label("answered_at"))
VERSION_IN_POSTGRES = sa.select(sa.func.max(journal_version.c.version).label("version"))
VERSION_IN_SQLITE = sa.text("SELECT user_version AS version FROM pragma_user_version")
REMOVE_ACCOUNT = accounts.delete().where(accounts.c.account == account)
INSERT_ACCOUNT = accounts.insert().inline()
"""The probe writes and removes a row of no account."""


def _named(namespace: dict[str, Any]) -> dict[str, Executable | ByStore]:
    kinds = (Executable, ByStore)
    return {name.lower(): sql for name, sql in namespace.items() if name.isupper() and isinstance(sql, kinds)}


STATEMENTS = (
    _named(vars())
    | _named(vars(queries))
    | {f"alert_{name}": sql for name, sql in _named(vars(alert_statements)).items()}
)
"""Every statement by its name, except what `queries.newest` makes."""
