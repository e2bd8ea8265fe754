"""What a recipient's stored alert means at a moment: whether its text is out, is about to leave, or never left."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.journal.alert_statements import COLUMNS
from airflow_provider_dialogtech.journal.dedup import StoredAlert, is_cooling_down, is_leased, unsent, was_sent

NOW = 1_000_000.0
A_DAY = 86400.0
CLAIMED = StoredAlert(
    claim="a", claimed_at=NOW, cooldown_ends=NOW + 900, message_key="t", failures=1, failing_since=NOW
)
RESOLVED = replace(CLAIMED, resolution="a", failures=3, failing_since=NOW - 100, about="load", last_suppressed="x")


def a_row(message_state=None, now=NOW, alert=None):
    stored = {"key": "key", **asdict(alert)} if alert else dict.fromkeys(("key", *COLUMNS))
    return SimpleNamespace(now=now, message_state=message_state, **stored)


@pytest.mark.parametrize(
    ("state", "is_sent"),
    [("sent", True), ("sending", True), ("in_doubt", True), ("refused", False), ("reserved", False), (None, False)],
)
def test_a_message_that_may_be_out_counts_as_sent(state, is_sent):
    assert was_sent(CLAIMED, a_row(state)) == is_sent


@pytest.mark.parametrize(("age", "is_sent"), [(A_DAY, False), (A_DAY + 0.5, True)])
def test_a_message_that_the_journal_does_not_know_was_sent_when_it_may_have_been_forgotten(age, is_sent):
    assert was_sent(CLAIMED, a_row(now=NOW + age)) == is_sent
    assert not was_sent(CLAIMED, a_row("refused", now=NOW + age))


@pytest.mark.parametrize(
    ("after", "leased"),
    [(0.0, True), (60.0 - 0.5, True), (60.0, False), (-1.0, True), (-1.0 - 0.5, False)],
)
def test_a_claim_is_leased_for_a_minute_and_not_by_a_clock_that_was_ahead(after, leased):
    assert is_leased(CLAIMED, NOW + after) == leased
    assert not is_leased(replace(CLAIMED, claim=None), NOW + after)


@pytest.mark.parametrize(
    ("after", "sent", "cooling"),
    [
        (0.0, False, True),
        (60.0 - 0.5, False, True),
        (60.0, False, False),
        (60.0, True, True),
        (899.5, True, True),
        (900.0, True, False),
        (-1.0, True, True),
        (-1.0 - 0.5, True, False),
    ],
)
def test_a_recipient_is_not_texted_again_while_a_message_is_out_or_about_to_leave(after, sent, cooling):
    assert is_cooling_down(CLAIMED, NOW + after, sent=sent) == cooling


def test_a_claim_that_was_given_back_mutes_nobody():
    assert not is_cooling_down(replace(CLAIMED, claim=None), NOW, sent=False)
    assert not is_cooling_down(replace(CLAIMED, claim=None), NOW, sent=True)


def test_what_a_message_has_reported_is_reported_once():
    alert = replace(CLAIMED, reported=4, reported_since=NOW - 50, suppressed=2, suppressed_since=NOW - 5)
    assert unsent(alert, NOW, sent=True) == (2, NOW - 5)
    assert unsent(replace(alert, claim=None), NOW, sent=False) == (2, NOW - 5)


def test_of_a_message_that_never_left_all_is_still_to_be_reported_and_itself():
    alert = replace(CLAIMED, reported=4, reported_since=NOW - 50, suppressed=2, suppressed_since=NOW - 5)
    assert unsent(alert, NOW + 60.0, sent=False) == (7, NOW - 50)
    assert unsent(alert, NOW + 59.9, sent=False) == (2, NOW - 5)  # it may be about to leave


@pytest.mark.parametrize(("after", "since"), [(60.0, NOW), (-60.0, NOW - 60)])
def test_a_message_that_never_left_and_reported_nothing_was_due_when_it_was_claimed_and_never_in_the_future(
    after, since
):
    assert unsent(CLAIMED, NOW + after, sent=False) == (1, since)


@pytest.mark.parametrize("state", ["sent", "sending", "in_doubt", "held_back"])
def test_once_the_message_that_failures_are_over_is_out_nothing_is_left_of_them(state):
    assert RESOLVED.as_it_stands(a_row(state, now=NOW + 60.0 + 1)) == StoredAlert(last_suppressed="x")


def test_while_the_message_that_failures_are_over_may_leave_nothing_is_left_of_them():
    assert RESOLVED.as_it_stands(a_row(now=NOW + 1)) == StoredAlert(last_suppressed="x")


@pytest.mark.parametrize(("reported_since", "since"), [(NOW - 50, NOW - 50), (None, NOW - 5)])
def test_failures_go_on_where_the_message_that_they_are_over_never_left(reported_since, since):
    alert = replace(RESOLVED, reported=4, reported_since=reported_since, suppressed=2, suppressed_since=NOW - 5)
    found = alert.as_it_stands(a_row("refused", now=NOW + 60.0 + 1))
    assert (found.claim, found.resolution, found.cooldown_ends) == (None, "", 0.0)
    assert (found.reported, found.reported_since, found.suppressed, found.suppressed_since) == (0, None, 6, since)
    assert (found.failures, found.failing_since, found.about) == (3, NOW - 100, "load")


def test_an_alert_about_a_failure_stands_as_it_is():
    assert CLAIMED.as_it_stands(a_row("sent")) is CLAIMED
    assert not StoredAlert().is_resolution


def test_times_that_a_clock_ahead_has_written_are_read_as_now():
    times = {"reported_since": NOW + 5, "suppressed_since": NOW + 6, "failing_since": NOW + 7}
    found = StoredAlert.of(a_row(alert=replace(CLAIMED, **times)))
    assert (found.reported_since, found.suppressed_since, found.failing_since) == (NOW, NOW, NOW)
    assert StoredAlert.of(a_row(alert=CLAIMED)) == CLAIMED
    assert StoredAlert.of(a_row()) is None


def test_an_alert_that_never_was_stands_for_nothing():
    nothing = StoredAlert()
    assert (nothing.failures, nothing.suppressed, nothing.reported, nothing.sent_before) == (0, 0, 0, 0)
    assert (nothing.claimed_at, nothing.cooldown_ends) == (0.0, 0.0)
    assert unsent(nothing, NOW, sent=False) == (0, None)
