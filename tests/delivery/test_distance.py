"""The journal is some way off: round trips at the wire, and messages that still flow."""

import threading
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.delivery import attempts as tries
from airflow_provider_dialogtech.exceptions import JournalUnavailable, WaitTooLong
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import Reservation, SlotRequest
from airflow_provider_dialogtech.journal.schema import accounts
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from tests.delivery.attacking import (
    EIGHT_NUMBERS,
    FAST,
    Senders,
    assert_no_window_over,
    assert_told_the_truth,
    names_of,
    send_list,
    states,
    with_driver,
)
from tests.delivery.delivering import a_message, a_sender, assert_limits_kept, run
from tests.proxies.sqlite import slow_commits

DRIVERS = ["psycopg2", "psycopg"]
FAR = 0.05
"""A round trip to the journal, in seconds."""


def a_journal(store_url, limits=FAST):
    return MessageJournal(Store(store_url), digest("account", "a key"), limits)


def a_request(key, **options):
    return SlotRequest(key, EIGHT_NUMBERS, "5556667777", "Hello", **options)


def send(journal, key):
    held = journal.reserve(a_request(key))
    start(journal, held)
    journal.settle(held, "sent", {})


def start(journal, held):
    assert isinstance(held, Reservation)
    time.sleep(max(0.0, held.due - time.monotonic() - 0.3))
    return journal.start(held, request_timeout=2)


@contextmanager
def round_trips(proxy, at_most):
    proxy.reset_counts()
    yield
    assert proxy.counts().round_trips <= at_most


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_step_takes_as_few_round_trips_as_it_may(proxy, driver):
    journal = a_journal(with_driver(proxy.url, driver))
    send(journal, "warm-up")
    with round_trips(proxy, 3):
        held = journal.reserve(a_request("k"))
    with round_trips(proxy, 1):
        start(journal, held)
    with round_trips(proxy, 1):
        journal.settle(held, "sent", {})
    with round_trips(proxy, 1):
        assert journal.find("k").state == "sent"
    with round_trips(proxy, 3):
        held = journal.reserve(a_request("released"))
    with round_trips(proxy, 1):
        journal.release(held)
    with round_trips(proxy, 3):  # its key is taken over from the released row
        journal.reserve(a_request("released"), after=held)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_throttled_message_and_an_alert_take_no_more_round_trips(proxy, driver):
    journal = a_journal(with_driver(proxy.url, driver), RateLimits())
    send(journal, "warm-up")
    held = journal.reserve(a_request("throttled"))
    start(journal, held)
    with round_trips(proxy, 1):
        journal.settle(held, "throttled", {}, pause=0.1)
    with round_trips(proxy, 3):
        journal.reserve(a_request("throttled"), after=held)
    for n in range(6):
        journal.reserve(a_request(f"waiting {n}"))
    with round_trips(proxy, 3):
        journal.reserve(a_request("an alert", is_alert=True))


@pytest.mark.parametrize("driver", DRIVERS)
def test_of_several_statements_in_one_message_the_last_tells_whether_it_changed_a_row(postgres_url, driver):
    store = Store(with_driver(postgres_url, driver))
    values = {"extra_margin": 0.0, "widened_until": 0.0, "paused_until": 0.0, "usual_latency": 0.0}
    inserting = Statement(accounts.insert().inline(), {"account": "somebody", **values})
    deleting_nobody = Statement(accounts.delete().where(accounts.c.account == "nobody"), {})
    assert not store.do(inserting, deleting_nobody)
    assert store.do(deleting_nobody, Statement(accounts.delete(), {}))


@pytest.mark.parametrize("driver", DRIVERS)
def test_twenty_four_threads_share_four_connections(proxy, fast_sandbox, driver):
    proxy.reset_counts()
    told = send_list(fast_sandbox, with_driver(proxy.url, driver), names_of(72), threads=24, limits=FAST)
    assert proxy.counts().most_open <= 4
    assert set(told.values()) == {"sent"}


