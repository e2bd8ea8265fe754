import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from airflow_provider_dialogtech.journal.dedup import BUDGET_SECONDS, LEASE, AlertGate, Claiming
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import alert_grants, alerts, messages
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from tests.journal.looking import change, rows

ACCOUNT = digest("account", "a key")
ALICE, BOB = "5556667777", "5556668888"
COOLDOWN = timedelta(minutes=15)


@pytest.fixture
def store_url(journal_url):
    return journal_url


@pytest.fixture
def store(store_url):
    return Store(store_url)


@pytest.fixture
def gate(store):
    return AlertGate(store, ACCOUNT)


@pytest.fixture
def set_back(store_url):
    """Let so many seconds pass for the alerts."""

    def set_back(seconds):
        for column in (alerts.c.claimed_at, alerts.c.cooldown_ends, alerts.c.suppressed_since, alerts.c.reported_since):
            change(store_url, alerts.update().values({column: column - seconds}))
        change(store_url, alert_grants.update().values(at=alert_grants.c.at - seconds))

    return set_back


def send(store, claim, outcome="sent"):
    """Do with a claim what the sender does."""
    journal, request = (
        MessageJournal(store, ACCOUNT, RateLimits()),
        SlotRequest(claim.id, ("5554332111",), ALICE, "text"),
    )
    held = journal.reserve(request)
    while not journal.start(held, request_timeout=30):  # on a busy machine it may come too late
        journal.timing.missed(time.monotonic())
        held = journal.reserve(request, after=held)
    journal.settle(held, outcome, {})


def test_the_first_alert_is_sent_and_the_others_are_counted(gate, store, set_back):
    first = gate.decide("dag failed", ALICE, COOLDOWN).claim
    assert (first.suppressed, first.since) == (0, None)
    send(store, first)
    assert [gate.decide("dag failed", ALICE, COOLDOWN).claim for _ in range(137)] == [None] * 137
    set_back(15 * 60 + 1)
    then = gate.decide("dag failed", ALICE, COOLDOWN).claim
    assert then.suppressed == 137
    assert then.since.timestamp() == pytest.approx(time.time() - 15 * 60 - 1, abs=30)


def test_what_one_message_has_told_the_next_does_not_count_again(gate, store, set_back):
    send(store, gate.decide("dag failed", ALICE, COOLDOWN).claim)
    gate.decide("dag failed", ALICE, COOLDOWN)
    set_back(1000)
    send(store, gate.decide("dag failed", ALICE, COOLDOWN).claim)
    set_back(1000)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim.suppressed == 0


@pytest.mark.parametrize(("key", "recipient"), [("dag recovered", ALICE), ("dag failed", BOB)])
def test_another_event_or_another_person_is_told_as_well(gate, key, recipient):
    gate.decide("dag failed", ALICE, COOLDOWN)
    assert gate.decide(key, recipient, COOLDOWN).claim is not None


def test_without_a_cooldown_each_alert_is_sent(gate):
    assert all(gate.decide("dag failed", ALICE, None).claim for _ in range(5))


def test_what_is_about_to_be_sent_is_in_no_other_count(gate, store):
    """Seen: ten tasks that failed at once without a cooldown were ten messages, the last of them with "+9 more"."""
    claims = [gate.decide("dag failed", ALICE, None).claim for _ in range(5)]
    assert [claim.suppressed for claim in claims] == [0] * 5
    for claim in claims:
        send(store, claim)
    assert gate.decide("dag failed", ALICE, None).claim.suppressed == 0


def test_what_was_about_to_be_sent_and_is_not_is_in_the_next_count(gate, store):
    first, second, third = (gate.decide("dag failed", ALICE, None).claim for _ in range(3))
    for claim in (first, first, second):
        gate.release(claim)
    send(store, third)
    assert gate.decide("dag failed", ALICE, None).claim.suppressed == 2


def test_a_message_that_failures_are_over_and_does_not_leave_is_no_alert_to_count(gate, store):
    send(store, gate.decide("dag failed", ALICE, None).claim)
    over = gate.resolve("dag failed", ALICE)
    failed = gate.decide("dag failed", ALICE, None).claim
    gate.release(over)
    send(store, failed)
    assert gate.decide("dag failed", ALICE, None).claim.suppressed == 0


def test_of_sixteen_at_once_one_sends(store):
    barrier = threading.Barrier(16)

    def claim(_):
        barrier.wait()
        return AlertGate(store, ACCOUNT).decide("dag failed", ALICE, COOLDOWN).claim

    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(claim, range(16)))
    assert sum(claim is not None for claim in claims) == 1


def test_a_message_certainly_not_sent_releases_its_claim_and_keeps_the_count(gate):
    first = gate.decide("dag failed", ALICE, COOLDOWN).claim
    gate.decide("dag failed", ALICE, COOLDOWN)
    gate.release(first)
    second = gate.decide("dag failed", ALICE, COOLDOWN).claim
    assert second.suppressed == 2
    gate.release(second)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim.suppressed == 3


