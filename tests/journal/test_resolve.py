"""A message that failures are over: where its recipient was told of some, and once."""

import multiprocessing
from datetime import timedelta

import pytest

from airflow_provider_dialogtech.journal.dedup import BUDGET_SECONDS, LEASE, AlertGate, Resolving
from airflow_provider_dialogtech.journal.schema import alert_grants, alerts
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import change, rows
from tests.journal.test_dedup import ACCOUNT, ALICE, BOB, COOLDOWN, gate, send, set_back, store

__all__ = ["gate", "set_back", "store"]

FAILED = "dag failed"


@pytest.fixture
def set_all_back(store_url, set_back):
    """Let so many seconds pass for the failures, too."""

    def set_all_back(seconds):
        set_back(seconds)
        change(store_url, alerts.update().values(failing_since=alerts.c.failing_since - seconds))

    return set_all_back


@pytest.fixture
def told(gate, store):
    """A failure that Alice was told of."""
    send(store, gate.decide(FAILED, ALICE, COOLDOWN, about="load").claim)


def contents(store_url):
    return rows(store_url, alerts), rows(store_url, alert_grants)


def test_it_is_told_once_and_counts_what_was_suppressed(gate, store, told, set_all_back):
    for _ in range(2):
        assert gate.decide(FAILED, ALICE, COOLDOWN).claim is None
    set_all_back(42 * 60)
    resolved = gate.resolve(FAILED, ALICE)
    assert resolved.recovery.failures == 3
    assert resolved.recovery.lasted == pytest.approx(timedelta(minutes=42), abs=timedelta(seconds=30))
    send(store, resolved)
    assert gate.resolve(FAILED, ALICE) is None


def test_failures_over_several_cooldowns_are_counted_together(gate, store, told, set_all_back):
    gate.decide(FAILED, ALICE, COOLDOWN)
    set_all_back(1000)
    send(store, gate.decide(FAILED, ALICE, COOLDOWN).claim)
    gate.decide(FAILED, ALICE, COOLDOWN)
    set_all_back(1000)
    resolved = gate.resolve(FAILED, ALICE)
    assert resolved.recovery.failures == 4
    assert resolved.recovery.lasted == pytest.approx(timedelta(seconds=2000), abs=timedelta(seconds=30))


@pytest.mark.parametrize(("key", "recipient"), [("another dag failed", ALICE), (FAILED, BOB)])
def test_where_nothing_was_told_nothing_is_written(gate, told, store_url, key, recipient):
    before = contents(store_url)
    assert gate.resolve(key, recipient) is None
    assert contents(store_url) == before


def test_where_nothing_was_told_it_costs_one_read_without_a_lock(gate, store, monkeypatch):
    asked, ask = [], store.ask
    monkeypatch.setattr(store, "ask", lambda question: asked.append(question) or ask(question))
    monkeypatch.setattr(store, "do", lambda *_, **__: pytest.fail("it writes"))
    assert gate.resolve(FAILED, ALICE) is None
    assert len(asked) == 1


def test_a_failure_that_was_only_counted_was_not_told(store, set_back):
    gate = AlertGate(store, ACCOUNT, budget=1)
    send(store, gate.decide("another dag failed", ALICE, COOLDOWN).claim)
    assert gate.decide(FAILED, ALICE, COOLDOWN).claim is None
    set_back(BUDGET_SECONDS + 1)
    assert gate.resolve(FAILED, ALICE) is None
    assert gate.decide(FAILED, ALICE, COOLDOWN).claim.suppressed == 1


@pytest.mark.parametrize("outcome", ["refused", "throttled"])
def test_a_failure_whose_message_was_not_sent_was_not_told(gate, store, outcome, set_back):
    send(store, gate.decide(FAILED, ALICE, COOLDOWN).claim, outcome)
    assert gate.resolve(FAILED, ALICE) is None
    set_back(LEASE + 1)
    assert gate.resolve(FAILED, ALICE) is None


def test_a_failure_whose_message_may_be_out_was_told(gate, store):
    send(store, gate.decide(FAILED, ALICE, COOLDOWN).claim, "in_doubt")
    assert gate.resolve(FAILED, ALICE) is not None


def test_a_failure_whose_message_is_about_to_leave_is_told_before_it_is_over(gate, store, told, set_back):
    set_back(1000)
    waiting = gate.decide(FAILED, ALICE, COOLDOWN).claim
    assert gate.resolve(FAILED, ALICE) is None
    send(store, waiting)
    assert gate.resolve(FAILED, ALICE).recovery.failures == 2


def test_where_the_last_failure_was_not_told_an_earlier_one_was(gate, told, set_back):
    set_back(1000)
    gate.release(gate.decide(FAILED, ALICE, COOLDOWN).claim)
    assert gate.resolve(FAILED, ALICE).recovery.failures == 2


def test_the_next_failure_begins_anew_without_a_cooldown(gate, store, told):
    gate.decide(FAILED, ALICE, COOLDOWN)
    send(store, gate.resolve(FAILED, ALICE))
    again = gate.decide(FAILED, ALICE, COOLDOWN).claim
    assert (again.suppressed, again.since) == (0, None)
    send(store, again)
    assert gate.decide(FAILED, ALICE, COOLDOWN).claim is None
    assert gate.resolve(FAILED, ALICE).recovery.failures == 2


