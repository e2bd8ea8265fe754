"""How much of each limit is in use, by a clock that nobody waits for."""

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import alerts, messages
from airflow_provider_dialogtech.operations.messages import usage_of
from tests.journal.looking import change

A_DAY = 86400.0


@pytest.fixture
def write(timed_store, sqlite_url, time):
    """Write messages into the journal: so many seconds ago, in a state."""
    journal = MessageJournal(timed_store, "account", RateLimits())

    def write(*texts, **columns):
        for ago, state in texts:
            held = journal.reserve(SlotRequest(f"{ago} {state}", ("5554332111",), "5556667777", "Hello"))
            values = {"at": time.now() - ago, "state": state, **columns}
            change(sqlite_url, messages.update().where(messages.c.id == held.id).values(**values))

    return write


def figures(store):
    (number,) = usage_of(store).numbers
    return number.last_second, number.last_minute, number.waiting


@pytest.mark.parametrize("state", ["sending", "sent", "refused", "throttled", "in_doubt"])
def test_what_has_left_counts_for_a_second_and_for_a_minute(timed_store, write, state):
    write((0.0, state), (0.9, state), (1.0, state), (59.0, state), (60.0, state), (100.0, state))
    assert figures(timed_store) == (2, 4, 0)


def test_what_has_not_left_counts_as_waiting_until_its_slot(timed_store, write):
    write((0.5, "released"), (0.5, "held_back"), (0.5, "reserved"), (0.0, "reserved"), (-1.0, "reserved"))
    write((-70.0, "reserved"), (-1.0, "released"), (-1.0, "sending"))
    assert figures(timed_store) == (0, 0, 2)


def test_numbers_that_have_nothing_to_do_are_left_out(timed_store, write):
    write((60.0, "sent"))
    usage = usage_of(timed_store)
    assert (usage.numbers, usage.alerts_sent, usage.alerts_suppressed) == ((), 0, 0)


def test_alerts_of_a_day_are_counted(timed_store, write):
    write((0.0, "sent"), (A_DAY - 1, "sent"), (A_DAY, "sent"), (1.0, "refused"), priority=1)
    write((2.0, "sent"))
    assert usage_of(timed_store).alerts_sent == 2


def test_suppressed_alerts_are_counted_over_all_of_them(timed_store, sqlite_url):
    usage_of(timed_store)
    new = {"claimed_at": 0.0, "cooldown_ends": 0.0, "reported": 0}
    change(
        sqlite_url,
        sa.insert(alerts).values(
            [{"key": key, "suppressed": suppressed, **new} for key, suppressed in (("a", 3), ("b", 4))]
        ),
    )
    assert usage_of(timed_store).alerts_suppressed == 7
