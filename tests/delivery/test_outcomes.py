"""What became of a message is written down, however long the journal is away, and a failure of that is only logged."""

import logging

import pytest

from airflow_provider_dialogtech.delivery.attempts import Attempts
from airflow_provider_dialogtech.delivery.outcomes import OutcomeWriter
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import Reservation, SlotRequest
from airflow_provider_dialogtech.journal.schema import accounts
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.sms.message import SmsMessage
from tests.journal.looking import rows

WITHIN = 60.0
MESSAGE = SmsMessage.create(to="5556667777", message="Hello", from_numbers=["5554332111"])
REQUEST = SlotRequest("key", ("5554332111",), "5556667777", "Hello")
HELD = Reservation(1, "owner", "5554332111", 0.0, 0.0)


@pytest.fixture
def text(time):
    return Attempts(MESSAGE, REQUEST, resend=False, max_wait=None, clock=time.clock)


@pytest.fixture
def journal(sqlite_url, time):
    return MessageJournal(Store(sqlite_url, clock=time.clock), "account", RateLimits())


@pytest.fixture
def away(unused_port, time):
    """A journal whose server refuses connections."""
    pytest.importorskip("psycopg2")
    store = Store(f"postgresql+psycopg2://nobody@127.0.0.1:{unused_port}/journal", clock=time.clock)
    return MessageJournal(store, "account", RateLimits())


def test_an_outcome_is_written_with_the_time_that_its_reply_took(journal, text, time, sqlite_url):
    held = journal.reserve(REQUEST)
    time.sleep(held.due - time.monotonic())
    assert journal.start(held, request_timeout=30)
    left = time.monotonic()
    time.go_on(0.75)
    assert OutcomeWriter(journal, time.clock).settle(text, held, "sent", {"result": "success"}, left)
    assert journal.find("key").outcome == {"result": "success"}
    assert rows(sqlite_url, accounts)[0].usual_latency == pytest.approx(0.75)


WORDS = {"sent": "was sent", "refused": "was refused", "throttled": "was throttled", "in_doubt": "may have been sent"}


@pytest.mark.parametrize("outcome", WORDS)
def test_a_journal_that_stays_away_is_tried_for_a_minute_and_then_told_of(away, text, time, caplog, outcome):
    text.started = True
    assert not OutcomeWriter(away, time.clock).settle(text, HELD, outcome, {}, time.monotonic())
    assert WITHIN - 1 <= sum(time.sleeps) <= WITHIN
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(
        f"The message to …7777 {WORDS[outcome]}, but that could not be written into the journal, so a retry will "
        "report the message as in doubt: the delivery journal is not available"
    )


def test_a_slot_that_nobody_started_is_given_back_for_a_few_seconds_only(away, text, time, caplog):
    text.unsent = HELD
    OutcomeWriter(away, time.clock).give_back(text)
    assert 4.0 <= sum(time.sleeps) <= 5.0
    assert caplog.messages[0].startswith(
        "The message to …7777 was not sent, but that could not be written into the journal: the"
    )


def test_a_slot_that_may_be_started_is_given_back_for_a_minute(away, text, time, caplog):
    text.unsent, text.started = HELD, True
    OutcomeWriter(away, time.clock).give_back(text)
    assert WITHIN - 1 <= sum(time.sleeps) <= WITHIN
    assert "was not sent, but that could not be written into the journal, so a retry may report" in caplog.text


def test_where_there_is_no_slot_nothing_is_given_back(away, text, time, caplog):
    OutcomeWriter(away, time.clock).give_back(text)
    assert (time.sleeps, caplog.messages) == ([], [])


def test_a_slot_that_was_given_back_is_free(journal, text, time):
    text.unsent = journal.reserve(REQUEST)
    OutcomeWriter(journal, time.clock).give_back(text)
    assert journal.find("key").state == "released"


def test_whatever_stops_the_waiting_is_told_by_its_kind(away, text, time, caplog):
    def stop(_seconds):
        raise ZeroDivisionError("a word that nobody shall see")

    clock = type(time.clock)(time.now, time.monotonic, stop)
    assert not OutcomeWriter(away, clock).settle(text, HELD, "sent", {}, 0.0)
    assert caplog.messages[0].endswith("could not be written into the journal: ZeroDivisionError. Check the journal.")
