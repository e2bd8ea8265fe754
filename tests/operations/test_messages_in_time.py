"""What a person sees of the journal at which moment: by a clock that nobody waits for."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import ABANDONED, GRACE, SlotRequest
from airflow_provider_dialogtech.operations.messages import Messages
from tests.journal.looking import edit, rows

HOUR = 3600.0
REQUEST = SlotRequest("key", ("5554332111",), "5556667777", "Hello")


@pytest.fixture
def texts(timed_store):
    return Messages(timed_store)


@pytest.fixture
def held(timed_store, time):
    """A message whose slot is now."""
    held = MessageJournal(timed_store, "account", RateLimits()).reserve(REQUEST)
    time.sleep(held.due - time.monotonic())
    return held


def test_a_list_goes_back_as_far_as_it_is_asked_to(texts, held, time):
    assert [text.read_at - text.at for text in texts.list(since=HOUR)] == pytest.approx([0.0], abs=0.001)
    time.go_on(HOUR - 1)
    (text,) = texts.list(since=HOUR)
    assert text.read_at - text.at == pytest.approx(HOUR - 1)
    assert text.at == pytest.approx(held.at, abs=0.001)
    time.go_on(2)
    assert texts.list(since=HOUR) == []


def test_a_slot_to_come_has_an_age_below_none_and_is_listed(texts, held, time):
    time.go_on(-10)
    (text,) = texts.list(since=HOUR)
    assert text.read_at - text.at == pytest.approx(-10)
    assert text.reason == "waits for its slot"


@pytest.mark.parametrize(("after", "is_gone"), [(ABANDONED - 0.1, False), (ABANDONED + 0.1, True)])
def test_a_slot_that_nobody_used_belongs_to_a_process_that_is_gone(texts, held, time, after, is_gone):
    time.go_on(after)
    assert ("its process is gone" in texts.get(held.id).reason) == is_gone


@pytest.mark.parametrize("after", [30 + GRACE - 0.1, 30 + GRACE + 0.1])
def test_a_request_that_has_outlived_its_deadline_is_in_doubt(texts, timed_store, held, time, after):
    state = "in_doubt" if after > 30 + GRACE else "sending"
    assert MessageJournal(timed_store, "account", RateLimits()).start(held, request_timeout=30)
    time.go_on(after)
    assert texts.get(held.id).state == state
    assert texts.resolve(held.id, "sent", by="anna") == (state == "in_doubt")


def test_what_a_person_settles_as_sent_is_returned_as_a_result_later(texts, held, sqlite_url):
    edit(sqlite_url, state="in_doubt")
    assert texts.resolve(held.id, "sent", by="a" * 101)
    detail = json.loads(rows(sqlite_url)[0].detail)
    assert detail.pop("settlement")
    assert detail == {
        "status": "sent",
        "result": "success",
        "result_description": "Settled as sent by a person",
        "to": "…7777",
        "sent_at": datetime.fromtimestamp(held.at, timezone.utc).isoformat(timespec="milliseconds"),
        "settled_by": "a" * 100,
    }


def test_what_a_person_settles_as_unsent_has_no_result(texts, held, sqlite_url):
    edit(sqlite_url, state="in_doubt")
    assert texts.resolve(held.id, "unsent", by="anna")
    assert set(json.loads(rows(sqlite_url)[0].detail)) == {"settled_by", "settlement"}


def test_a_day_that_is_counted_begins_with_its_first_moment_and_ends_before_the_next(texts, held):
    text = texts.get(held.id)
    at, moment = datetime.fromtimestamp(held.at, timezone.utc), timedelta(milliseconds=1)
    assert texts.count_same(text, begin=at - moment, end=at + moment) == {"reserved": 1}
    assert texts.count_same(text, begin=at + moment, end=at + 2 * moment) == {}
    assert texts.count_same(text, begin=at - 2 * moment, end=at - moment) == {}


def test_no_more_messages_are_listed_than_are_asked_for(texts, timed_store, time):
    journal = MessageJournal(timed_store, "account", RateLimits())
    for n in range(3):
        journal.reserve(SlotRequest(str(n), ("5554332111",), "5556667777", "Hello", is_alert=n == 1))
    assert [len(texts.list(since=HOUR, most=most)) for most in (1, 2, 3, 100)] == [1, 2, 3, 3]
    assert [text.is_alert for text in texts.list(since=HOUR)].count(True) == 1


def test_what_a_log_shows_of_a_message_holds_no_name_by_which_it_could_be_found_out(texts, held, sqlite_url):
    edit(sqlite_url, detail='{"result_description": "words of theirs"}')
    text = texts.get(held.id)
    assert text.detail
    assert "words" not in repr(text)
    assert not any(name in repr(text) for name in (text.digest, text.number, text.account + "'"))