def test_a_released_claim_costs_no_budget(gate):
    for _ in range(20):
        gate.release(gate.decide("dag failed", ALICE, COOLDOWN).claim)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim is not None


def test_a_late_release_does_not_take_the_claim_of_another(gate, store, set_back):
    late = gate.decide("dag failed", ALICE, COOLDOWN).claim
    set_back(LEASE + 1)
    now = gate.decide("dag failed", ALICE, COOLDOWN).claim
    assert now.suppressed == 1
    gate.release(late)
    send(store, now)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim is None
    assert gate.decide("dag failed", ALICE, None).claim.suppressed == 1  # the one before, and nothing twice


def test_a_callback_killed_while_it_waited_mutes_nobody_after_its_lease(gate, store, set_back):
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim is None
    set_back(LEASE + 1)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim.suppressed == 2


@pytest.mark.parametrize("outcome", ["sent", "in_doubt"])
def test_a_message_that_may_be_out_keeps_its_claim_after_the_lease(gate, store, outcome, set_back):
    send(store, gate.decide("dag failed", ALICE, COOLDOWN).claim, outcome)
    set_back(LEASE + 1)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim is None


@pytest.mark.parametrize("outcome", ["refused", "throttled"])
def test_a_message_that_was_refused_frees_its_claim_after_the_lease(gate, store, outcome, set_back):
    send(store, gate.decide("dag failed", ALICE, COOLDOWN).claim, outcome)
    set_back(LEASE + 1)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim is not None


def test_the_budget_of_a_person_bounds_all_alerts_together_and_the_last_one_knows_it(store, set_back):
    gate = AlertGate(store, ACCOUNT, budget=3)
    claims = [gate.decide(f"dag {n}", ALICE, COOLDOWN).claim for n in range(5)]
    assert [claim and claim.is_last for claim in claims] == [False, False, True, None, None]
    assert gate.decide("dag 0", BOB, COOLDOWN).claim is not None
    set_back(BUDGET_SECONDS + 1)
    assert gate.decide("dag 4", ALICE, COOLDOWN).claim.suppressed == 1


def test_accounts_share_no_alerts(store):
    AlertGate(store, ACCOUNT).decide("dag failed", ALICE, COOLDOWN)
    assert AlertGate(store, digest("account", "another key")).decide("dag failed", ALICE, COOLDOWN).claim is not None


def test_nothing_stored_for_an_alert_shows_whom_it_goes_to(gate, store_url):
    gate.decide(f"dag failed for {BOB}", ALICE, COOLDOWN)
    stored = repr(rows(store_url, alerts)) + repr(rows(store_url, alert_grants))
    assert ALICE not in stored
    assert BOB not in stored


def test_a_claim_that_is_made_again_after_a_lost_answer_is_the_same_claim(store, set_back):
    gate = AlertGate(store, ACCOUNT, budget=2)
    send(store, gate.decide("dag failed", ALICE, COOLDOWN).claim)
    gate.decide("dag failed", ALICE, COOLDOWN)
    set_back(1000)
    first = gate.decide("dag failed", ALICE, COOLDOWN, claim_id="ab" * 16).claim
    assert gate.decide("dag failed", ALICE, COOLDOWN, claim_id="ab" * 16).claim == first
    assert first.suppressed == 1


def test_a_claim_that_is_made_again_without_a_cooldown_costs_the_budget_once(store):
    gate = AlertGate(store, ACCOUNT, budget=3)
    for token in ("a", "a", "b", "b"):
        assert not gate.decide("dag failed", ALICE, None, claim_id=token).claim.is_last
    assert gate.decide("dag failed", ALICE, None, claim_id="c").claim.is_last


def test_an_alert_that_is_counted_again_after_a_lost_answer_counts_once(gate, store, set_back):
    send(store, gate.decide("dag failed", ALICE, COOLDOWN).claim)
    for token in ("a", "a", "b", "b"):
        assert gate.decide("dag failed", ALICE, COOLDOWN, claim_id=token).claim is None
    set_back(1000)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim.suppressed == 2


def test_a_claim_made_again_leaves_what_is_to_be_told_to_the_one_that_was_made_since(gate):
    gate.decide("dag failed", ALICE, None, claim_id="a")
    gate.release(gate.decide("dag failed", ALICE, None, claim_id="b").claim)
    assert gate.decide("dag failed", ALICE, None, claim_id="c").claim.suppressed == 1
    assert gate.decide("dag failed", ALICE, None, claim_id="a").claim.suppressed == 0


def test_a_claim_given_back_twice_counts_once(gate):
    claim = gate.decide("dag failed", ALICE, COOLDOWN).claim
    gate.release(claim)
    gate.release(claim)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim.suppressed == 1


