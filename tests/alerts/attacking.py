"""Calls alerts while their journal is attacked, and checks their outcomes."""

import json
import logging
import multiprocessing
import random
import re
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from airflow_provider_dialogtech.journal.dedup import LEASE
from airflow_provider_dialogtech.journal.schema import accounts, alert_grants, alerts, messages
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from tests.alerts.conftest import ALICE, failure
from tests.journal.looking import change, rows
from tests.proxies.sqlite import locked

# A callback takes 45 s at most, and its process ends then.
ENDS_WITHIN = 60.0
# A message that may have been sent is not sent again.
MAY_BE_OUT = {"sending", "in_doubt", "sent"}
YEAR = 365 * 86400.0

_fork = multiprocessing.get_context("fork")


@dataclass
class Called:
    """An alert that was called in its own process.

    :param name: its body and its dedup key.
    :param at: when, in seconds since 1970.
    :param log: where its process logs.
    """

    name: str
    at: float
    log: Path
    process: multiprocessing.Process = field(repr=False)

    @property
    def was_killed(self):
        return self.process.exitcode == -signal.SIGKILL

    @property
    def errors(self):
        return [line for line in self.log.read_text().splitlines() if line.startswith("ERROR")]


def call(name, folder):
    """Call an alert as a task's callback does: in a new process."""
    log = folder / f"{name}.log"
    log.touch()

    def work():
        logging.basicConfig(filename=log, level=logging.INFO, format="%(levelname)s %(message)s", force=True)
        DialogTechSmsNotifier(name, dedup_key=name)(failure())

    process = _fork.Process(target=work)
    process.start()
    return Called(name, time.time(), log, process)


def call_at_random(names, seconds, chance, folder, *, after_each=lambda called: None):
    """Call alerts at random moments within `seconds`."""
    begun, called = time.monotonic(), []
    moments = sorted(chance.uniform(0, seconds) for _ in names)
    for name, moment in zip(names, moments, strict=True):
        time.sleep(max(0.0, begun + moment - time.monotonic()))
        called.append(call(name, folder))
        after_each(called[-1])
    return called


def wait_for(called):
    until = time.monotonic() + ENDS_WITHIN
    for alert in called:
        alert.process.join(max(0.0, until - time.monotonic()))
        assert alert.process.exitcode is not None, f"the process of {alert.name} does not end"


@contextmanager
def attacked(work):
    """Run `work` in a thread during the block, and check that it raised nothing."""
    failed = []

    def run():
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert failed == []


def silence(begin, end, chance, *, timeout, longest):
    """Begin a silence at a random moment, and end it some seconds later."""

    def work():
        time.sleep(chance.uniform(0, timeout))
        begin()
        try:
            time.sleep(chance.uniform(2.5, longest))
        finally:
            end()

    return work


def locking(path, chance, *, timeout, longest):
    def work():
        time.sleep(chance.uniform(0, timeout))
        with locked(path):
            time.sleep(chance.uniform(2.5, longest))

    return work


def setting_clocks(url, chance, *, timeout):
    """Set all stored times forward or back, as if the journal's clock had been wrong when they were written."""

    def work():
        for _ in range(3):
            time.sleep(chance.uniform(0, timeout / 3))
            by = chance.choice([-YEAR, -90.0, -3.0, 3.0, 90.0, YEAR])
            for table in (messages, alerts, alert_grants):
                times = [column for column in table.c if isinstance(column.type, sa.Float)]
                change(url, table.update().values({column: column + by for column in times}))
            change(url, accounts.update().values(paused_until=time.time() + by))

    return work


def killing(chance):
    """Kill half of the callbacks at random moments of their lives."""

    def kill_later(alert):
        if chance.random() < 0.5:
            threading.Timer(chance.uniform(0, 1.5), alert.process.kill).start()

    return kill_later


def arrivals(sandbox):
    """Count how often each alert arrived, by its name without the suffix."""
    return Counter(sms["message"].split(" (")[0] for sms in sandbox.accepted())


def assert_sent_once(sandbox, called):
    """Check that each alert was sent once, logged an ERROR or was killed, and return those that were not sent."""
    arrived = arrivals(sandbox)
    assert {name: count for name, count in arrived.items() if count > 1} == {}
    unsent = [alert for alert in called if not arrived[alert.name]]
    silent = [alert for alert in unsent if not (alert.was_killed or alert.errors)]
    assert silent == [], [alert.log.read_text() for alert in silent]
    return unsent


def assert_counted_next_time(sandbox, url, account, unsent, folder):
    """Check that the next message counts each unsent alert, unless a killed process may have sent it."""
    let_lease_end(url)
    for alert in unsent:
        may_be_out = state_of_message(url, account, alert.name) in MAY_BE_OUT
        (folder / "again").mkdir(exist_ok=True)
        before = len(sandbox.accepted())
        again = call(alert.name, folder / "again")
        wait_for([again])
        sent = [sms["message"] for sms in sandbox.accepted()[before:]]
        if sent:
            has_claim = state_of_alert(url, account, alert.name) is not None
            counted = re.search(r"\(\+\d more since", sent[0]) is not None
            assert counted or not has_claim or alert.was_killed or alert.errors, (sent, alert.log.read_text())
        else:
            assert may_be_out, (alert.log.read_text(), again.log.read_text())


def let_lease_end(url):
    for column in (alerts.c.claimed_at, alerts.c.cooldown_ends, alerts.c.suppressed_since, alerts.c.reported_since):
        change(url, alerts.update().values({column: column - LEASE - 1}))


def state_of_alert(url, account, name):
    key = digest(digest(account, "recipient", ALICE), json.dumps(["given", name]))
    return next((row for row in rows(url, alerts) if row.key == key), None)


def state_of_message(url, account, name):
    alert = state_of_alert(url, account, name)
    return alert and next((row.state for row in rows(url) if row.key == alert.message_key), None)


def chance_of(seed):
    return random.Random(seed)
