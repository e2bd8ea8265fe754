"""Lists that are sent while something attacks the journal, and the judgement on what came of it."""

import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from airflow_provider_dialogtech.bulk.sender import BulkSender, RowMessage, Stop, Stopped
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, NotSent
from airflow_provider_dialogtech.journal.limits import SHORT_MARGIN, RateLimits
from tests.delivery.delivering import TIMEOUT, a_message, a_sender
from tests.journal.looking import rows

EIGHT_NUMBERS = tuple(f"55543321{n:02}" for n in range(8))
# Ten times what the vendor allows, so that little time sees many texts.
FAST = RateLimits(account_per_second=40, number_per_second=10, number_per_minute=400)
FAST_SANDBOX = ["--account-per-second=40", "--number-per-second=10", "--number-per-minute=400"]
# Times pass through JSON, which may round them.
ROUNDED = 0.001
LEFT = {"sending", "sent", "refused", "throttled", "in_doubt"}


def with_driver(store_url, driver):
    pytest.importorskip(driver)
    pytest.importorskip(f"sqlalchemy.dialects.postgresql.{driver}")  # SQLAlchemy 1.4 knows no psycopg 3
    return store_url.replace("+psycopg2", f"+{driver}")


def names_of(count, what="text"):
    return [f"{what} {n}" for n in range(count)]


def send_list(sandbox, store_url, names, *, threads=12, timeout=TIMEOUT, stop_after=None, **options):
    """Send a list as the bulk operator does; tell what was told of each message, and how long it took."""
    told = {}
    stop = Stop()
    if stop_after is not None:
        threading.Timer(stop_after, stop.set).start()
    sender = a_sender(sandbox, store_url, clock=Clock(sleep=stop.sleep), timeout=timeout, **options)
    bulk = BulkSender(sender, stop, threads=threads)
    texts = (RowMessage(row, a_message(sandbox, name), name) for row, name in enumerate(names))
    try:
        for row, outcome in bulk.outcomes(texts):
            told[names[row]] = kind_of(outcome)
    except Stopped:
        assert stop_after is not None
    finally:
        for row, outcome in bulk.last_outcomes():
            told[names[row]] = kind_of(outcome)
    return told


def kind_of(outcome):
    if not isinstance(outcome, Exception):
        return "sent"
    kinds = {InDoubt: "in doubt", NotSent: "not sent", DialogTechError: "not sent"}
    return next(words for kind, words in kinds.items() if isinstance(outcome, kind))


class Senders:
    """Processes that send lists while the test goes on."""

    def __init__(self, processes):
        self._pool = ProcessPoolExecutor(processes, mp_context=get_context("fork"))
        self._futures = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.shutdown(cancel_futures=True)

    def start(self, *args, **options):
        self._futures.append(self._pool.submit(send_list, *args, **options))

    def told(self, timeout=90):
        return {name: kind for future in self._futures for name, kind in future.result(timeout).items()}


def wait_for_texts(sandbox, count, seconds=30):
    until = time.monotonic() + seconds
    while len(sandbox.messages()) < count:
        assert time.monotonic() < until, "no messages arrive"
        time.sleep(0.05)


def assert_told_the_truth(sandbox, told):
    """Nobody got a message twice, and nobody was told anything else than what the sandbox saw."""
    arrived = Counter(message["message"] for message in sandbox.accepted())
    twice = [name for name, count in arrived.items() if count > 1]
    assert twice == []
    wrong = {
        name: kind for name, kind in told.items() if kind != "in doubt" and (kind == "sent") != (arrived[name] == 1)
    }
    assert wrong == {}
    assert set(arrived) <= set(told)


def assert_no_window_over(store_url, limits, *, timeout=TIMEOUT):
    """Judge by the slots in which messages may have left: a reply that comes late moves a row, but not its deadline."""
    left = [row for row in rows(store_url) if row.state in LEFT]
    numbers = {row.number for row in left}
    assert overfull([row.deadline - timeout for row in left], limits.account_per_second) == []
    for number in numbers:
        slots = [row.deadline - timeout for row in left if row.number == number]
        assert overfull(slots, limits.number_per_second) == []


def overfull(slots, texts):
    ordered = sorted(slots)
    windows = zip(ordered, ordered[texts:], strict=False)
    return [(first, last) for first, last in windows if last - first < 1 + SHORT_MARGIN - ROUNDED]


def states(store_url):
    return Counter(row.state for row in rows(store_url))