def test_a_clock_a_year_ahead_for_a_moment_mutes_nobody(gate, store, store_url, set_back):
    send(store, gate.decide("dag 0", ALICE, COOLDOWN).claim)
    for n in range(1, 10):
        gate.decide(f"dag {n}", ALICE, COOLDOWN)
    set_back(-365 * 86400)
    assert gate.decide("dag 0", ALICE, COOLDOWN).claim is not None
    assert gate.decide("another dag", ALICE, COOLDOWN).claim is not None
    set_back(1000)
    assert gate.decide("dag 0", ALICE, COOLDOWN).claim is not None


def test_what_was_counted_by_a_clock_ahead_is_not_said_to_have_been_in_the_future(gate, store, set_back):
    send(store, gate.decide("dag failed", ALICE, COOLDOWN).claim)
    gate.decide("dag failed", ALICE, COOLDOWN)
    set_back(-365 * 86400)
    claim = gate.decide("dag failed", ALICE, COOLDOWN).claim
    assert claim.suppressed == 1
    assert claim.since.timestamp() <= time.time() + 1


def test_a_message_that_the_journal_has_forgotten_was_told(gate, store, store_url, set_back):
    send(store, gate.decide("dag failed", ALICE, COOLDOWN).claim)
    change(store_url, messages.delete())
    set_back(3 * 86400)
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim.suppressed == 0


def test_alerts_that_nobody_needs_any_more_are_removed(gate, store_url, set_back):
    gate.decide("a dag of last year", ALICE, COOLDOWN)
    set_back(365 * 86400)
    gate.decide("dag failed", ALICE, COOLDOWN, claim_id="0" * 32)
    assert len(rows(store_url, alerts)) == 1


def test_an_alert_that_was_only_counted_is_not_removed(store, store_url, set_back):
    gate = AlertGate(store, ACCOUNT, budget=1)
    gate.decide("dag 1", ALICE, COOLDOWN)
    gate.decide("dag 2", ALICE, COOLDOWN)
    set_back(BUDGET_SECONDS + 1)
    gate.decide("dag 3", ALICE, COOLDOWN, claim_id="0" * 32)
    set_back(BUDGET_SECONDS + 1)
    assert gate.decide("dag 2", ALICE, COOLDOWN).claim.suppressed == 1


def test_no_lock_is_held_while_an_alert_decides(postgres, postgres_url, monkeypatch):
    """Hundreds of alerts at once would wait for each other's way to the journal and back."""
    gate, held, decide = AlertGate(Store(postgres_url), ACCOUNT), [], Claiming.decide

    def looking(claiming, row):
        held.append(postgres.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
        return decide(claiming, row)

    monkeypatch.setattr(Claiming, "decide", looking)
    gate.decide("dag failed", ALICE, COOLDOWN)
    gate.decide("dag failed", ALICE, COOLDOWN)
    assert [int(re.search(r"\d+", said).group()) for said in held] == [0, 0]


def test_an_alert_that_somebody_else_claims_meanwhile_is_suppressed(store, monkeypatch):
    gate, decide, other = AlertGate(store, ACCOUNT), Claiming.decide, []

    def claim_first(claiming, row):
        if not other:
            other.append("claims")
            other.append(gate.decide("dag failed", ALICE, COOLDOWN, claim_id="b" * 32).claim)
        return decide(claiming, row)

    monkeypatch.setattr(Claiming, "decide", claim_first)
    assert gate.decide("dag failed", ALICE, COOLDOWN, claim_id="a" * 32).claim is None
    assert other[1].id == "b" * 32
    gate.release(other[1])
    assert gate.decide("dag failed", ALICE, COOLDOWN).claim.suppressed == 2


def test_what_is_suppressed_while_another_alert_is_claimed_is_reported_once(store, set_back, monkeypatch):
    gate, decide, seen = AlertGate(store, ACCOUNT), Claiming.decide, []
    send(store, gate.decide("dag failed", ALICE, COOLDOWN).claim)

    def suppress_first(claiming, row):
        if claiming.wanted.id == "c" * 32 and not seen:
            seen.append("suppresses")
            monkeypatch.setattr(Claiming, "decide", decide)
            assert AlertGate(store, ACCOUNT, budget=0).decide("dag failed", ALICE, COOLDOWN).claim is None
        return decide(claiming, row)

    monkeypatch.setattr(Claiming, "decide", suppress_first)
    set_back(1000)
    assert gate.decide("dag failed", ALICE, COOLDOWN, claim_id="c" * 32).claim.suppressed == 1


def test_a_budget_is_kept_by_alerts_of_many_kinds_at_once(store):
    barrier = threading.Barrier(16)

    def claim(number):
        barrier.wait()
        return AlertGate(store, ACCOUNT, budget=3).decide(f"dag {number}", ALICE, COOLDOWN).claim

    with ThreadPoolExecutor(16) as pool:
        claims = [claim for claim in pool.map(claim, range(16)) if claim is not None]
    assert sorted(claim.is_last for claim in claims) == [False, False, True]
