"""What a process notices of its store's clock."""

from collections import OrderedDict

import pytest

from airflow_provider_dialogtech.journal import backend
from airflow_provider_dialogtech.journal.backend import ClockReadings, Reading


def step(*, by, passed=20.0, took=0.0, noted=0.0):
    """Read the clock twice, and set it in between."""
    readings = ClockReadings()
    readings.remember("account", Reading(1000.0, 50.0, took), 0.0)
    return readings.step("account", Reading(1000.0 + passed + by, 50.0 + passed, took), noted)


@pytest.mark.parametrize("by", [3600.0, 0.04, -0.04, -3600.0, 0.02, -0.02])
def test_a_clock_that_was_set_by_more_than_the_windows_have_room_for_is_noticed(by):
    assert step(by=by) == pytest.approx(by if abs(by) > 0.03 else 0.0)


@pytest.mark.parametrize(
    ("by", "passed", "is_noticed"),
    [
        (0.22, 1000.0, False),
        (0.24, 1000.0, True),
        (-0.22, 1000.0, False),
        (1.02, 86400.0, False),
        (1.04, 86400.0, True),
    ],
)
def test_what_two_clocks_drift_apart_is_no_step_but_never_more_than_a_second(by, passed, is_noticed):
    assert (step(by=by, passed=passed) != 0.0) == is_noticed


@pytest.mark.parametrize(("by", "noticed"), [(0.52, 0.0), (0.54, 0.54), (-0.52, 0.0), (-0.54, -0.54)])
def test_of_the_time_that_answers_take_all_counts_for_this_process(by, noticed):
    """Where in it the clock was read is not known: half of 0.5 s may have passed besides, twice."""
    assert step(by=by, took=0.5) == pytest.approx(noticed)


def test_time_that_passes_is_no_clock_that_was_set():
    assert step(by=0.0, passed=86400.0) == 0.0


@pytest.mark.parametrize(("by", "noted", "left"), [(3600.0, 3600.0, 0.0), (3600.0, 3595.0, 5.0), (0.0, -60.0, 60.0)])
def test_what_is_noted_of_a_step_is_noticed_no_more(by, noted, left):
    assert step(by=by, noted=noted) == pytest.approx(left)


def test_a_step_that_was_noted_in_vain_is_noticed_again():
    """Its commit failed."""
    readings = ClockReadings()
    readings.remember("account", Reading(1000.0, 50.0, 0.0), 0.0)
    readings.remember("account", Reading(1070.0, 60.0, 0.0), 60.0)
    assert readings.step("account", Reading(1071.0, 61.0, 0.0), 0.0) == 60.0
    assert readings.step("account", Reading(1071.0, 61.0, 0.0), 60.0) == 0.0


def test_a_step_is_noticed_for_an_account_that_this_process_uses_only_then():
    readings = ClockReadings()
    assert readings.step("one", Reading(1000.0, 50.0, 0.0), 0.0) is None
    readings.remember("one", Reading(1000.0, 50.0, 0.0), 0.0)
    readings.remember("one", Reading(1070.0, 60.0, 0.0), 60.0)
    assert readings.step("another", Reading(1072.0, 62.0, 0.0), 0.0) == 60.0
    readings.remember("another", Reading(1072.0, 62.0, 0.0), 60.0)
    assert readings.step("another", Reading(1073.0, 63.0, 0.0), 60.0) == 0.0


@pytest.mark.parametrize(("noted_then", "noted", "left"), [(0.0, 60.0, 0.0), (0.0, 0.0, 60.0), (60.0, 60.0, 60.0)])
def test_what_others_have_noted_for_an_account_that_this_process_uses_only_then_is_noticed_no_more(
    noted_then, noted, left
):
    readings = ClockReadings()
    readings.remember("one", Reading(1000.0, 50.0, 0.0), 0.0, {"another": noted_then} if noted_then else {})
    readings.remember("one", Reading(1070.0, 60.0, 0.0), 60.0)
    assert readings.step("another", Reading(1072.0, 62.0, 0.0), noted) == left


def test_of_many_accounts_the_last_readings_are_kept_and_the_others_still_notice_a_step(monkeypatch):
    """Whoever may ask the API server names as many accounts as they like."""
    monkeypatch.setattr(backend, "MOST_ACCOUNTS", 3)
    readings = ClockReadings()
    readings.remember("first", Reading(1000.0, 50.0, 0.0), 0.0)
    for number in range(10):
        readings.remember(f"account {number}", Reading(1001.0, 51.0, 0.0), 0.0)
        readings.remember("busy", Reading(1001.0, 51.0, 0.0), 0.0)
    assert list(readings._last) == ["account 8", "account 9", "busy"]
    assert readings.step("first", Reading(1070.0, 60.0, 0.0), 0.0) == 60.0
    assert readings.step("first", Reading(1010.0, 60.0, 0.0), 0.0) == 0.0


def test_another_thread_may_drop_the_oldest_account_while_its_reading_is_remembered():
    class Dropping(OrderedDict):
        """Drops the oldest entry after each write, as another thread may."""

        def __setitem__(self, name, value):
            super().__setitem__(name, value)
            if len(self) > 1:
                self.popitem(last=False)

    readings = ClockReadings()
    readings.remember("oldest", Reading(1000.0, 50.0, 0.0), 0.0)
    readings.remember("newer", Reading(1000.0, 50.0, 0.0), 0.0)
    earlier, readings._last = readings._last, Dropping()
    for account, found in earlier.items():
        OrderedDict.__setitem__(readings._last, account, found)
    readings.remember("oldest", Reading(1001.0, 51.0, 0.0), 0.0)
    assert list(readings._last) == ["oldest"]
