"""What a process notices of its store's clock: by a clock that nobody waits for."""

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.journal.backend import ClockReadings, Reading, Statement
from airflow_provider_dialogtech.journal.schema import now
from airflow_provider_dialogtech.journal.store import Store

QUESTION = Statement(sa.select(now().label("now")), {})


def readings(store, *, between):
    """Read the store's clock twice, and do something in between; return the second reading."""
    found = []
    for after in (between, lambda: None):
        store.locked("account", QUESTION, lambda _, reading: (found.append(reading), []))
        after()
    return found[1]


@pytest.mark.parametrize(("by", "ahead"), [(3600.0, 3600.0), (1.1, 1.1), (0.9, 0.0), (-3600.0, 0.0)])
def test_a_clock_that_was_set_forward_by_more_than_a_second_is_noticed(sqlite_url, time, by, ahead):
    def set_clock():
        time.go_on(20.0)
        time.set(by)

    assert readings(Store(sqlite_url, clock=time.clock), between=set_clock).ahead == pytest.approx(ahead)


@pytest.mark.parametrize(("ahead", "noticed"), [(1.3, 0.0), (1.6, 1.1)])
def test_of_the_time_that_answers_take_all_counts_for_this_process(ahead, noticed):
    """Where in it the clock was read is not known: half of 0.4 s and half of 0.6 s may have passed besides."""
    readings = ClockReadings()
    readings.accept("account", Reading(1000.0, 50.0, 0.4))
    assert readings.compared("account", Reading(1020.0 + ahead, 70.0, 0.6)).ahead == pytest.approx(noticed)


def test_time_that_passes_is_no_clock_that_was_set(sqlite_url, time):
    reading = readings(Store(sqlite_url, clock=time.clock), between=lambda: time.go_on(86400.0))
    assert (reading.ahead, reading.now, reading.at) == (0.0, time.now(), time.monotonic())


def test_each_account_has_it_noted_that_the_clock_was_set_and_once():
    readings = ClockReadings()
    readings.accept("one", Reading(1000.0, 50.0, 0.0))
    assert readings.compared("one", Reading(1070.0, 60.0, 0.0)).ahead == 60.0
    readings.accept("one", Reading(1070.0, 60.0, 0.0))
    assert readings.compared("one", Reading(1071.0, 61.0, 0.0)).ahead == 0.0
    assert readings.compared("another", Reading(1072.0, 62.0, 0.0)).ahead == 60.0
    readings.accept("another", Reading(1072.0, 62.0, 0.0))
    assert readings.compared("another", Reading(1073.0, 63.0, 0.0)).ahead == 0.0
    assert readings.compared("one", Reading(1073.0, 63.0, 0.0)).ahead == 0.0
    assert readings.compared("much later", Reading(1132.0, 122.0, 0.0)).ahead == 0.0
