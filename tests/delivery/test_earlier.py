"""What becomes of a message whose key the journal knows:

answered from it, or waited for, by a clock that runs ahead.
"""

import logging
from datetime import datetime, timezone

import pytest

from airflow_provider_dialogtech.delivery.attempts import Attempts, SlotLost
from airflow_provider_dialogtech.delivery.outcomes import EarlierAttempt
from airflow_provider_dialogtech.delivery.result import detail_of
from airflow_provider_dialogtech.exceptions import InDoubt
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import GRACE, SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.sms.message import SmsMessage
from tests.clocks import FakeClock
from tests.results import a_result

TIMEOUT = 30.0
MESSAGE = SmsMessage.create(to="5556667777", message="Hello", from_numbers=["5554332111"])
SENT = a_result(xml="", waited_seconds=0.5)


def a_request(text="Hello", **options):
    return SlotRequest("key", ("5554332111",), "5556667777", text, **options)


@pytest.fixture
def journal(sqlite_url, time):
    return MessageJournal(Store(sqlite_url, clock=time.clock), "account", RateLimits())


@pytest.fixture
def started(journal, time):
    """A message that another process is sending."""
    held = journal.reserve(a_request())
    time.sleep(held.due - time.monotonic())
    assert journal.start(held, request_timeout=TIMEOUT)
    time.sleeps.clear()
    return held


def answer(journal, time, request=None, record=None):
    text = Attempts(MESSAGE, request or a_request(), resend=False, max_wait=None, clock=time.clock)
    return text, EarlierAttempt(journal, time.clock).answer(text, record or journal.reserve(text.request))


def test_a_message_that_was_sent_has_its_recorded_result_and_no_warning(journal, started, time, caplog):
    journal.settle(started, "sent", detail_of(SENT))
    _, result = answer(journal, time)
    assert result == {**SENT, "status": "already_sent"}
    assert caplog.messages == []


def test_another_message_under_the_key_of_one_that_was_sent_is_warned_of(journal, started, time, caplog):
    journal.settle(started, "sent", detail_of(SENT))
    _, result = answer(journal, time, a_request("Hello again"))
    assert result.status == "already_sent"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Another message to …7777 was sent under this idempotency key")


def test_a_list_with_an_edited_template_warns_of_its_first_rows_only(journal, started, time, caplog):
    """A retry of ten thousand rows would log ten thousand lines."""
    journal.settle(started, "sent", detail_of(SENT))
    attempts = Attempts(MESSAGE, a_request("Hello again"), resend=False, max_wait=None, clock=time.clock)
    earlier = EarlierAttempt(journal, time.clock)
    record = journal.reserve(attempts.request)
    for _ in range(100):
        assert earlier.answer(attempts, record).status == "already_sent"
    assert len(caplog.messages) == 20
    assert caplog.messages[-1].endswith("From here on, this task no longer logs such messages.")


def test_a_message_that_must_not_go_out_is_held_back(journal, time):
    _, result = answer(journal, time, a_request(is_held_back=True))
    assert (result.status, result.attempts, result.to) == ("held_back", 0, "…7777")


def test_a_message_in_doubt_says_when_it_left_and_stays_where_it_is(journal, started, time):
    journal.settle(started, "in_doubt", {})
    with pytest.raises(InDoubt, match=r"its request left at .* UTC, and its outcome is unknown") as raised:
        answer(journal, time)
    assert raised.value.since == datetime.fromtimestamp(started.at, timezone.utc)
    assert (raised.value.key, raised.value.to, raised.value.earlier) == ("key", "…7777", True)
    assert raised.value.advice.startswith("Nothing was sent now. ")
    assert time.sleeps == []


def test_the_outcome_of_another_process_is_waited_for_until_it_is_written(journal, started, time):
    """Its slot was none of this message's, so none is lost."""

    def sleep(seconds):
        FakeClock.sleep(time, seconds)
        if sum(time.sleeps) > 5:
            journal.settle(started, "sent", detail_of(SENT))

    time.clock = type(time.clock)(time.now, time.monotonic, sleep)
    text = Attempts(MESSAGE, a_request(), resend=False, max_wait=None, clock=time.clock)
    with pytest.raises(SlotLost, match="another process was sending it"):
        EarlierAttempt(journal, time.clock).answer(text, journal.find("key"))
    assert text.slots == -1
    assert 5 < sum(time.sleeps) <= 5 + 2
    assert time.sleeps == sorted(time.sleeps)
    assert time.sleeps[0] <= 0.2
    assert max(time.sleeps) == 2
    assert journal.find("key").state == "sent"


def test_a_process_that_is_gone_is_waited_for_until_its_deadline_and_its_message_is_in_doubt_then(
    journal, started, time
):
    with pytest.raises(SlotLost):
        answer(journal, time)
    assert TIMEOUT + GRACE <= sum(time.sleeps) <= TIMEOUT + GRACE + 2
    assert journal.find("key").state == "in_doubt"


def test_a_journal_whose_clock_is_set_back_meanwhile_is_not_waited_for_any_longer(journal, started, time):
    record = journal.find("key")
    time.set(-3600)
    with pytest.raises(SlotLost):
        answer(journal, time, record=record)
    assert sum(time.sleeps) <= TIMEOUT + GRACE + 2
    assert journal.find("key").state == "in_doubt"


def test_a_reservation_whose_process_is_gone_is_waited_for_and_left_to_whoever_is_next(journal, time):
    held = journal.reserve(a_request())
    with pytest.raises(SlotLost):
        answer(journal, time, record=journal.find("key"))
    assert time.monotonic() >= held.due
    assert journal.find("key").state == "reserved"
