"""How a callback's time is divided, tested with a fake clock."""

import pytest

from airflow_provider_dialogtech.alerts.journals import CALL, HELD, WAIT, AlertDeadline
from airflow_provider_dialogtech.exceptions import WaitTooLong


@pytest.fixture
def deadline(time):
    return AlertDeadline(HELD, time.clock)


def test_a_callback_ends_before_the_dag_processor_kills_it():
    """It is killed after 50 s; a slot, a call and the second between them fit in."""
    assert HELD == 45.0
    assert WAIT + CALL + 1.0 == HELD


@pytest.mark.parametrize(
    ("passed", "for_slot"), [(0.0, 30.0), (1.0, 29.0), (29.5, 0.5), (30.0, 0.0), (44.0, 0.0), (99.0, 0.0)]
)
def test_a_slot_leaves_enough_time_to_send(time, deadline, passed, for_slot):
    time.go_on(passed)
    assert deadline.remaining() == HELD - passed
    assert deadline.remaining_for_slot() == pytest.approx(for_slot)


def test_a_callback_that_has_more_time_waits_no_longer_for_a_slot(time):
    assert AlertDeadline(100.0, time.clock).remaining_for_slot() == 30.0


def test_it_sleeps_unless_too_little_time_to_send_would_remain(time, deadline):
    deadline.sleep(31.0)
    assert time.sleeps == [31.0]
    with pytest.raises(WaitTooLong, match="the time that a callback may take is over"):
        deadline.sleep(0.1)
    assert time.sleeps == [31.0]
    deadline.sleep(0.0)
