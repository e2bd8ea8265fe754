"""When the store's clock was read, whatever the answer then waited for."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.journal.backend import Reading
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
