"""How long an alert goes on writing down what became of it: by a clock that nobody waits for."""

import pytest

from airflow_provider_dialogtech.alerts.journals import HELD, AlertDeadline, AlertJournal, Attempt
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import Reservation, SlotRequest
from airflow_provider_dialogtech.journal.store import Store

HELD_SLOT = Reservation(1, "owner", "5554332111", 0.0, 0.0)
REQUEST = SlotRequest("key", ("5554332111",), "5556667777", "Hello", is_alert=True)


@pytest.fixture
def away(unused_port, time):
    """A journal whose server refuses connections."""
    pytest.importorskip("psycopg2")
    store = Store(f"postgresql+psycopg2://nobody@127.0.0.1:{unused_port}/journal", clock=time.clock)
    return AlertJournal(Attempt(3600), AlertDeadline(HELD, time.clock), store, "account", RateLimits())


@pytest.mark.parametrize("outcome", ["sent", "in_doubt", "refused", "throttled"])
@pytest.mark.parametrize(("passed", "timeout"), [(0.0, 39.0), (30.0, 9.0), (38.5, 1.0), (44.0, 1.0)])
def test_an_outcome_is_written_as_long_as_a_new_connection_fits_into_the_callbacks_time(
    away, time, outcome, passed, timeout
):
    time.go_on(passed)
    with pytest.raises(JournalUnavailable):
        away.settle(HELD_SLOT, outcome, {})
    assert timeout - 1 <= sum(time.sleeps) <= timeout


def test_nobody_waits_long_for_a_slot_that_is_given_back(away, time):
    away.release(HELD_SLOT)
    assert 1.0 <= sum(time.sleeps) <= 2.0


def test_what_the_journal_says_is_passed_on(sqlite_url, time):
    store = Store(sqlite_url, clock=time.clock)
    journal = AlertJournal(Attempt(3600), AlertDeadline(HELD, time.clock), store, "account", RateLimits())
    held = journal.reserve(REQUEST)
    time.sleep(held.due - time.monotonic())
    assert journal.start(held, request_timeout=30)
    journal.settle(held, "sent", {"result": "success"})
    assert journal.reserve(REQUEST).outcome == {"result": "success"}
