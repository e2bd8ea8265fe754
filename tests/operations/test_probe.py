"""How far away a journal is: measured without harm."""

import pytest

from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import VERSION, accounts
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.operations.probe import Probe, probe
from tests.clocks import FakeClock
from tests.journal.looking import rows


@pytest.mark.parametrize(
    ("measured", "is_file", "texts"),
    [((0.01, 0.1, 0.02), True, 1 / 0.14), ((0.01, 0.1, 0.02), False, 1 / 0.09), ((0.1, 0.1, 0.1), False, 10_000)],
)
def test_an_account_can_send_as_many_messages_as_its_lock_allows(measured, is_file, texts):
    """A file is locked by each step, PostgreSQL from the server's first answer to the COMMIT."""
    assert Probe(VERSION, *measured, is_file=is_file).messages_per_second == pytest.approx(texts)


def test_what_is_measured_takes_some_time_and_leaves_nothing_behind(sqlite_url):
    time = FakeClock()
    journal = MessageJournal(Store(sqlite_url, clock=time.clock), "account", RateLimits())
    held = journal.reserve(SlotRequest("key", ("5554332111",), "5556667777", "Hello"))
    time.sleep(held.due - time.monotonic())
    assert journal.start(held, request_timeout=30)
    journal.settle(held, "sent", {}, took=0.2)
    before = rows(sqlite_url, accounts)
    found = probe(Store(sqlite_url))
    assert (found.version, found.is_file) == (VERSION, True)
    assert all(0 < seconds < 60 for seconds in (found.round_trip, found.reserve, found.start))
    assert rows(sqlite_url, accounts) == before != []