def test_the_next_failure_without_budget_begins_anew_too(store, set_back):
    gate = AlertGate(store, ACCOUNT, budget=2)
    send(store, gate.decide(FAILED, ALICE, COOLDOWN).claim)
    gate.decide(FAILED, ALICE, COOLDOWN)
    send(store, gate.resolve(FAILED, ALICE))
    for token in ("a", "a", "b"):
        assert gate.decide(FAILED, ALICE, COOLDOWN, claim_id=token).claim is None
    assert gate.resolve(FAILED, ALICE) is None
    set_back(BUDGET_SECONDS + 1)
    assert gate.decide(FAILED, ALICE, COOLDOWN).claim.suppressed == 2


def test_without_budget_the_failures_stay_open_until_there_is_some(store, set_back, store_url):
    gate = AlertGate(store, ACCOUNT, budget=1)
    send(store, gate.decide(FAILED, ALICE, COOLDOWN).claim)
    before = contents(store_url)
    assert gate.resolve(FAILED, ALICE) is None
    assert contents(store_url) == before
    set_back(BUDGET_SECONDS + 1)
    assert gate.resolve(FAILED, ALICE).is_last


def test_a_message_that_was_not_sent_leaves_the_failures_open(gate, store, told):
    gate.decide(FAILED, ALICE, COOLDOWN)
    first = gate.resolve(FAILED, ALICE)
    for _ in range(2):
        gate.release(first)
    assert gate.resolve(FAILED, ALICE).recovery.failures == 2


def test_a_failure_after_a_message_that_was_not_sent_tells_what_was_suppressed(gate, told):
    gate.decide(FAILED, ALICE, COOLDOWN)
    gate.release(gate.resolve(FAILED, ALICE))
    again = gate.decide(FAILED, ALICE, COOLDOWN).claim
    assert again.suppressed == 1
    assert again.since is not None


def test_a_callback_killed_before_its_message_left_leaves_the_failures_open(gate, told, set_back):
    gate.decide(FAILED, ALICE, COOLDOWN)
    gate.resolve(FAILED, ALICE)
    assert gate.resolve(FAILED, ALICE) is None
    set_back(LEASE + 1)
    assert gate.resolve(FAILED, ALICE).recovery.failures == 2


def test_a_message_that_may_be_out_is_not_told_again(gate, store, told, set_back):
    send(store, gate.resolve(FAILED, ALICE), "in_doubt")
    set_back(LEASE + 1)
    assert gate.resolve(FAILED, ALICE) is None


def test_a_late_release_changes_nothing_of_the_failures_that_came_since(gate, store, told):
    late = gate.resolve(FAILED, ALICE)
    send(store, gate.decide(FAILED, ALICE, COOLDOWN).claim)
    gate.release(late)
    assert gate.decide(FAILED, ALICE, COOLDOWN).claim is None
    assert gate.resolve(FAILED, ALICE).recovery.failures == 2


def test_only_that_of_which_the_failure_was_told_ends_it_where_others_share_its_key(gate, told):
    assert gate.resolve(FAILED, ALICE, about="clean", same_only=True) is None
    assert not gate.resolve(FAILED, ALICE, about="clean").recovery.is_same


def test_that_of_which_the_failure_was_told_ends_it(gate, told):
    assert gate.resolve(FAILED, ALICE, about="load", same_only=True).recovery.is_same


def test_a_claim_that_is_made_again_after_a_lost_answer_is_the_same_claim(store, store_url):
    gate = AlertGate(store, ACCOUNT, budget=2)
    send(store, gate.decide(FAILED, ALICE, COOLDOWN).claim)
    first = gate.resolve(FAILED, ALICE, claim_id="a")
    assert first.is_last
    again = gate.resolve(FAILED, ALICE, claim_id="a")
    assert (again.id, again.is_last, again.recovery.failures) == (first.id, True, 1)
    assert len(rows(store_url, alert_grants)) == 2
    assert gate.resolve(FAILED, ALICE, claim_id="b") is None


def test_a_failure_that_is_suppressed_meanwhile_is_counted(store, told, monkeypatch):
    gate, decide, seen = AlertGate(store, ACCOUNT), Resolving.decide, []

    def suppress_first(resolving, row):
        if not seen:
            seen.append(gate.decide(FAILED, ALICE, COOLDOWN).claim)
        return decide(resolving, row)

    monkeypatch.setattr(Resolving, "decide", suppress_first)
    assert gate.resolve(FAILED, ALICE).recovery.failures == 2
    assert seen == [None]


def test_of_two_processes_that_tell_it_at_once_one_does(store_url, told):
    fork = multiprocessing.get_context("fork")
    ready, results = fork.Barrier(2), fork.SimpleQueue()
    workers = [fork.Process(target=resolve_with_other, args=(store_url, ready, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(found, key=str) == [1, None]


def resolve_with_other(store_url, ready, results):
    try:
        gate = AlertGate(Store(store_url), ACCOUNT)
        gate.resolve("warm-up", ALICE)
        ready.wait(60)
        claim = gate.resolve(FAILED, ALICE)
        results.put(claim and claim.recovery.failures)
    except Exception as error:  # it is shown where the results are compared
        results.put(repr(error))
