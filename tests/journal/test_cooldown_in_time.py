"""Cooldown, lease and budget to the second: by a clock that nobody waits for."""

from datetime import timedelta

import pytest

from airflow_provider_dialogtech.journal.dedup import AlertGate
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import alert_grants, alerts
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import rows

ALICE = "5556667777"
A_QUARTER = timedelta(minutes=15)
A_DAY = 86400.0
FAILED = "dag failed"


@pytest.fixture
def store(sqlite_url, time):
    return Store(sqlite_url, clock=time.clock)


@pytest.fixture
def gate(store):
    return AlertGate(store, "account", budget=3)


@pytest.fixture
def send(store, gate, time):
    """Claim an alert and send its text."""

    def send(key=FAILED, cooldown=A_QUARTER, **options):
        claim = gate.decide(key, ALICE, cooldown, **options).claim
        journal, request = (
            MessageJournal(store, "account", RateLimits()),
            SlotRequest(claim.id, ("5554332111",), ALICE, "x"),
        )
        held = journal.reserve(request)
        late = held.due - time.monotonic()
        time.go_on(late)
        assert journal.start(held, request_timeout=30)
        journal.settle(held, "sent", {})
        time.go_on(-late)
        return claim

    return send


@pytest.mark.parametrize(("after", "is_sent"), [(899.0, False), (900.0, True)])
def test_a_recipient_is_texted_again_once_the_cooldown_is_over(gate, send, time, after, is_sent):
    send()
    time.go_on(after)
    assert (gate.decide(FAILED, ALICE, A_QUARTER).claim is not None) == is_sent


@pytest.mark.parametrize(("after", "is_sent"), [(59.0, False), (60.0, True)])
def test_a_claim_that_nobody_sends_mutes_for_a_minute(gate, time, after, is_sent):
    gate.decide(FAILED, ALICE, A_QUARTER)
    time.go_on(after)
    assert (gate.decide(FAILED, ALICE, A_QUARTER).claim is not None) == is_sent


@pytest.mark.parametrize(("after", "is_sent"), [(599.0, False), (600.0, True)])
def test_a_message_counts_in_the_budget_for_ten_minutes(gate, send, time, after, is_sent):
    for key in "123":
        send(key)
    time.go_on(after)
    assert (gate.decide("4", ALICE, A_QUARTER).claim is not None) == is_sent


def test_a_recipient_gets_ten_messages_in_that_time_unless_it_is_said_otherwise(store):
    gate = AlertGate(store, "account")
    claims = [gate.decide(str(n), ALICE, A_QUARTER).claim for n in range(12)]
    assert [claim is not None for claim in claims] == [True] * 10 + [False] * 2


@pytest.mark.parametrize(("ahead", "counts"), [(0.5, True), (1.0, False), (5.0, False)])
def test_a_message_that_a_clock_ahead_has_granted_does_not_count_in_the_budget(gate, time, ahead, counts):
    time.set(ahead)
    for key in "123":
        gate.decide(key, ALICE, A_QUARTER)
    time.set(-ahead)
    assert (gate.decide("4", ALICE, A_QUARTER).claim is None) == counts


@pytest.mark.parametrize(("after", "left"), [(600.0, 2), (600.5, 1), (-599.0, 2), (-601.0, 1)])
def test_grants_that_count_no_more_are_removed(gate, time, sqlite_url, after, left):
    gate.decide("1", ALICE, A_QUARTER)
    time.go_on(after)
    gate.decide("2", ALICE, A_QUARTER)
    assert len(rows(sqlite_url, alert_grants)) == left


@pytest.mark.parametrize(("after", "left"), [(90 * A_DAY - 1, 2), (90 * A_DAY, 2), (90 * A_DAY + 1, 1)])
def test_an_alert_that_was_quiet_for_ninety_days_is_forgotten(gate, time, sqlite_url, after, left):
    gate.decide("1", ALICE, None)
    time.go_on(after)
    gate.decide("2", ALICE, None, claim_id="0" * 32)
    assert len(rows(sqlite_url, alerts)) == left


def test_what_was_counted_is_told_with_the_time_of_the_first(gate, send, time):
    send()
    time.go_on(100)
    first = time.now()
    for _ in range(3):
        assert gate.decide(FAILED, ALICE, A_QUARTER).claim is None
        time.go_on(10)
    time.go_on(900)
    claim = gate.decide(FAILED, ALICE, A_QUARTER).claim
    assert (claim.suppressed, claim.since.timestamp()) == (3, pytest.approx(first))


def test_what_a_clock_ahead_has_counted_is_told_with_the_time_of_the_next(gate, send, time):
    send()
    time.set(500)
    assert gate.decide(FAILED, ALICE, A_QUARTER).claim is None
    time.set(-500)
    assert gate.decide(FAILED, ALICE, A_QUARTER).claim is None
    second = time.now()
    time.go_on(1000)
    claim = gate.decide(FAILED, ALICE, A_QUARTER).claim
    assert (claim.suppressed, claim.since.timestamp()) == (2, pytest.approx(second))


def test_a_claim_that_is_given_back_is_told_with_the_next_and_since_it_was_made(gate, time, sqlite_url):
    made = time.now()
    claim = gate.decide(FAILED, ALICE, A_QUARTER).claim
    time.go_on(20)
    assert gate.decide(FAILED, ALICE, A_QUARTER).claim is None
    gate.release(claim)
    (row,) = rows(sqlite_url, alerts)
    assert (row.claim, row.reported, row.reported_since) == (None, 0, None)
    again = gate.decide(FAILED, ALICE, A_QUARTER).claim
    assert (again.suppressed, again.since.timestamp()) == (2, pytest.approx(made))
    gate.release(again)
    third = gate.decide(FAILED, ALICE, A_QUARTER).claim
    assert (third.suppressed, third.since.timestamp()) == (3, pytest.approx(made))


def test_a_message_that_failures_are_over_and_that_is_given_back_is_no_failure(gate, send, time):
    begun = time.now()
    send(about="load")
    time.go_on(100)
    assert gate.decide(FAILED, ALICE, A_QUARTER, about="load").claim is None
    second = time.now()
    time.go_on(100)
    resolved = gate.resolve(FAILED, ALICE, about="load")
    assert (resolved.recovery.failures, resolved.recovery.lasted.total_seconds()) == (2, pytest.approx(200))
    gate.release(resolved)
    again = gate.resolve(FAILED, ALICE, about="load")
    assert (again.recovery.failures, again.recovery.lasted.total_seconds()) == (2, pytest.approx(200))
    gate.release(again)
    time.go_on(900)
    claim = gate.decide(FAILED, ALICE, A_QUARTER).claim
    assert (claim.suppressed, claim.since.timestamp()) == (1, pytest.approx(second))
    assert begun < second


def test_where_the_budget_is_used_up_the_first_failure_is_counted_from_its_time_on(gate, send, time):
    for key in "123":
        send(key)
    first = time.now()
    assert gate.decide(FAILED, ALICE, A_QUARTER).claim is None
    time.go_on(600)
    claim = gate.decide(FAILED, ALICE, A_QUARTER).claim
    assert (claim.suppressed, claim.since.timestamp()) == (1, pytest.approx(first))
    send_failures = gate.decide("5", ALICE, A_QUARTER).claim
    assert send_failures.suppressed == 0
