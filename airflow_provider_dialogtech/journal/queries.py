"""The questions about messages, of later attempts and of people. Each row has the store's time beside it."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import ColumnElement

from airflow_provider_dialogtech.journal.records import COLUMNS, GRACE
from airflow_provider_dialogtech.journal.schema import alerts, messages, now
from airflow_provider_dialogtech.journal.states import WITHOUT_SLOT, State

_SECOND = 1.0
_MINUTE = 60.0
_DAY = 86400.0

id_: Any = sa.bindparam("of_id")
account: Any = sa.bindparam("of_account", type_=sa.String)
key_: Any = sa.bindparam("of_key")


# A row that has lost its key to a later attempt does not match, whatever its body.
is_of_message = sa.or_(
    messages.c.key == key_,
    sa.and_(messages.c.body_key == sa.bindparam("of_body_key"), messages.c.key.isnot(None)),
)


def is_in(*found: State, column: Any = messages.c.state) -> ColumnElement[bool]:
    """Return the condition that a message is in one of these states.

    :param found: the states.
    :param column: where its state stands.
    """
    return sa.or_(*(column == state.value for state in found))


is_overdue = sa.and_(messages.c.state == State.SENDING.value, messages.c.deadline + GRACE <= now())


def read(*conditions: ColumnElement[bool]) -> Any:
    """Return the question for the messages that meet all conditions."""
    return sa.select(*(messages.c[name] for name in COLUMNS), now().label("read_at")).where(*conditions)


FIND = read(is_of_message)
"""The message under a key, and the one with the same body key."""

FIND_SENT = read(
    messages.c.key.in_(sa.bindparam("of_keys", type_=sa.String, expanding=True)), messages.c.state == State.SENT.value
)
"""Those of several messages that were sent, by their keys."""

GET = read(messages.c.id == id_, messages.c.owner == sa.bindparam("of_owner", type_=sa.String))
"""The message of a row, by its owner: the number of a row alone shows nothing."""

GET_OURS = read(messages.c.id == id_, messages.c.namespace == sa.bindparam("of_namespace", type_=sa.String))
"""The message of a row, if it is this Airflow's."""

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
    return _in_order(read(*conditions), messages.c.at + 0 if state is State.IN_DOUBT else messages.c.at)


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
        return sa.and_(_is_literally(State.IN_DOUBT, State.SENDING), sa.or_(is_in(State.IN_DOUBT), is_overdue))
    return sa.and_(_is_literally(state), sa.not_(is_overdue)) if state is State.SENDING else _is_literally(state)


def _is_literally(*found: State) -> ColumnElement[bool]:
    written = ", ".join(f"'{state.value}'" for state in found)
    is_found: Any = sa.text(f"{messages.name}.state IN ({written})")
    return sa.and_(is_found)


_shown_state = sa.case((is_overdue, State.IN_DOUBT.value), else_=messages.c.state)
_of_all_numbers = sa.and_(
    messages.c.account == account,
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
        sa.func.min(messages.c.account).label("account"),
        messages.c.number,
        _count(sa.and_(_was_sent, messages.c.at <= now(), messages.c.at > now() - _SECOND)).label("last_second"),
        _count(sa.and_(_was_sent, messages.c.at <= now())).label("last_minute"),
        _count(_waits).label("waiting"),
    )
    .where(messages.c.at > now() - _MINUTE)
    # Not by account and number: SQLite would use the index of accounts and read all of it.
    .group_by(messages.c.number)
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
