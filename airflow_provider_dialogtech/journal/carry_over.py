"""Copies the messages and alerts of one journal into another one. A second run changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Row

from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.queries import is_in
from airflow_provider_dialogtech.journal.records import ABANDONED, GRACE
from airflow_provider_dialogtech.journal.schema import alert_grants, alerts, messages, now
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store

_PAGE = 500
# Each statement is compiled for its place in a batch.
_BATCH = 20
# Times pass through two databases, which may round them.
_SAME_TIME = 0.001

_after: Any = sa.bindparam("after")


UNDER_WAY = sa.select(sa.func.count().label("messages")).where(
    sa.or_(
        sa.and_(is_in(State.RESERVED), messages.c.at + ABANDONED > now()),
        sa.and_(is_in(State.SENDING), messages.c.deadline + GRACE > now()),
    )
)
"""The messages that a process is about to send, or is sending."""


def _page(table: sa.Table, key: sa.Column[Any]) -> Any:
    return sa.select(table).where(key > _after).order_by(key).limit(_PAGE)


def _new(column: sa.Column[Any]) -> Any:
    return sa.bindparam(f"new_{column.name}", type_=column.type)


def _carried(table: sa.Table, is_there: Any, **other: Any) -> Any:
    values = {column.name: _new(column) for column in table.columns if column.name != "id"} | other
    return table.insert().from_select(list(values), sa.select(*values.values()).where(~is_there))


_key = _new(messages.c.key)
_is_known = sa.exists().where(
    messages.c.account == _new(messages.c.account),
    messages.c.at > _new(messages.c.at) - _SAME_TIME,
    messages.c.at < _new(messages.c.at) + _SAME_TIME,
    messages.c.owner == _new(messages.c.owner),
)
FREE_KEY = (
    messages.update()
    .where(
        messages.c.key == _key,
        messages.c.owner != _new(messages.c.owner),
        is_in(State.REFUSED, State.THROTTLED, State.RELEASED, State.UNSENT, State.HELD_BACK),
        is_in(State.SENT, State.SENDING, State.IN_DOUBT, column=_new(messages.c.state)),
    )
    .values(key=None)
)
"""A message that may have been sent keeps its key, even if a later attempt, which did not know of it, was not sent."""

CARRY_MESSAGE = _carried(
    messages, _is_known, key=sa.case((sa.exists().where(messages.c.key == _key), None), else_=_key)
)
CARRY_ALERT = _carried(alerts, sa.exists().where(alerts.c.key == _new(alerts.c.key)))
CARRY_GRANT = _carried(alert_grants, sa.exists().where(alert_grants.c.claim == _new(alert_grants.c.claim)))


class Carried(NamedTuple):
    """How many messages and alerts are in both journals now."""

    messages: int
    alerts: int


def under_way(source: Store) -> int:
    """Return how many messages of a journal are about to be sent, or are being sent.

    :raises JournalUnavailable: when it cannot be read.
    """
    return int(source.ask(Statement(UNDER_WAY, {}))[0].messages)


def carry_over(source: Store, target: Store) -> Carried:
    """Copy the messages and alerts of a journal into another one, which keeps its own.

    :param source: the earlier journal; it is not changed.
    :param target: the present one.
    :raises JournalUnavailable: when one of them cannot be used.
    """
    carried = 0
    for page in _pages(source, messages, messages.c.id, 0):
        for account, rows in groupby(sorted(page, key=_account_of), _account_of):
            found = list(rows)
            for begin in range(0, len(found), _BATCH):
                _write(target, (FREE_KEY, CARRY_MESSAGE), found[begin : begin + _BATCH], lock=account)
        carried += len(page)
    carried_alerts = 0
    for page in _pages(source, alerts, alerts.c.key, ""):
        _write_all(target, CARRY_ALERT, page)
        carried_alerts += len(page)
    for page in _pages(source, alert_grants, alert_grants.c.claim, ""):
        _write_all(target, CARRY_GRANT, page)
    return Carried(carried, carried_alerts)


def _account_of(row: Row[Any]) -> str:
    return str(row.account)  # a damaged file may have anything there


def _pages(source: Store, table: sa.Table, key: sa.Column[Any], first: object) -> Iterator[Sequence[Row[Any]]]:
    question, after = _page(table, key), first
    while page := source.ask(Statement(question, {"after": after})):
        yield page
        after = getattr(page[-1], key.name)


def _write_all(target: Store, sql: Any, rows: Sequence[Row[Any]]) -> None:
    for begin in range(0, len(rows), _BATCH):
        _write(target, (sql,), rows[begin : begin + _BATCH])


def _write(target: Store, sql: tuple[Any, ...], rows: Sequence[Row[Any]], *, lock: str | None = None) -> None:
    statements = [
        Statement(each, {name: values[name] for name in _names(each)})
        for values in ({f"new_{name}": value for name, value in row._mapping.items()} for row in rows)
        for each in sql
    ]
    target.do(*statements, lock=lock)


@cache  # compiling takes longer than writing a row
def _names(sql: Any) -> list[str]:
    """Return the parameters of a statement: PostgreSQL's statements get no others."""
    return [name for name in sql.compile().params if name.startswith("new_")]