def test_four_processes_send_with_the_journal_far_away(proxy, postgres_url, eight_numbers):
    proxy.set_delay(FAR / 2)
    with Senders(4) as senders:
        for process in range(4):
            senders.start(eight_numbers, proxy.url, names_of(5, f"process {process}, message"), threads=6)
        told = senders.told()
    assert set(told.values()) == {"sent"}
    assert_told_the_truth(eight_numbers, told)
    assert_no_window_over(postgres_url, RateLimits())
    assert_limits_kept(eight_numbers, len(told))


def test_processes_near_the_journal_and_far_from_it_keep_the_limits_together(proxy, postgres_url, eight_numbers):
    proxy.set_delay(FAR / 2)
    with Senders(4) as senders:
        for process in range(4):
            url = proxy.url if process % 2 else postgres_url
            senders.start(eight_numbers, url, names_of(4, f"process {process}, message"), threads=6)
        told = senders.told()
    assert set(told.values()) == {"sent"}
    assert_told_the_truth(eight_numbers, told)
    assert_no_window_over(postgres_url, RateLimits())
    assert_limits_kept(eight_numbers, len(told))


def send_one(sandbox, store_url):
    a_sender(sandbox, store_url).send(a_message(sandbox), key="k")


def test_a_process_that_sends_one_message_sends_it(proxy, eight_numbers):
    proxy.set_delay(FAR / 2)
    assert run(send_one, eight_numbers, proxy.url) == 0
    assert len(eight_numbers.accepted()) == 1


def test_a_journal_very_far_away_makes_messages_slow_but_sends_them(proxy, postgres_url, eight_numbers):
    Store(postgres_url).ask(Statement(sa.select(sa.literal(1).label("one")), {}))  # its tables are there
    proxy.set_delay(0.2)
    told = send_list(eight_numbers, proxy.url, names_of(2), threads=2)
    assert set(told.values()) == {"sent"}
    assert_told_the_truth(eight_numbers, told)


def test_a_journal_that_is_hardly_there_ends_messages_within_their_time(proxy, eight_numbers):
    proxy.set_delay(1.5)
    begun = time.monotonic()
    with pytest.raises((JournalUnavailable, WaitTooLong)):
        a_sender(eight_numbers, proxy.url).send(a_message(eight_numbers), key="k", max_wait=0.5)
    assert time.monotonic() - begun < 50  # the journal would be waited for for a minute
    assert eight_numbers.messages() == []


def test_messages_that_always_start_too_late_end_and_say_how_slow_the_journal_is(
    eight_numbers, sqlite_url, monkeypatch, caplog
):
    def late(self, held, **_):
        time.sleep(max(0.0, held.due - time.monotonic()) + 0.01)
        return False

    caplog.set_level("INFO")
    monkeypatch.setattr(MessageJournal, "start", late)
    with pytest.raises(JournalUnavailable, match=r"reserving a slot takes .* s, starting a message .* s"):
        a_sender(eight_numbers, sqlite_url).send(a_message(eight_numbers), key="k")
    lost = [record for record in caplog.records if "lost its slot" in record.getMessage()]
    assert len(lost) == tries.SLOTS - 1
    assert eight_numbers.messages() == []


def test_a_process_takes_its_first_slot_far_enough_away_for_a_slow_disk(sqlite_url):
    with slow_commits(0.3):
        begun = time.monotonic()
        held = a_journal(sqlite_url).reserve(a_request("k"))
    assert held.due - begun > 0.3 + 0.3 + 0.3  # opening the file, writing the reservation, writing the start


def test_threads_that_reserve_in_a_file_at_once_do_not_wait_for_a_commit_each(sqlite_url):
    journal = a_journal(sqlite_url)
    journal.find("opens it")
    threads = [threading.Thread(target=journal.reserve, args=(a_request(f"message {n}"),)) for n in range(8)]
    with slow_commits(1.0) as commits:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(commits) < len(threads)
    assert states(sqlite_url)["reserved"] == len(threads)
