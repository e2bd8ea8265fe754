"""How a callback's time is divided, tested with a fake clock."""

import pytest

from airflow_provider_dialogtech.alerts.deadline import LONGEST_CALL, LONGEST_CALLBACK, LONGEST_WAIT, AlertDeadline
from airflow_provider_dialogtech.exceptions import WaitTooLong


@pytest.fixture
def deadline(time):
    return AlertDeadline(LONGEST_CALLBACK, time.clock)


def test_a_slot_and_a_call_fit_in():
    assert LONGEST_WAIT + LONGEST_CALL + 1.0 == LONGEST_CALLBACK


@pytest.mark.parametrize(
    ("passed", "for_slot"),
    [(0.0, 30.0), (10.0, 30.0), (11.5, 29.0), (40.0, 0.5), (40.5, 0.0), (44.0, 0.0), (99.0, 0.0)],
)
def test_a_slot_leaves_enough_time_to_send(time, deadline, passed, for_slot):
    time.go_on(passed)
    assert deadline.remaining() == LONGEST_CALLBACK - passed
    assert deadline.remaining_for_slot() == pytest.approx(for_slot)


def test_a_callback_that_has_more_time_waits_no_longer_for_a_slot(time):
    assert AlertDeadline(100.0, time.clock).remaining_for_slot() == 30.0


def test_it_sleeps_unless_too_little_time_to_send_would_remain(time, deadline):
    deadline.sleep(41.5)
    assert time.sleeps == [41.5]
    with pytest.raises(WaitTooLong, match="the callback's time is over"):
        deadline.sleep(0.1)
    assert time.sleeps == [41.5]
    deadline.sleep(0.0)


@pytest.mark.parametrize(("passed", "expected"), [(0.0, 14.0), (30.0, 14.0), (34.0, 10.0), (40.0, 4.0), (44.0, 3.5)])
def test_a_call_is_shortened_to_the_time_that_is_left(time, deadline, passed, expected):
    time.go_on(passed)
    assert deadline.remaining_for_call(14.0) == pytest.approx(expected)
    assert deadline.remaining_for_call(2.0) == 2.0


@pytest.mark.parametrize(("held", "expected"), [(45.0, 10.0), (17.0, 6.25), (6.5, 1.0), (-3.0, 1.0)])
def test_a_silent_journal_leaves_time_for_another_one(time, held, expected):
    assert AlertDeadline(held, time.clock).remaining_for_journal(10.0) == pytest.approx(expected)
