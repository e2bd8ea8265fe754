"""When a message would leave: as `reserve` decides, and nothing is written."""

import pytest

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.journal.journal import MessageJournal, preview
from airflow_provider_dialogtech.journal.limits import SHORT_MARGIN, RateLimits
from airflow_provider_dialogtech.journal.records import Record, SlotRequest
from tests.journal.looking import rows

LIMITS = RateLimits()


@pytest.fixture
def journal(timed_store):
    return MessageJournal(timed_store, "account", LIMITS)


def a_request(key="key", to="5556667777"):
    return SlotRequest(key, ("5554332111",), to, "Hello")


def test_it_shows_the_slot_that_the_message_would_get_and_takes_none(timed_store, journal, time, sqlite_url):
    held = journal.reserve(a_request("first"))
    shown = preview(a_request(), timed_store, "account", LIMITS)
    assert shown.at == pytest.approx(held.at + 1 + SHORT_MARGIN)
    assert shown.due == pytest.approx(held.due + 1 + SHORT_MARGIN)
    assert shown.number == "5554332111"
    assert len(rows(sqlite_url)) == 1
    assert journal.reserve(a_request()).at == pytest.approx(shown.at)


def test_a_message_that_nothing_holds_up_would_leave_at_once(timed_store, time):
    shown = preview(a_request(), timed_store, "account", LIMITS)
    assert shown.at - time.now() == pytest.approx(timed_store.timing.head_start(0.0))


def test_it_shows_what_is_known_of_a_message(timed_store, journal, time):
    held = journal.reserve(a_request())
    time.sleep(held.due - time.monotonic())
    journal.start(held, request_timeout=30)
    journal.settle(held, "sent", {})
    known = preview(a_request(), timed_store, "account", LIMITS)
    assert isinstance(known, Record)
    assert known.state == "sent"
    with pytest.raises(InvalidMessage, match="belongs to a message to …7777"):
        preview(a_request(to="5556668888"), timed_store, "account", LIMITS)
