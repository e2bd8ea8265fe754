"""Connections are cut right behind commits, and processes killed: nobody is texted twice, nobody is lost silently."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from airflow_provider_dialogtech.exceptions import InDoubt
from airflow_provider_dialogtech.journal import records
from airflow_provider_dialogtech.journal.dedup import AlertGate
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.schema import accounts
from airflow_provider_dialogtech.journal.statements import WIDENING
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from tests.delivery.attacking import (
    EIGHT_NUMBERS,
    FAST,
    Senders,
    assert_no_window_over,
    assert_told_the_truth,
    names_of,
    overfull,
    with_driver,
)
from tests.delivery.delivering import a_message, a_sender, started
from tests.journal.looking import rows

DRIVERS = ["psycopg2", "psycopg"]
ACCOUNT = digest("account", "a key")
TIMEOUT = 2.0
# However busy the machine is, a reply comes within this.
PATIENT = 60.0


@pytest.fixture
def journal(proxy, no_slot_is_missed):
    journal = MessageJournal(Store(proxy.url), ACCOUNT, FAST)
    settle(journal, reserve(journal, "warm-up"))
    return journal


def a_request(key, **options):
    return SlotRequest(key, EIGHT_NUMBERS, "5556667777", "Hello", **options)


def reserve(journal, key, **options):
    held = journal.reserve(a_request(key), **options)
    assert isinstance(held, Reservation)
    return held


def start(journal, held, timeout=TIMEOUT):
    time.sleep(max(0.0, held.due - time.monotonic() - 0.05))
    return journal.start(held, request_timeout=timeout)


def settle(journal, held, outcome="sent", **options):
    assert start(journal, held)
    journal.settle(held, outcome, {}, **options)


def states_of(store_url, key):
    return [(row.state, row.key is not None) for row in rows(store_url) if row.id != 1]


@pytest.fixture
def cut_once(proxy):
    def cut():
        proxy.cut_after_commit(times=1)

    yield cut
    assert proxy.counts().cuts == 1


def test_a_reservation_whose_answer_is_lost_is_made_once(journal, postgres_url, cut_once):
    cut_once()
    held = reserve(journal, "k")
    (row,) = [row for row in rows(postgres_url) if row.id != 1]
    assert (row.id, row.owner, row.state) == (held.id, held.owner, "reserved")


def test_a_reservation_in_place_of_a_missed_one_is_made_once(journal, postgres_url, cut_once):
    missed = reserve(journal, "k")
    cut_once()
    held = reserve(journal, "k", after=missed)
    assert states_of(postgres_url, "k") == [("released", False), ("reserved", True)]
    assert held.id != missed.id


def test_an_alert_whose_answer_is_lost_displaces_once(proxy, postgres_url, cut_once, no_slot_is_missed):
    journal = MessageJournal(Store(proxy.url), ACCOUNT, RateLimits())
    settle(journal, reserve(journal, "warm-up"))
    for n in range(8):
        reserve(journal, f"waiting {n}")
    cut_once()
    journal.reserve(a_request("an alert", is_alert=True))
    alerts = [row for row in rows(postgres_url) if row.priority]
    assert len(alerts) == 1
    assert {row.displaced for row in rows(postgres_url)} <= {0, 1}


def test_a_start_whose_answer_is_lost_has_started(journal, postgres_url, cut_once):
    held = reserve(journal, "k", connect=0.3)  # time enough for the second try
    time.sleep(max(0.0, held.due - time.monotonic() - 0.25))
    cut_once()
    assert journal.start(held, request_timeout=TIMEOUT)
    assert states_of(postgres_url, "k") == [("sending", True)]


def test_a_settled_message_whose_answer_is_lost_is_sent(journal, cut_once):
    held = reserve(journal, "k")
    assert start(journal, held)
    cut_once()
    journal.settle(held, "sent", {"some": "detail"})
    found = journal.find("k")
    assert (found.state, found.outcome) == ("sent", {"some": "detail"})


def test_a_throttled_message_whose_answer_is_lost_widens_the_margin_once(journal, postgres_url, cut_once):
    held = reserve(journal, "k")
    assert start(journal, held)
    cut_once()
    journal.settle(held, "throttled", {}, pause=0.1)
    (account,) = rows(postgres_url, accounts)
    assert account.extra_margin == pytest.approx(WIDENING)


def test_a_released_message_whose_answer_is_lost_is_released(journal, postgres_url, cut_once):
    held = reserve(journal, "k")
    cut_once()
    journal.release(held)
    assert states_of(postgres_url, "k") == [("released", True)]
    assert isinstance(reserve(journal, "k"), Reservation)


def test_a_message_found_overdue_whose_answer_is_lost_is_in_doubt(journal, cut_once, monkeypatch):
    monkeypatch.setattr(records, "GRACE", 0.0)
    held = reserve(journal, "k")
    assert start(journal, held, timeout=0.1)
    time.sleep(0.4)
    cut_once()
    found = journal.find("k")
    assert isinstance(found, Record)
    assert found.state == "in_doubt"


def test_an_alerts_claim_whose_answer_is_lost_is_made_once(proxy, cut_once):
    gate = AlertGate(Store(proxy.url), ACCOUNT)
    gate.decide("warm-up", "5556667777", None)
    cut_once()
    claim = gate.decide("k", "5556667777", None).claim
    assert claim is not None
    assert claim.suppressed == 0


def test_the_message_that_failures_are_over_is_claimed_once_though_the_answer_is_lost(journal, proxy, cut_once):
    gate = AlertGate(Store(proxy.url), ACCOUNT)
    settle(journal, reserve(journal, gate.decide("k", "5556667777", None).claim.id))
    cut_once()
    assert gate.resolve("k", "5556667777").recovery.failures == 1
    assert gate.resolve("k", "5556667777") is None


@pytest.mark.parametrize("driver", DRIVERS)
def test_cut_at_random_under_load_nobody_is_texted_twice_or_lost(proxy, postgres_url, fast_sandbox, driver):
    seed = random.randrange(10**6)
    url = with_driver(proxy.url, driver)
    fast_sandbox.fault("throttled", times=2)
    proxy.cut_after_commit(probability=0.15, seed=seed)
    with Senders(3) as senders:
        for process in range(3):
            senders.start(
                fast_sandbox, url, names_of(30, f"process {process}, message"), threads=6, limits=FAST, timeout=PATIENT
            )
        told = senders.told(timeout=240)
    assert proxy.counts().cuts > 10, f"seed {seed}"
    assert len(told) == 90
    assert_told_the_truth(fast_sandbox, told)
    # On a busy machine a message may lose all its slots; nothing is in doubt.
    assert set(told.values()) <= {"sent", "not sent"}
    assert_no_window_over(postgres_url, FAST, timeout=PATIENT)
    (account,) = rows(postgres_url, accounts)
    refused = sum(message["outcome"] == "throttled" for message in fast_sandbox.messages())
    assert account.extra_margin <= refused * WIDENING + 0.001


def send_one(sandbox, store_url, name):
    a_sender(sandbox, store_url, timeout=1.0).send(a_message(sandbox, name), key=name)


def kill_and_try_again(sandbox, store_url, name, moment):
    with started(send_one, sandbox, store_url, name) as process:
        process.join(moment)
        if process.is_alive():
            process.kill()
    try:
        return a_sender(sandbox, store_url, timeout=1.0).send(a_message(sandbox, name), key=name).status
    except InDoubt:
        return "in doubt"


def test_killed_at_random_moments_and_tried_again_nobody_is_texted_twice_or_lost(eight_numbers, store_url, monkeypatch):
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    names = names_of(20)
    outcomes = {}

    def kill_some(mine):
        for name in mine:
            outcomes[name] = kill_and_try_again(eight_numbers, store_url, name, moments.uniform(0, 0.4))

    Store(store_url)
    threads = [threading.Thread(target=kill_some, args=(names[n::3],)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) == set(names)
    arrived = Counter(message["message"] for message in eight_numbers.accepted())
    assert all(count == 1 for count in arrived.values()), f"seed {seed}"
    lost = [name for name, outcome in outcomes.items() if not arrived[name] and outcome != "in doubt"]
    assert lost == [], f"seed {seed}"
    assert_no_window_over(store_url, RateLimits(), timeout=1.0)


def start_what_is_reserved(store_url, worker):
    """Reserve and start ordinary messages and alerts as fast as their slots come, without sending them."""
    moments = random.Random(worker)
    journal = MessageJournal(Store(store_url), ACCOUNT, FAST)
    count, threads = Counter(), []
    # Something waits, however slowly this machine reserves, for alerts to displace.
    for n in range(10):
        journal.reserve(a_request(f"{worker} waits {n}"))

    def work(thread):
        for n in range(10**6):
            if count["started"] >= 40:
                return
            is_alert = moments.random() < 0.3
            held = journal.reserve(a_request(f"{worker} {thread} {n}", is_alert=is_alert))
            time.sleep(max(0.0, held.due - time.monotonic() - moments.uniform(0, 0.03)))
            count["started" if journal.start(held, request_timeout=TIMEOUT) else "lost"] += 1

    for thread in range(4):
        threads.append(threading.Thread(target=work, args=(thread,)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def test_starts_that_race_with_alerts_overflow_no_window(postgres_url):
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        list(pool.map(start_what_is_reserved, [postgres_url] * 3, range(3)))
    left = [row for row in rows(postgres_url) if row.state == "sending"]
    assert any(row.displaced for row in rows(postgres_url))
    assert overfull([row.at for row in left], FAST.account_per_second) == []
    for number in {row.number for row in left}:
        assert overfull([row.at for row in left if row.number == number], FAST.number_per_second) == []
