"""When a message is tried again, and when not: by a clock that nobody waits for."""

import logging

import pytest
from tenacity import Retrying

from airflow_provider_dialogtech.delivery.attempts import (
    SLOTS,
    TRIES,
    TRY_FOR,
    Attempts,
    SlotLost,
    before_next_try,
    log_next_try,
)
from airflow_provider_dialogtech.exceptions import Throttled, Unreachable
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.sms.message import SmsMessage

MESSAGE = SmsMessage.create(to="5556667777", message="Hello", from_numbers=["5554332111"])
REQUEST = SlotRequest("key", ("5554332111",), "5556667777", "Hello")


def a_text(time, max_wait=None):
    return Attempts(MESSAGE, REQUEST, resend=False, max_wait=max_wait, clock=time.clock)


def times_tried(text, time, errors, seconds=0.0, **options):
    """Try a message whose tries fail with these errors, each after so many seconds; return how often it was tried."""
    tried = []

    def fail(_text):
        tried.append(time.monotonic())
        time.go_on(seconds)
        raise errors[min(len(tried), len(errors)) - 1]

    with pytest.raises(type(errors[-1])):
        Retrying(stop=text.is_hopeless, sleep=time.sleep, reraise=True, **options)(fail, text)
    return len(tried)


def test_a_message_waits_for_its_slot_as_long_as_it_may_all_tries_together(time):
    text = a_text(time, max_wait=10.0)
    assert text.remaining_wait() == 10.0
    time.go_on(7.5)
    assert text.remaining_wait() == 2.5
    time.go_on(7.5)
    assert text.remaining_wait() == 0.0
    assert a_text(time).remaining_wait() is None


def test_failing_ends_with_the_fifth_try(time):
    assert times_tried(a_text(time), time, [Unreachable()]) == TRIES == 5


def test_failing_ends_after_two_minutes_whatever_the_number_of_tries(time):
    assert TRY_FOR == 120.0
    assert times_tried(a_text(time), time, [Throttled()], seconds=60.0) == 3
    assert times_tried(a_text(time), time, [Throttled()], seconds=119.0) == 3


def test_the_time_before_the_first_failure_does_not_count(time):
    text = a_text(time)
    time.go_on(3600.0)
    assert times_tried(text, time, [Unreachable()]) == TRIES


def test_a_message_may_lose_eleven_slots_and_no_lost_slot_is_a_failed_try(time):
    assert times_tried(a_text(time), time, [SlotLost()], seconds=60.0) == SLOTS == 12
    losses = [SlotLost()] * (SLOTS - 1)
    assert times_tried(a_text(time), time, [*losses, Unreachable()]) == SLOTS - 1 + TRIES


def test_a_throttled_message_and_a_lost_slot_wait_for_their_next_slot_only(time):
    for error in (Throttled(), SlotLost()):
        times_tried(a_text(time), time, [error], wait=before_next_try)
    assert set(time.sleeps) == {0}


def test_what_cannot_be_reached_is_left_alone_for_some_seconds_at_most(time):
    for _ in range(50):
        times_tried(a_text(time), time, [Unreachable()], wait=before_next_try)
    assert 0 < min(time.sleeps) < max(time.sleeps) <= 10
    assert max(time.sleeps) > 2


def test_the_log_says_which_try_follows_and_why(time, caplog):
    times_tried(a_text(time), time, [Unreachable()], before_sleep=log_next_try)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 4
    assert caplog.messages[0].endswith("Trying again (2 of 5).")
    assert caplog.messages[-1].endswith("Trying again (5 of 5).")


def test_a_lost_slot_is_a_warning_only_where_many_are_lost(time, caplog):
    caplog.set_level(logging.INFO)
    times_tried(a_text(time), time, [SlotLost("an alert took it")], before_sleep=log_next_try)
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.INFO] * 6 + [logging.WARNING] * 5
    assert caplog.messages[0] == "The message to …7777 lost its slot and takes another: an alert took it."
