"""How much of each limit is in use now, as the journal has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_dialogtech.journal import statements
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.store import Store


@dataclass(frozen=True)
class NumberUsage:
    """What one number has sent lately.

    :param account: the journal's name of its account.
    :param number: the journal's name of the number.
    :param last_second: messages that left in the last second.
    :param last_minute: messages that left in the last 60 seconds.
    :param waiting: messages that have a slot to come.
    """

    account: str = field(repr=False)
    number: str = field(repr=False)
    last_second: int
    last_minute: int
    waiting: int


@dataclass(frozen=True)
class Usage:
    """What all accounts have sent lately.

    :param numbers: the numbers that have sent in the last minute, or have messages waiting.
    :param alerts_sent: the number of alerts sent in the last 24 hours.
    :param alerts_suppressed: alerts that were only counted since the last message about the same; the next message says
        so.
    """

    numbers: tuple[NumberUsage, ...]
    alerts_sent: int
    alerts_suppressed: int


def usage_of(store: Store) -> Usage:
    """Read how much of each limit is in use now.

    :param store: where the journal is stored.
    :raises JournalUnavailable: when the journal cannot be used.
    """
    numbers = tuple(NumberUsage(*row) for row in store.ask(Statement(statements.USAGE_OF_NUMBERS, {})))
    (of_alerts,) = store.ask(Statement(statements.USAGE_OF_ALERTS, {}))
    return Usage(numbers, int(of_alerts.sent), int(of_alerts.suppressed))
