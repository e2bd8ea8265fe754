"""How long an alert retries to settle and to release, tested with a fake clock."""

from itertools import product

import pytest

from airflow_provider_dialogtech.alerts.deadline import LONGEST_CALLBACK, AlertDeadline, Departure, JournalAttempt
from airflow_provider_dialogtech.alerts.journals import AlertJournal
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import Reservation, SlotRequest
from airflow_provider_dialogtech.journal.store import Store

HELD_SLOT = Reservation(1, "owner", "5554332111", 0.0, 0.0)
REQUEST = SlotRequest("key", ("5554332111",), "5556667777", "Hello", is_alert=True)


def alert_journal(store, time):
    return AlertJournal(
        JournalAttempt(3600),
        AlertDeadline(LONGEST_CALLBACK, time.clock),
        store,
        "account",
        RateLimits(),
        departure=Departure(),
    )


@pytest.fixture
def unavailable(unused_port, time):
    """A journal whose server refuses connections."""
    pytest.importorskip("psycopg2")
    store = Store(f"postgresql+psycopg2://nobody@127.0.0.1:{unused_port}/journal", clock=time.clock)
    return alert_journal(store, time)


def settle(journal, outcome):
    journal.settle(HELD_SLOT, outcome, {})


def bring_back(journal, outcome):
    journal.bring_back(REQUEST, HELD_SLOT, outcome, {}, timeout=60.0)


@pytest.mark.parametrize("write", product([settle, bring_back], ["sent", "in_doubt", "refused", "throttled"]))
@pytest.mark.parametrize(("passed", "timeout"), [(0.0, 39.0), (30.0, 9.0), (38.5, 1.0), (44.0, 1.0)])
def test_an_outcome_is_written_as_long_as_a_new_connection_fits_into_the_callbacks_time(
    unavailable, time, write, passed, timeout
):
    time.go_on(passed)
    step, outcome = write
    with pytest.raises(JournalUnavailable):
        step(unavailable, outcome)
    assert timeout - 1 <= sum(time.sleeps) <= timeout


def test_a_failed_release_of_a_slot_is_retried_only_briefly(unavailable, time):
    unavailable.release(HELD_SLOT)
    assert 1.0 <= sum(time.sleeps) <= 2.0


def test_the_journals_answer_is_returned(sqlite_url, time):
    store = Store(sqlite_url, clock=time.clock)
    journal = alert_journal(store, time)
    held = journal.reserve(REQUEST)
    time.sleep(held.due - time.monotonic())
    assert journal.start(held, request_timeout=30)
    journal.settle(held, "sent", {"result": "success"})
    assert journal.reserve(REQUEST).outcome == {"result": "success"}
