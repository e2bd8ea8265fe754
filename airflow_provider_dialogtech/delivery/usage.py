"""How much of each limit is in use now, as the journal has it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from airflow_provider_dialogtech.delivery.records import WITHOUT_SLOT
from airflow_provider_dialogtech.delivery.schema import alerts, json_rows, now, sends
from airflow_provider_dialogtech.delivery.store import Statement, Store

_SECOND = 1.0
_MINUTE = 60.0
_DAY = 86400.0

_left = sends.c.state.not_in(("reserved", *WITHOUT_SLOT))
_waits = sa.and_(sends.c.state == "reserved", sends.c.at > now())


def _count(condition: Any) -> Any:
    return sa.func.sum(sa.case((condition, 1), else_=0))


_BY_NUMBER = (
    sa.select(
        sends.c.account,
        sends.c.number,
        _count(sa.and_(_left, sends.c.at <= now(), sends.c.at > now() - _SECOND)).label("second"),
        _count(sa.and_(_left, sends.c.at <= now())).label("minute"),
        _count(_waits).label("waiting"),
    )
    .where(sends.c.at > now() - _MINUTE)
    .group_by(sends.c.account, sends.c.number)
    .subquery()
)
_USAGE = sa.select(
    now().label("now"),
    sa.select(json_rows(*_BY_NUMBER.c)).select_from(_BY_NUMBER).scalar_subquery().label("numbers"),
    sa.select(sa.func.count())
    .where(sends.c.priority == 1, sends.c.state == "sent", sends.c.at > now() - _DAY)
    .scalar_subquery()
    .label("alerts_sent"),
    sa.select(sa.func.coalesce(sa.func.sum(alerts.c.more), 0)).scalar_subquery().label("alerts_suppressed"),
)


@dataclass(frozen=True)
class NumberUsage:
    """What one number has sent lately.

    :param account: the journal's name of its account.
    :param number: the journal's name of the number.
    :param last_second: texts that left in the last second.
    :param last_minute: texts that left in the last 60 seconds.
    :param waiting: texts that have a slot to come.
    """

    account: str = field(repr=False)
    number: str = field(repr=False)
    last_second: int
    last_minute: int
    waiting: int


@dataclass(frozen=True)
class Usage:
    """What all accounts have sent lately.

    :param numbers: the numbers that have sent in the last minute, or have texts waiting.
    :param alerts_sent: alerts that were texted in the last 24 hours.
    :param alerts_suppressed: alerts that were only counted since the last text about the same; the next text says so.
    """

    numbers: tuple[NumberUsage, ...]
    alerts_sent: int
    alerts_suppressed: int


def usage_of(store: Store) -> Usage:
    """Read how much of each limit is in use now.

    :param store: where the journal is stored.
    :raises JournalUnavailable: when the journal cannot be used.
    """
    row = store.ask(Statement(_USAGE, {}))
    numbers = tuple(NumberUsage(*values) for values in json.loads(row.numbers))
    return Usage(numbers, int(row.alerts_sent), int(row.alerts_suppressed))
