"""How long a store that is away is tried, and when its clock was read: by a clock that nobody waits for."""

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import accounts, now
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import database

NUMBER = "5554332111"
QUESTION = Statement(sa.select(now().label("now")), {})


@pytest.fixture
def away(unused_port, time):
    """A store whose server refuses connections."""
    pytest.importorskip("psycopg2")

    def away(**options):
        url = f"postgresql+psycopg2://nobody@127.0.0.1:{unused_port}/journal"
        return Store(url, clock=time.clock, **options)

    return away


@pytest.mark.parametrize(
    ("options", "timeout", "tried_for"),
    [
        ({}, None, 60.0),
        ({"patience": 10.0}, None, 10.0),
        ({"patience": 10.0, "retry_for": 2.0}, None, 2.0),
        ({"patience": 2.0, "retry_for": 10.0}, None, 2.0),
        ({"patience": 10.0, "retry_for": 2.0}, 5.0, 5.0),
    ],
)
def test_a_store_that_is_away_is_tried_again_and_again_for_its_time(away, time, options, timeout, tried_for):
    with pytest.raises(JournalUnavailable, match=r"is not available \(the connection was refused\)"):
        away(**options).ask(QUESTION, timeout=timeout)
    assert tried_for - 1 <= sum(time.sleeps) <= tried_for
    assert max(time.sleeps) <= 1
    assert time.sleeps[0] <= 0.1
    assert time.sleeps[1] <= 0.2


def reserve(store, *, is_alert=False, **options):
    request = SlotRequest("key", (NUMBER,), "5556667777", "Hello", is_alert=is_alert)
    return MessageJournal(store, "account", RateLimits()).reserve(request, **options)


@pytest.mark.parametrize(
    ("is_alert", "max_wait", "seconds"),
    [(False, None, 60.0), (False, 2.0, 7.0), (False, 0.0, 5.0), (False, 600.0, 60.0), (True, 2.0, 60.0)],
)
def test_a_reservation_is_tried_for_a_minute_or_as_long_as_its_message_may_wait(
    away, time, is_alert, max_wait, seconds
):
    """And five seconds more, which one step may take in any case."""
    with pytest.raises(JournalUnavailable, match="the connection was refused"):
        reserve(away(), is_alert=is_alert, max_wait=max_wait)
    assert seconds - 1 <= sum(time.sleeps) <= seconds


def test_a_thread_that_has_waited_for_its_turn_has_five_seconds_left_in_any_case(away, time):
    store = away()
    lock = store.one_at_a_time("account")
    store.patience = 0.01
    with lock, pytest.raises(JournalUnavailable, match="has not answered for 0 s"):
        reserve(store)
    taken = []
    with pytest.raises(JournalUnavailable, match="the connection was refused"):
        reserve(store, sleep=lambda seconds: (taken.append(lock.locked()), time.sleep(seconds)))
    assert all(taken)
    assert 4.0 <= sum(time.sleeps) <= 5.0
    assert not lock.locked()


def test_an_alert_waits_for_no_turn(away, time):
    store = away(patience=2.0)
    with store.one_at_a_time("account"), pytest.raises(JournalUnavailable, match="the connection was refused"):
        reserve(store, is_alert=True)
    assert sum(time.sleeps) >= 1.0


def test_in_a_file_there_are_no_turns(sqlite_url):
    store = Store(sqlite_url)
    with store.one_at_a_time("account"):
        assert reserve(store).number == NUMBER


def test_a_reading_lies_in_the_middle_of_its_question_s_time(store_url):
    moments = [100.0]

    def monotonic():
        moments.append(moments[-1] + 0.2)
        return moments[-1]

    def plan(_row, reading):
        return (reading, list(moments)), []

    clock = Clock(monotonic=monotonic)
    reading, before = Store(store_url, clock=clock).locked("account", QUESTION, plan)
    assert reading.took == pytest.approx(before[-1] - before[-2])
    assert reading.at == pytest.approx((before[-1] + before[-2]) / 2)


def test_the_time_in_which_a_question_s_sql_is_written_is_not_its_answer_s(store_url, time):
    class Slow(sa.sql.expression.ColumnElement):
        inherit_cache = False

    @compiles(Slow)
    def compile_slowly(*_args, **_options):
        time.go_on(5.0)
        return "1"

    question = Statement(sa.select(now().label("now"), Slow().label("one")), {})
    reading = Store(store_url, clock=time.clock).locked("account", question, lambda _row, reading: (reading, []))
    assert (reading.took, reading.at) == (0.0, time.monotonic())


def test_a_file_that_another_process_holds_is_told_as_locked(sqlite_url):
    Store(sqlite_url).open()
    with database(sqlite_url) as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable, match="the file is locked"):
            Store(sqlite_url, patience=0.3).do(Statement(sa.delete(accounts), {}))


def test_another_sleep_may_end_the_waiting(away):
    def stop(_seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        away().ask(QUESTION, sleep=stop)
