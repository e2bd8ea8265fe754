"""When the store's clock was read, whatever the answer then waited for."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.journal.backend import BestReading, Reading
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import database

# By how many seconds a busy machine may have interrupted this process between two of its own readings.
BUSY = 0.1


def a_request(key):
    return SlotRequest(key, ("5554332111",), "5556667777", "Hello")


def error_of(held):
    """Return by how many seconds a slot on this process's clock differs from that on the store's, of this machine."""
    return (held.due - time.monotonic()) - (held.at - time.time())


@pytest.mark.parametrize("is_alert", [False, True], ids=["message", "alert"])
def test_a_question_that_waits_in_postgresql_before_it_reads_gives_a_slot_that_is_as_near_here_as_there(
    postgres_url, is_alert
):
    """Seen: after a wait of a second, a message left half a second after its slot, close to the next one."""
    journal = MessageJournal(Store(postgres_url), "account", RateLimits())
    journal.reserve(a_request("so that it is open"))
    request = SlotRequest("waits", ("5554332111",), "5556667777", "Hello", is_alert=is_alert)
    with ThreadPoolExecutor() as pool, database(postgres_url) as connection:
        connection.execute(sa.text("LOCK TABLE dialogtech_messages IN ACCESS EXCLUSIVE MODE"))
        asked = pool.submit(journal.reserve, request)
        wait_until_one_waits(connection)
        time.sleep(4 * BUSY)
        connection.commit()
        held = asked.result(10)
    assert abs(error_of(held)) < BUSY
    assert held.due > time.monotonic() - BUSY


def wait_until_one_waits(connection):
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'dialogtech_messages'::regclass")
    until = time.monotonic() + 10
    while not connection.execute(waiting).scalar():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_clock_of_a_file_is_read_between_the_question_and_its_answer(sqlite_url):
    """Each look at a clock takes a while here, as on a machine that interrupts this process there."""
    passed = iter(range(1_000_000))
    clock = Clock(lambda: 1e9 + 0.01 * next(passed), lambda: 100 + 0.01 * next(passed))
    journal = MessageJournal(Store(sqlite_url, clock=clock), "account", RateLimits())
    held = journal.reserve(a_request("one"))
    ahead = (held.at - held.due) - (1e9 - 100)
    assert abs(ahead) <= 0.01


@pytest.mark.parametrize(
    ("now", "answered_at", "at", "took", "answered_in"),
    [
        (1000.0, 1000.5, 50.25, 0.5, 0.5),
        (1000.0, 1000.0, 50.5, 1.0, 0.0),
        (1000.0, None, 50.5, 1.0, 0.0),  # by the door of an older version
        (1000.0, 4600.0, 50.0, 0.0, 1.0),  # it was set meanwhile
        (1000.0, 400.0, 50.5, 1.0, 0.0),
    ],
)
def test_the_clock_was_read_on_the_way_not_while_the_store_worked(now, answered_at, at, took, answered_in):
    row = SimpleNamespace(now=now, answered_at=answered_at)
    assert Reading.of(row, 50.0, 51.0) == Reading(now, at, took, answered_in)


def test_of_two_readings_of_the_clock_the_more_exact_one_counts_until_it_is_too_old():
    best = BestReading()
    exact = Reading(now=1000.0, at=10.0, took=0.002)
    vague = Reading(now=1001.05, at=11.0, took=0.2, answered_in=0.5)
    assert best.refine(vague) is vague
    assert best.refine(exact) is exact
    refined = best.refine(vague)
    assert (refined.now, refined.at, refined.answered_in) == (1001.05, pytest.approx(11.05), 0.5)
    assert refined.took == pytest.approx(0.0024)
    # 200 ppm of an hour are 0.72 s.
    later = replace(vague, now=vague.now + 3600, at=vague.at + 3600)
    assert best.refine(later) is later


@pytest.mark.parametrize("by", [60.0, 0.11, -0.11])
def test_a_clock_that_was_set_is_believed_at_once(by):
    best = BestReading()
    best.refine(Reading(now=1000.0, at=10.0, took=0.002))
    set_ahead = Reading(now=1001.0 + by, at=11.0, took=0.2)
    assert best.refine(set_ahead) is set_ahead


@pytest.mark.parametrize(("took", "is_better"), [(0.19, True), (0.21, False)])
def test_a_reading_counts_until_another_one_is_more_exact(took, is_better):
    best = BestReading()
    best.refine(Reading(now=1000.0, at=10.0, took=0.2))
    new = Reading(now=1000.01, at=10.0, took=took)
    assert (best.refine(new) is new) == is_better


def test_an_answer_that_is_late_only_on_its_way_back_from_postgresql_makes_no_slot_late(proxy):
    journal = MessageJournal(Store(proxy.url), "account", RateLimits())
    journal.reserve(a_request("at once"))
    proxy.set_delay(0, back=4 * BUSY)
    held = journal.reserve(a_request("late"))
    proxy.calm()
    assert abs(error_of(held)) < BUSY


@pytest.mark.parametrize(("by", "is_started"), [(-0.02, True), (-0.04, False), (0.02, True), (0.05, False)])
def test_a_message_is_not_started_if_the_journal_s_clock_was_set_while_it_waited(sqlite_url, time, by, is_started):
    """Set back by 0.06 s, it left too close to those that were reserved since."""
    store = Store(sqlite_url, clock=time.clock)
    journal = MessageJournal(store, "account", RateLimits())
    held = journal.reserve(a_request("waits"))
    time.set(by)
    assert journal.start(held, request_timeout=30) == is_started


@pytest.mark.parametrize(("set_by", "is_started"), [(0.0, True), (0.05, False)])
def test_a_question_that_was_late_is_asked_again_before_the_slot_is_lost(
    sqlite_url, time, monkeypatch, set_by, is_started
):
    store = Store(sqlite_url, clock=time.clock)
    journal = MessageJournal(store, "account", RateLimits())
    held = journal.reserve(a_request("waits"))
    lateness = iter([0.05, 0.0])
    questions = []

    def late(*arguments, **options):
        time.go_on(next(lateness))
        questions.append(arguments)
        return Store.do(store, *arguments, **options)

    monkeypatch.setattr(store, "do", late)
    time.set(set_by)
    assert journal.start(held, request_timeout=30) == is_started
    assert len(questions) == 2
