"""Copies the messages and alerts of one journal into another one. A second run changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

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
# No cooldown ends later than in 3650 days, and no message has a slot that far away.
_LATEST = 3660 * 86400.0
_LARGEST_NUMBER = 2**31 - 1

_after: Any = sa.bindparam("after")
_row_id: Any = sa.literal_column("rowid")


UNDER_WAY = sa.select(sa.func.count().label("messages")).where(
    sa.or_(
        sa.and_(is_in(State.RESERVED), messages.c.at + ABANDONED > now()),
        sa.and_(is_in(State.SENDING), messages.c.deadline + GRACE > now()),
    )
)
"""The messages that a process is about to send, or is sending."""


def _page(table: sa.Table) -> Any:
    # Texts as bytes: one that is not UTF-8 would fail the whole page.
    columns = (sa.cast(column, sa.LargeBinary).label(column.name) if _is_text(column) else column for column in table.c)
    found = sa.select(_row_id.label("row_id"), *columns).select_from(table)
    return found.where(_row_id > _after).order_by(_row_id).limit(_PAGE)


def _is_text(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.String)


def _value(column: sa.Column[Any], value: Any) -> Any:
    """Return a column's value; SQLite keeps in a column what was written there, of whichever type.

    :raises ValueError: when it is damaged.
    """
    if _is_text(column) and value is not None:
        value = value.decode()
    kind, longest = column.type, getattr(column.type, "length", None)
    if value is None:
        is_sound = bool(column.nullable)
    elif isinstance(kind, sa.String):
        is_sound = "\0" not in value and (longest is None or len(value) <= longest)
    elif isinstance(kind, sa.Float):
        is_sound = isinstance(value, (int, float)) and 0 <= value < time.time() + _LATEST
    else:
        is_sound = isinstance(value, int) and -1 <= value <= _LARGEST_NUMBER
    if not is_sound:
        raise ValueError(column.name)
    return State(value) if column is messages.c.state else value


def _values(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the values of a row; None if it is damaged."""
    try:
        return {column.name: _value(column, row[column.name]) for column in table.c if column is not messages.c.id}
    except ValueError:
        return None


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
    """How many messages and alerts are in both journals now, and the rows of the earlier one that are damaged."""

    messages: int
    alerts: int
    damaged: tuple[str, ...] = ()


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
    damaged: list[str] = []
    carried = 0
    for page in _pages(source, messages, damaged):
        for account, rows in groupby(sorted(page, key=itemgetter("account")), itemgetter("account")):
            _write_all(target, (FREE_KEY, CARRY_MESSAGE), list(rows), lock=account)
        carried += len(page)
    carried_alerts = 0
    for page in _pages(source, alerts, damaged):
        _write_all(target, (CARRY_ALERT,), page)
        carried_alerts += len(page)
    for page in _pages(source, alert_grants, damaged):
        _write_all(target, (CARRY_GRANT,), page)
    return Carried(carried, carried_alerts, tuple(damaged))


_Values = dict[str, Any]


def _pages(source: Store, table: sa.Table, damaged: list[str]) -> Iterator[Sequence[_Values]]:
    """Yield the rows of a table, and note those that are damaged."""
    question, after = _page(table), -(2**63)
    while page := source.ask(Statement(question, {"after": after})):
        found = {row.row_id: _values(table, row._asdict()) for row in page}
        damaged += [f"{table.name} {row_id}" for row_id, values in found.items() if values is None]
        yield [values for values in found.values() if values is not None]
        after = page[-1].row_id


def _write_all(target: Store, sql: tuple[Any, ...], rows: Sequence[_Values], *, lock: str | None = None) -> None:
    for begin in range(0, len(rows), _BATCH):
        _write(target, sql, rows[begin : begin + _BATCH], lock=lock)


def _write(target: Store, sql: tuple[Any, ...], rows: Sequence[_Values], *, lock: str | None) -> None:
    statements = [
        Statement(each, {name: values[name] for name in _names(each)})
        for values in ({f"new_{name}": value for name, value in row.items()} for row in rows)
        for each in sql
    ]
    target.do(*statements, lock=lock)


@cache  # compiling takes longer than writing a row
def _names(sql: Any) -> list[str]:
    """Return the parameters of a statement: PostgreSQL's statements get no others."""
    return [name for name in sql.compile().params if name.startswith("new_")]
