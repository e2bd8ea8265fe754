"""Alerts beside lists that keep the line full, and beside what killed processes have left, judged by the sandbox."""

import multiprocessing
import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from tests.alerts.conftest import ALICE, failure
from tests.conftest import FROM_NUMBERS
from tests.delivery.delivering import a_journal, a_message, a_sender
from tests.journal.looking import rows

ONE_NUMBER = FROM_NUMBERS[:1]
LIST, THREADS = 60, 12
KILLED = 48
# Of the texts that were reserved before an alert, those that are about to leave keep their slots.
MOST_BEFORE_AN_ALERT = 2
# The texts of the killed process would take 48 s.
WITHIN = 20.0

_fork = multiprocessing.get_context("fork")


@pytest.fixture
def shared_journal(monkeypatch, store_url, connect_sandbox):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", store_url)
    connect_sandbox(extra={"from_numbers": ONE_NUMBER[0], "alert_to": ALICE, "alert_budget": 100})
    return store_url


def send_a_list(sandbox, store_url):
    sender, message = a_sender(sandbox, store_url), a_message(sandbox, "list", numbers=ONE_NUMBER)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: sender.send(message, key=uuid.uuid4().hex), range(LIST)))


def reserve_and_be_killed(sandbox, store_url):
    journal = a_journal(sandbox, store_url)
    for number in range(KILLED):
        journal.reserve(SlotRequest(f"killed {number}", ONE_NUMBER, ALICE, "text"))
    os.kill(os.getpid(), signal.SIGKILL)


def alerts_beside(sandbox, waits):
    """Call four alerts; tell how long after its call each of them was out."""
    took = []
    for number, wait in enumerate(waits):
        time.sleep(wait)
        called = time.time()
        DialogTechSmsNotifier(f"alert {number}", dedup_key=str(number))(failure())
        (arrived,) = [text["at"] for text in sandbox.accepted() if text["message"] == f"alert {number}"]
        took.append(arrived - called)
    return took


def texts_before_alerts(sandbox, store_url):
    """Return for each alert how many texts of the list arrived between its reservation and its arrival."""
    reserved = sorted(row.created for row in rows(store_url) if row.priority and row.state == "sent")
    arrived = [text["at"] for text in sandbox.accepted() if text["message"].startswith("alert")]
    of_list = [text["at"] for text in sandbox.accepted() if text["message"] == "list"]
    return [sum(begin < at < end for at in of_list) for begin, end in zip(reserved, arrived, strict=True)]


def test_alerts_go_before_a_list_that_keeps_the_line_full(sandbox, shared_journal):
    process = _fork.Process(target=send_a_list, args=(sandbox, shared_journal))
    process.start()
    try:
        while len(sandbox.accepted()) < 3:
            assert process.is_alive()
            time.sleep(0.1)
        alerts_beside(sandbox, (0, 2.3, 1.7, 2.9))
        before = len(sandbox.accepted())
        while len(sandbox.accepted()) == before:
            assert process.is_alive(), "the list goes on"
            time.sleep(0.1)
    finally:
        process.kill()
        process.join()
    assert max(texts_before_alerts(sandbox, shared_journal)) <= MOST_BEFORE_AN_ALERT
    assert sum(text["outcome"] == "throttled" for text in sandbox.messages()) <= 2


def test_alerts_go_before_what_killed_processes_have_reserved(sandbox, shared_journal):
    process = _fork.Process(target=reserve_and_be_killed, args=(sandbox, shared_journal))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    took = alerts_beside(sandbox, (0, 1.3, 0, 2.1))
    assert max(took) < WITHIN, took
