"""All SQL of messages: to send them, and to answer people's questions. (`alert_statements.py` has that of alerts,
`schema.py` the tables.)

Every change is a compare-and-set: it names the row, the owner and the states that it expects, and changes nothing where
these differ. The states come from `states.py`. Each statement has a name in `STATEMENTS`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import ColumnElement, Executable

from airflow_provider_dialogtech.journal import alert_statements, states
from airflow_provider_dialogtech.journal.backend import ByStore
from airflow_provider_dialogtech.journal.limits import LONGEST_WINDOW
from airflow_provider_dialogtech.journal.records import COLUMNS, GRACE, LONGEST_LEAD
from airflow_provider_dialogtech.journal.schema import (
    accounts,
    alerts,
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
# A request leaves in its slot as the clock was estimated, and has an outcome afterwards.
LEFT_EARLY = 0.5
_PRUNED_AT_ONCE = 100
# Times pass through JSON, which may round them.
_SAME_TIME = 0.001
MICROSECONDS = 1_000_000
_LEFT = [state for state in State if state not in (State.RESERVED, State.SENDING, *WITHOUT_SLOT)]
_SECOND = 1.0
_MINUTE = 60.0
_DAY = 86400.0

_id: Any = sa.bindparam("of_id")
_owner: Any = sa.bindparam("of_owner")
_account: Any = sa.bindparam("of_account")
_key: Any = sa.bindparam("of_key")
_took, _pause = sa.bindparam("took", type_=sa.Float), sa.bindparam("pause", type_=sa.Float)
_outcome = sa.bindparam("outcome", type_=sa.String)

SLOT_COLUMNS = ("id", "number", "at", "state", "priority", "displaced", "created", "updated")
ACCOUNT_COLUMNS = ("extra_margin", "widened_until", "paused_until", "unknown_until", "clock_set_by")


# A row that has lost its key to a later attempt does not match, whatever its body.
_is_of_message = sa.or_(
    messages.c.key == _key,
    sa.and_(messages.c.body_key == sa.bindparam("of_body_key"), messages.c.key.isnot(None)),
)


def _is_in(*found: State, source: Any = messages) -> ColumnElement[bool]:
    return sa.or_(*(source.c.state == state.value for state in found))


# What `reserve` reads


def _json(columns: tuple[str, ...], source: Any, condition: ColumnElement[bool]) -> Any:
    row = json_row(*(source.c[name] for name in columns))
    return sa.select(json_list(row)).select_from(source).where(condition).scalar_subquery()


def _is_recent() -> Any:
    return sa.and_(messages.c.account == _account, messages.c.at > now() - LONGEST_WINDOW)


def _was_written_ahead(source: Any) -> ColumnElement[bool]:
    # Asked once: SQLite would call this process's clock for every row of a full minute.
    time = sa.select(now()).scalar_subquery()
    return sa.or_(
        source.c.created > time,
        sa.and_(_is_in(State.SENDING, source=source), source.c.updated > time),
        # Waiting messages take another slot anyway; those with an outcome have left in their slots.
        sa.and_(_is_in(State.RESERVED, source=source), source.c.at > time),
        sa.and_(_is_in(*_LEFT, source=source), source.c.at > time + LEFT_EARLY),
    )


def _slots(source: Any) -> Any:
    """Return when the account's recent messages left, by number, and the rows of those whose state or slot matters.

    Nearly all messages of a full minute have left. Of these only the times are read, as whole microseconds.
    """
    is_undecided = sa.or_(
        _is_in(State.RESERVED, State.SENDING, source=source),
        source.c.key.is_not_distinct_from(_key),
        _was_written_ahead(source),
    )
    has_left = sa.and_(sa.not_(is_undecided), _is_in(*_LEFT, source=source))
    at = sa.cast(source.c.at * MICROSECONDS, sa.BigInteger)
    of_number = (
        sa.select(
            source.c.number,
            json_list(sa.case((has_left, at))).label("left"),
            json_list(sa.case((is_undecided, json_row(*(source.c[name] for name in SLOT_COLUMNS))))).label("rows"),
        )
        .group_by(source.c.number)
        .subquery()
    )
    return sa.select(json_list(json_row(*of_number.c))).scalar_subquery()


def _question(recent: Any) -> Any:
    return sa.select(
        now().label("now"),
        next_id().label("next_id"),
        _json(ACCOUNT_COLUMNS, accounts, accounts.c.account == _account).label("account"),
        _json(("account", "clock_set_by"), accounts, accounts.c.clock_set_by != 0).label("clock_set_by"),
        _json(COLUMNS, messages, _is_of_message).label("message"),
        _slots(recent).label("slots"),
    )


_recent = sa.select(*(messages.c[name] for name in (*SLOT_COLUMNS, "key"))).where(_is_recent())

BEFORE_RESERVING = _question(_recent.subquery())
"""Everything that a reservation depends on."""

BEFORE_RESERVING_FOR_ALERT = _question(_recent.with_for_update().cte())
"""The same, and no message of the account can be started until the alert has its slot: it may displace one."""


# What changes a row

INSERT = messages.insert().inline()


def _ours(*before: State) -> ColumnElement[bool]:
    return sa.and_(messages.c.id == _id, messages.c.owner == _owner, _is_in(*before))


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
            accounts.c.account == _account,
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
    .where(messages.c.id == _id, messages.c.owner == _owner, messages.c.state == sa.bindparam("in_state"))
    .values(key=None, updated=now())
)
"""Free a row's idempotency key for a new attempt; its state stays."""

