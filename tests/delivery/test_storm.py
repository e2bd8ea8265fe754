import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.delivery.journal import SendJournal, Wish
from airflow_provider_dialogtech.delivery.limits import RateLimits
from airflow_provider_dialogtech.delivery.store import Store, alert_grants, alerts
from airflow_provider_dialogtech.delivery.storm import BUDGET_SECONDS, LEASE, AlertGate
from airflow_provider_dialogtech.masking import digest

ACCOUNT = digest("account", "a key")
ALICE, BOB = "5556667777", "5556668888"
COOLDOWN = timedelta(minutes=15)


@pytest.fixture
def store(store_url):
    return Store(store_url)


@pytest.fixture
def gate(store):
    return AlertGate(store, ACCOUNT)


def set_back(store, seconds):
    """Let so many seconds pass for the alerts."""

    def work(connection, _):
        for column in (alerts.c.claimed, alerts.c.silent_until, alerts.c.more_since, alerts.c.carried_since):
            connection.execute(alerts.update().values({column: column - seconds}))
        connection.execute(alert_grants.update().values(at=alert_grants.c.at - seconds))

    store.run("test", work)


def send(store, claim, outcome="sent"):
    """Do with a claim what the sender does."""
    journal = SendJournal(store, ACCOUNT, RateLimits())
    held = journal.reserve(Wish(claim.id, ("5554332111",), ALICE, "text", "me"))
    journal.start(held, timeout=30)
    journal.settle(held, outcome, {})


def test_the_first_alert_is_sent_and_the_others_are_counted(gate, store):
    first = gate.claim("dag failed", ALICE, COOLDOWN)
    assert (first.more, first.since) == (0, None)
    send(store, first)
    assert [gate.claim("dag failed", ALICE, COOLDOWN) for _ in range(137)] == [None] * 137
    set_back(store, 15 * 60 + 1)
    then = gate.claim("dag failed", ALICE, COOLDOWN)
    assert then.more == 137
    assert then.since.timestamp() == pytest.approx(time.time() - 15 * 60 - 1, abs=30)


def test_what_one_text_has_told_the_next_does_not_count_again(gate, store):
    send(store, gate.claim("dag failed", ALICE, COOLDOWN))
    gate.claim("dag failed", ALICE, COOLDOWN)
    set_back(store, 1000)
    send(store, gate.claim("dag failed", ALICE, COOLDOWN))
    set_back(store, 1000)
    assert gate.claim("dag failed", ALICE, COOLDOWN).more == 0


@pytest.mark.parametrize(("key", "recipient"), [("dag recovered", ALICE), ("dag failed", BOB)])
def test_another_event_or_another_person_is_told_as_well(gate, key, recipient):
    gate.claim("dag failed", ALICE, COOLDOWN)
    assert gate.claim(key, recipient, COOLDOWN) is not None


def test_without_a_cooldown_each_alert_is_sent(gate):
    assert all(gate.claim("dag failed", ALICE, None) for _ in range(5))


def test_of_sixteen_at_once_one_sends(store):
    barrier = threading.Barrier(16)

    def claim(_):
        barrier.wait()
        return AlertGate(store, ACCOUNT).claim("dag failed", ALICE, COOLDOWN)

    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(claim, range(16)))
    assert sum(claim is not None for claim in claims) == 1


def test_a_text_certainly_not_sent_releases_its_claim_and_keeps_the_count(gate):
    first = gate.claim("dag failed", ALICE, COOLDOWN)
    gate.claim("dag failed", ALICE, COOLDOWN)
    gate.release(first)
    second = gate.claim("dag failed", ALICE, COOLDOWN)
    assert second.more == 2
    gate.release(second)
    assert gate.claim("dag failed", ALICE, COOLDOWN).more == 3


def test_a_released_claim_costs_no_budget(gate):
    for _ in range(20):
        gate.release(gate.claim("dag failed", ALICE, COOLDOWN))
    assert gate.claim("dag failed", ALICE, COOLDOWN) is not None


def test_a_late_release_does_not_take_the_claim_of_another(gate, store):
    late = gate.claim("dag failed", ALICE, COOLDOWN)
    set_back(store, LEASE + 1)
    now = gate.claim("dag failed", ALICE, COOLDOWN)
    gate.release(late)
    send(store, now)
    assert gate.claim("dag failed", ALICE, COOLDOWN) is None


def test_a_callback_killed_while_it_waited_mutes_nobody_after_its_lease(gate, store):
    assert gate.claim("dag failed", ALICE, COOLDOWN)
    assert gate.claim("dag failed", ALICE, COOLDOWN) is None
    set_back(store, LEASE + 1)
    assert gate.claim("dag failed", ALICE, COOLDOWN).more == 2


@pytest.mark.parametrize("outcome", ["sent", "in_doubt"])
def test_a_text_that_may_be_out_keeps_its_claim_after_the_lease(gate, store, outcome):
    send(store, gate.claim("dag failed", ALICE, COOLDOWN), outcome)
    set_back(store, LEASE + 1)
    assert gate.claim("dag failed", ALICE, COOLDOWN) is None


@pytest.mark.parametrize("outcome", ["refused", "throttled"])
def test_a_text_that_was_refused_frees_its_claim_after_the_lease(gate, store, outcome):
    send(store, gate.claim("dag failed", ALICE, COOLDOWN), outcome)
    set_back(store, LEASE + 1)
    assert gate.claim("dag failed", ALICE, COOLDOWN) is not None


def test_the_budget_of_a_person_bounds_all_alerts_together_and_the_last_one_knows_it(store):
    gate = AlertGate(store, ACCOUNT, budget=3)
    claims = [gate.claim(f"dag {n}", ALICE, COOLDOWN) for n in range(5)]
    assert [claim and claim.last for claim in claims] == [False, False, True, None, None]
    assert gate.claim("dag 0", BOB, COOLDOWN) is not None
    set_back(store, BUDGET_SECONDS + 1)
    assert gate.claim("dag 4", ALICE, COOLDOWN).more == 1


def test_accounts_share_no_alerts(store):
    AlertGate(store, ACCOUNT).claim("dag failed", ALICE, COOLDOWN)
    assert AlertGate(store, digest("account", "another key")).claim("dag failed", ALICE, COOLDOWN) is not None


def test_nothing_stored_for_an_alert_shows_whom_it_goes_to(gate, store):
    gate.claim(f"dag failed for {BOB}", ALICE, COOLDOWN)

    def everything(connection, _):
        return repr([connection.execute(sa.select(table)).all() for table in (alerts, alert_grants)])

    stored = store.run("test", everything)
    assert ALICE not in stored
    assert BOB not in stored
