"""What is decided about one alert, from the journal's answer alone: a message, or one more that is counted."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.journal import alert_statements
from airflow_provider_dialogtech.journal.alert_statements import COLUMNS
from airflow_provider_dialogtech.journal.dedup import LEASE, Claiming, Resolving, StoredAlert, Wanted
from airflow_provider_dialogtech.journal.records import stored_key

NOW = 1_000_000.0
COOLDOWN = timedelta(minutes=15)
OURS, THEIRS = "1" * 32, "a" * 32
SENT = StoredAlert(
    claim=THEIRS,
    claimed_at=NOW - 100,
    cooldown_ends=NOW + 800,
    message_key="t",
    failures=1,
    failing_since=NOW - 100,
    about="load",
)
OVER = replace(SENT, cooldown_ends=NOW - 1)


def a_row(alert=None, *, message_state="sent", granted=0, is_ours=0):
    stored = {"key": "key", **asdict(alert)} if alert else dict.fromkeys(("key", *COLUMNS))
    return SimpleNamespace(now=NOW, **stored, message_state=message_state, granted=granted, is_ours=is_ours)


def wanted(id_=OURS, budget=10):
    return Wanted(id_, "key", "recipient", "load", budget)


def decide(alert=None, *, cooldown=COOLDOWN, id_=OURS, **row):
    return Claiming(wanted(id_), cooldown).decide(a_row(alert, **row))


def resolve(alert=None, *, same_only=False, about="load", **row):
    return Resolving(replace(wanted(), about=about), same_only).decide(a_row(alert, **row))


def sql_of(decision):
    return [statement.sql for statement in decision.writes]


def new(decision):
    """Return what the last write makes of the alert."""
    values = decision.writes[-1].values
    return StoredAlert(**{name.removeprefix("new_"): values[name] for name in values if name.startswith("new_")})


def moment(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc)


def test_the_first_alert_of_all_takes_its_claim_and_a_message_of_the_budget():
    decision = decide()
    assert (decision.claim.id, decision.claim.key, decision.claim.suppressed, decision.claim.since) == (
        OURS,
        "key",
        0,
        None,
    )
    assert sql_of(decision) == [
        alert_statements.GRANT_FIRST,
        alert_statements.FORGET_GRANTS,
        alert_statements.CLAIM_FIRST,
    ]
    assert decision.writes[0].values == {
        "of_key": "key", "of_claim": OURS, "of_recipient": "recipient", "seen_granted": 0
    }  # fmt: skip
    assert decision.writes[-1].values == {
        "of_key": "key", "of_claim": OURS, "cooldown": 900.0, "message_key": stored_key(OURS), "about": "load"
    }  # fmt: skip
    assert decide(cooldown=None).writes[-1].values["cooldown"] == 0


@pytest.mark.parametrize(
    ("granted", "is_sent", "is_last"), [(0, True, False), (8, True, False), (9, True, True), (10, False, None)]
)
@pytest.mark.parametrize("alert", [None, OVER])
def test_the_last_message_of_a_budget_is_known_and_no_other_follows(alert, granted, is_sent, is_last):
    decision = decide(alert, granted=granted)
    assert (decision.claim is not None) == is_sent
    assert not is_sent or decision.claim.is_last == is_last
    if not is_sent:
        assert sql_of(decision) == [alert_statements.SUPPRESS_FIRST if alert is None else alert_statements.SUPPRESS]


def test_within_the_cooldown_an_alert_is_counted_once():
    decision = decide(SENT)
    assert (decision.claim, sql_of(decision)) == (None, [alert_statements.SUPPRESS])
    assert decision.writes[0].values == {"of_key": "key", "of_claim": OURS, "seen_claim": THEIRS}
    again = decide(replace(SENT, last_suppressed=OURS))
    assert (again.claim, again.writes) == (None, ())


def test_without_a_cooldown_each_alert_is_sent():
    assert decide(SENT, cooldown=None).claim is not None


def test_after_the_cooldown_the_next_message_reports_what_was_counted_since():
    alert = replace(OVER, suppressed=3, suppressed_since=NOW - 50, reported=7, reported_since=NOW - 99, failures=11)
    decision = decide(alert)
    assert (decision.claim.suppressed, decision.claim.since, decision.claim.is_last) == (3, moment(NOW - 50), False)
    assert sql_of(decision) == [alert_statements.GRANT, alert_statements.FORGET_GRANTS, alert_statements.CLAIM]
    assert decision.writes[0].values["seen_suppressed"] == 3
    assert new(decision) == StoredAlert(
        claim=OURS,
        claimed_at=NOW,
        cooldown_ends=NOW + 900,
        reported=3,
        reported_since=NOW - 50,
        message_key=stored_key(OURS),
        failures=12,
        failing_since=NOW - 100,
        sent_before=1,
        about="load",
    )


def test_what_was_counted_when_nobody_was_told_has_no_time():
    assert decide(OVER).claim.since is None


@pytest.mark.parametrize(
    ("message_state", "sent_before", "told"), [("refused", 0, 0), ("refused", 1, 1), ("sent", 0, 1)]
)
def test_it_is_kept_whether_a_message_about_these_failures_was_ever_sent(message_state, sent_before, told):
    alert = replace(OVER, sent_before=sent_before)
    assert new(decide(alert, message_state=message_state)).sent_before == told


def test_a_message_that_never_left_is_reported_with_the_next():
    decision = decide(OVER, message_state="refused")
    assert (decision.claim.suppressed, decision.claim.since) == (1, moment(NOW - 100))
    assert new(decision).reported == 1


@pytest.mark.parametrize(("claim", "since"), [(OURS, moment(NOW - 9)), (THEIRS, None)])
def test_a_claim_whose_answer_was_lost_is_answered_again_and_reports_what_is_its_own(claim, since):
    alert = replace(SENT, claim=claim, reported=4, reported_since=NOW - 9)
    decision = decide(alert, is_ours=1, granted=10)
    assert (decision.claim.id, decision.claim.suppressed, decision.claim.since) == (OURS, 4 if since else 0, since)
    assert (decision.claim.is_last, decision.writes) == (True, ())
    assert not decide(alert, is_ours=1, granted=9).claim.is_last
    assert decide(replace(alert, reported=0), is_ours=1).claim.since is None


RESOLVED = replace(SENT, resolution=THEIRS, suppressed=2, suppressed_since=NOW - 5, failures=6)


def test_the_first_failure_after_others_were_over_begins_anew():
    decision = decide(RESOLVED)
    assert new(decision) == StoredAlert(
        claim=OURS,
        claimed_at=NOW,
        cooldown_ends=NOW + 900,
        message_key=stored_key(OURS),
        failures=1,
        failing_since=NOW,
        about="load",
    )
    assert decision.claim.suppressed == 0


def test_where_the_budget_is_used_up_the_first_failure_after_others_were_over_is_counted_anew():
    decision = decide(RESOLVED, granted=10)
    assert sql_of(decision) == [alert_statements.SUPPRESS_ANEW]
    assert new(decision) == StoredAlert(
        claimed_at=NOW,
        cooldown_ends=NOW,
        suppressed=1,
        suppressed_since=NOW,
        last_suppressed=OURS,
        failures=1,
        failing_since=NOW,
    )


def test_where_the_message_that_they_are_over_never_left_another_failure_is_counted_with_them():
    alert = replace(RESOLVED, claimed_at=NOW - LEASE - 1, failing_since=NOW - 99)
    found = new(decide(alert, granted=10, message_state="refused"))
    assert (found.claim, found.suppressed, found.suppressed_since) == (None, 3, NOW - 5)
    assert (found.failures, found.failing_since) == (7, NOW - 99)


def test_every_sixteenth_claim_or_so_forgets_old_alerts():
    assert alert_statements.PRUNE in sql_of(decide(OVER, id_="00000010" + "f" * 24))
    assert alert_statements.PRUNE not in sql_of(decide(OVER, id_="00000011" + "f" * 24))
    assert alert_statements.PRUNE not in sql_of(decide(OVER, id_="00000008" + "0" * 24))


def test_a_success_that_nobody_waits_for_is_no_message():
    for decision in (resolve(), resolve(RESOLVED), resolve(replace(SENT, sent_before=0), message_state="refused")):
        assert (decision.claim, decision.writes) == (None, ())


def test_a_success_after_a_message_about_a_failure_says_how_many_there_were_and_for_how_long():
    alert = replace(SENT, suppressed=2, suppressed_since=NOW - 50, failures=3)
    decision = resolve(alert)
    recovery = decision.claim.recovery
    assert (recovery.failures, recovery.lasted, recovery.is_same) == (3, timedelta(seconds=100), True)
    assert not decision.claim.is_last
    assert sql_of(decision) == [alert_statements.GRANT, alert_statements.FORGET_GRANTS, alert_statements.CLAIM]
    assert new(decision) == replace(
        alert,
        claim=OURS,
        claimed_at=NOW,
        cooldown_ends=NOW,
        reported=2,
        reported_since=NOW - 50,
        suppressed=0,
        suppressed_since=None,
        message_key=stored_key(OURS),
        sent_before=1,
        resolution=OURS,
    )


def test_a_success_of_another_task_is_told_as_another_or_not_at_all():
    assert not resolve(SENT, about="extract").claim.recovery.is_same
    assert resolve(SENT, about="extract", same_only=True).claim is None
    assert resolve(SENT, same_only=True).claim is not None


@pytest.mark.parametrize(("claimed_at", "is_told"), [(NOW - LEASE - 1, True), (NOW - 1, False)])
def test_a_failure_whose_message_is_about_to_leave_is_not_over(claimed_at, is_told):
    alert = replace(SENT, claimed_at=claimed_at, sent_before=1)
    assert (resolve(alert, message_state="reserved").claim is not None) == is_told


@pytest.mark.parametrize(("granted", "is_told", "is_last"), [(8, True, False), (9, True, True), (10, False, None)])
def test_a_success_costs_a_message_of_the_budget(granted, is_told, is_last):
    decision = resolve(SENT, granted=granted)
    assert (decision.claim is not None) == is_told
    assert not is_told or decision.claim.is_last == is_last


@pytest.mark.parametrize(
    ("claim", "granted", "is_told", "is_last"),
    [(OURS, 9, True, False), (OURS, 10, True, True), (THEIRS, 9, False, None)],
)
def test_a_success_whose_answer_was_lost_is_answered_again_unless_a_failure_followed(claim, granted, is_told, is_last):
    decision = resolve(replace(SENT, claim=claim, resolution=OURS), is_ours=1, granted=granted)
    assert (decision.claim is not None, decision.writes) == (is_told, ())
    assert not is_told or decision.claim.is_last == is_last