GIVE_KEY = (
    messages.update()
    .where(messages.c.id == _id, messages.c.owner == _owner, messages.c.key.is_(None))
    .values(key=_key, updated=now())
)
"""Give the key back to a message that was sent, whose start the journal had lost."""

DISPLACE = _change(
    sa.and_(messages.c.id == _id, messages.c.state == State.RESERVED.value),
    State.RELEASED,
    displaced=messages.c.displaced + 1,
)
"""By an alert. The message's process notices it when it tries to start."""

DOUBT = _change(_ours(*states.before("doubt")), State.IN_DOUBT)
"""By any process, once the request's deadline is long over."""

_is_overdue = sa.and_(messages.c.state == State.SENDING.value, messages.c.deadline + GRACE <= now())
DOUBT_OVERDUE = _change(sa.and_(messages.c.id == _id, _is_overdue), State.IN_DOUBT)
"""The same by the row's id alone."""

RESOLVE = (
    messages.update()
    .where(messages.c.id == _id, messages.c.state == State.IN_DOUBT.value)
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


SHIFT_BACK = _shifted(-_by, _is_recent(), _was_written_ahead(messages))
"""Follow a clock that was set back: rows written by the clock that was ahead keep their age."""

SHIFT_AHEAD = _shifted(
    _by,
    messages.c.account == _account,
    messages.c.at > now() - LONGEST_WINDOW - _by,
    messages.c.at <= now() + LONGEST_LEAD - _by,
    sa.or_(
        sa.and_(_is_in(State.SENDING), messages.c.updated <= now() + LEFT_EARLY - _by),
        sa.and_(_is_in(*_LEFT), messages.c.at <= now() + LEFT_EARLY - _by),
    ),
)
"""Follow a clock that was set ahead: messages of the minute before keep their age. Waiting ones reserve anew."""

_no_values: dict[str, Any] = {
    column.name: sa.literal_column("0.0") for column in accounts.columns if column.name != "account"
}
ENSURE_ACCOUNT = accounts.insert().from_select(
    ["account", *_no_values],
    sa.select(sa.bindparam("of_account", type_=sa.String), *_no_values.values()).where(
        ~sa.exists().where(accounts.c.account == _account)
    ),
)
"""Create an account's row, so that a pause can be recorded in it."""

CORRECT_ACCOUNT = (
    accounts.update()
    .where(accounts.c.account == _account)
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
            sa.and_(_outcome == outcome.value, _is_in(*states.may_settle(outcome, step), *([outcome] if twice else [])))
            for outcome in states.OUTCOMES
        )
    )
    return (
        messages.update()
        .where(messages.c.id == _id, messages.c.owner == _owner, allowed)
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

_note_in_sqlite = _noted(sqlite.insert(accounts), messages.c.account, (messages.c.id == _id, sa.func.changes() > 0))

SETTLE = ByStore(
    # The second asks whether the first changed a row; the file is locked meanwhile.
    sqlite=(_settled(), _note_in_sqlite),
    # The first half decides whether the second notes anything.
    postgres=(_noted(postgresql.insert(accounts), _settled_in_postgres.c.account, ()),),
)
"""By the owner: the outcome, and what it means for the account, where this is what has changed the row."""


# What people and later attempts read: rows, each with the store's time


def _read(*conditions: ColumnElement[bool]) -> Any:
    return sa.select(*(messages.c[name] for name in COLUMNS), now().label("read_at")).where(*conditions)


FIND = _read(_is_of_message)
"""The message under a key, and the one with the same body key."""

FIND_SENT = _read(
    messages.c.key.in_(sa.bindparam("of_keys", type_=sa.String, expanding=True)), messages.c.state == State.SENT.value
)
"""Those of several messages that were sent, by their keys."""

GET = _read(messages.c.id == _id)
"""The message of a row."""

GET_OURS = _read(messages.c.id == _id, messages.c.namespace == sa.bindparam("of_namespace", type_=sa.String))
"""The same, if it is this Airflow's."""

_most = sa.bindparam("most", type_=sa.Integer)
_since = sa.bindparam("since", type_=sa.Float)
_dag = sa.select(sa.func.min(messages.c.dag_id).label("dag_id")).cte("dags", recursive=True)
_next_dag = sa.select(sa.func.min(messages.c.dag_id)).where(messages.c.dag_id > _dag.c.dag_id).scalar_subquery()
_dags = _dag.union_all(sa.select(_next_dag).where(_dag.c.dag_id.isnot(None)))
DAG_IDS = sa.select(_dags.c.dag_id).where(_dags.c.dag_id.isnot(None)).limit(_most)
"""The DAGs that have messages, one step in their index for each."""


# A slot exchanged for another is not shown; a released message that no later attempt has taken over was not sent.
_is_of_interest = sa.or_(messages.c.state != State.RELEASED.value, messages.c.key.isnot(None))
# Exactly as the index has it, so that the index is used.
_was_not_sent: Any = sa.text(f"{messages.name}.state <> '{State.SENT.value}'")


@cache
def newest(
    state: State | None = None, *, of_dags: bool = False, of_run: bool = False, of_task: bool = False, in_file: bool
) -> Any:
    """Return the question for the newest messages, each answered by the index that leaves the fewest rows to read.

    :param state: those in this state; by default all but slots that were given back for another one.
    :param of_dags: only those of some DAGs.
    :param of_run: only those of a run.
    :param of_task: only those of a task.
    :param in_file: whether SQLite is asked.
    """
    by_state = not of_run and state not in {None, State.SENT}  # nearly all were sent
    by_dag = not of_run and not by_state and (of_dags or of_task)
    wanted = {"of_namespace": messages.c.namespace}
    wanted |= {"of_run": messages.c.run_id} if of_run else {}
    wanted |= {"of_task": messages.c.task_id} if of_task else {}
    wanted |= {"of_dags": messages.c.dag_id} if of_dags and not by_dag else {}
    if of_run:
        by = {"of_run"}
    elif by_state or (by_dag and not of_task):
        by = set()
    else:
        by = {"of_namespace", "of_task"}
    # PostgreSQL knows which of several indexes leaves the fewest rows; SQLite guesses. It uses none for an expression.
    plain = by if in_file else wanted
    conditions = [_is_one(column if name in plain else column + "", name) for name, column in wanted.items()]
    conditions += [_is_of_interest if state is None else _is_shown_as(state)]
    if by_dag:
        return _newest_of_each_dag(conditions, of_dags=of_dags, in_file=in_file)
    if by_state:
        conditions.append(_was_not_sent)
    # Two states are in their index one after the other. By the time alone, a store would walk through all messages.
    return _in_order(_read(*conditions), messages.c.at + 0 if state is State.IN_DOUBT else messages.c.at)


def _is_one(column: Any, name: str) -> ColumnElement[bool]:
    if name == "of_dags":
        return sa.and_(column.in_(sa.bindparam(name, type_=sa.String, expanding=True)))
    return sa.and_(column == sa.bindparam(name, type_=sa.String))


def _in_order(query: Any, at: Any) -> Any:
    return query.where(at > now() - _since).order_by(at.desc(), messages.c.id.desc()).limit(_most)


def _newest_of_each_dag(conditions: list[Any], *, of_dags: bool, in_file: bool) -> Any:
    """Read the newest messages of each of several DAGs: they may be few among those of others."""
    names = sa.bindparam("of_dags_as_json", type_=sa.String)
    if not of_dags:
        dag: Any = DAG_IDS.limit(None).subquery("dag")
    elif in_file:
        dag = sa.func.json_each(names).table_valued("value").alias("dag")
    else:
        listed = sa.func.json_array_elements_text(sa.cast(names, sa.JSON))
        dag = listed.table_valued("value").render_derived("dag")
    (dag_id,) = dag.c
    if in_file:
        of_dag = sa.select(messages.c.id).where(messages.c.dag_id == dag_id, *conditions)
        shown: Any = messages.alias("shown")
        source = dag.join(shown, shown.c.id.in_(_in_order(of_dag, messages.c.at).correlate(dag)))
    else:
        # Written so that only an index of DAG and time has the order: by the time alone, PostgreSQL would walk through
        # the messages of all DAGs, which it takes for mixed evenly.
        place = sa.tuple_(messages.c.dag_id, messages.c.at)
        ends = sa.tuple_(dag_id, now() - _since), sa.tuple_(dag_id, sa.literal_column("'infinity'::float8"))
        of_dag = sa.select(*(messages.c[name] for name in COLUMNS)).where(place > ends[0], place < ends[1], *conditions)
        of_dag = of_dag.order_by(messages.c.dag_id.desc(), messages.c.at.desc(), messages.c.id.desc()).limit(_most)
        shown = of_dag.lateral("shown")
        source = dag.join(shown, sa.true())
    found = sa.select(*(shown.c[name] for name in COLUMNS), now().label("read_at")).select_from(source)
    return found.order_by(shown.c.at.desc(), shown.c.id.desc()).limit(_most)


def _is_shown_as(state: State) -> ColumnElement[bool]:
    """A message whose process is gone is in doubt, even if no process has recorded that yet."""
    # The states are written out, so that the index of unsent messages is used.
    if state is State.IN_DOUBT:
        return sa.and_(_is_literally(State.IN_DOUBT, State.SENDING), sa.or_(_is_in(State.IN_DOUBT), _is_overdue))
    return sa.and_(_is_literally(state), sa.not_(_is_overdue)) if state is State.SENDING else _is_literally(state)


def _is_literally(*found: State) -> ColumnElement[bool]:
    written = ", ".join(f"'{state.value}'" for state in found)
    is_found: Any = sa.text(f"{messages.name}.state IN ({written})")
    return sa.and_(is_found)


_shown_state = sa.case((_is_overdue, State.IN_DOUBT.value), else_=messages.c.state)
_of_all_numbers = sa.and_(
    messages.c.account == _account,
    messages.c.digest == sa.bindparam("of_digest"),
    messages.c.at >= sa.bindparam("begin", type_=sa.Float),
    messages.c.at < sa.bindparam("end", type_=sa.Float),
)
STATES_OF_SAME = sa.select(_shown_state.label("state")).where(_of_all_numbers)
STATES_OF_SAME_FROM_NUMBER = STATES_OF_SAME.where(messages.c.number == sa.bindparam("of_number"))
"""The states of the messages with the same recipient and body."""

_was_sent = messages.c.state.not_in([state.value for state in (State.RESERVED, *WITHOUT_SLOT)])
_waits = sa.and_(messages.c.state == State.RESERVED.value, messages.c.at > now())


def _count(condition: Any) -> Any:
    return sa.func.sum(sa.case((condition, 1), else_=0))


USAGE_OF_NUMBERS = (
    sa.select(
        messages.c.account,
        messages.c.number,
        _count(sa.and_(_was_sent, messages.c.at <= now(), messages.c.at > now() - _SECOND)).label("last_second"),
        _count(sa.and_(_was_sent, messages.c.at <= now())).label("last_minute"),
        _count(_waits).label("waiting"),
    )
    .where(messages.c.at > now() - _MINUTE)
    # Not the other way round: SQLite would use the index of accounts and read all of it.
    .group_by(messages.c.number, messages.c.account)
)
"""How much of its limits each number uses now."""

USAGE_OF_ALERTS = sa.select(
    sa.select(sa.func.count())
    .where(messages.c.priority == sa.literal_column("1"), messages.c.at > now() - _DAY)
    .where(messages.c.state == State.SENT.value)
    .scalar_subquery()
    .label("sent"),
    sa.select(sa.func.coalesce(sa.func.sum(alerts.c.suppressed), 0))
    .where(alerts.c.suppressed > sa.literal_column("0"))
    .scalar_subquery()
    .label("suppressed"),
)
"""Alerts sent in the last 24 hours, and those suppressed since the last message with the same dedup key."""


# The store itself

NOW = sa.select(now().label("now"))
VERSION_IN_POSTGRES = sa.select(sa.func.max(journal_version.c.version).label("version"))
VERSION_IN_SQLITE = sa.text("SELECT user_version AS version FROM pragma_user_version")
REMOVE_ACCOUNT = accounts.delete().where(accounts.c.account == _account)
INSERT_ACCOUNT = accounts.insert().inline()
"""The probe writes and removes a row of no account."""


def _named(namespace: dict[str, Any]) -> dict[str, Executable | ByStore]:
    kinds = (Executable, ByStore)
    return {name.lower(): sql for name, sql in namespace.items() if name.isupper() and isinstance(sql, kinds)}


STATEMENTS = _named(vars()) | {f"alert_{name}": sql for name, sql in _named(vars(alert_statements)).items()}
"""Every statement by its name, except what `newest` makes."""
