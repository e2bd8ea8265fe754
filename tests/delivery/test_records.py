"""What a row of the journal says of its text at a moment."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dialogtech.delivery import statements
from airflow_provider_dialogtech.delivery.records import JournalRow, mapping_of

NOW = 1_000_000.0
VALUES = {
    "id": 7,
    "account": "account",
    "number": "number",
    "at": NOW,
    "state": "sending",
    "owner": "owner",
    "digest": "digest",
    "recipient": "recipient",
    "recipient_tail": "7777",
    "detail": '{"segments": 1}',
    "deadline": NOW + 30,
    "created": NOW - 1,
    "displaced": 0,
}


def a_row(**changes) -> JournalRow:
    values = {**VALUES, **changes}
    found = JournalRow.of(json.dumps([[values[name] for name in statements.KEY_COLUMNS]]))
    assert found is not None
    return found


def test_what_may_be_shown_of_a_row_is_a_record():
    record = a_row().record(NOW + 2)
    assert (record.id, record.owner, record.state, record.digest) == (7, "owner", "sending", "digest")
    assert (record.recipient_tail, record.detail) == ("7777", {"segments": 1})
    assert (record.at, record.age) == (NOW, 2.0)
    assert JournalRow.of("[]") is None


@pytest.mark.parametrize(("after", "left"), [(0.0, 30 + 5.0), (29.0, 1 + 5.0), (30 + 5.0, 0.0), (99.0, 0.0)])
def test_a_text_that_is_being_sent_is_waited_for_until_its_deadline_and_some_seconds_more(after, left):
    assert a_row().record(NOW + after).undecided_for == pytest.approx(left)
    assert a_row().is_overdue(NOW + after) == (left == 0)


def test_no_clock_that_was_set_back_makes_that_longer_than_a_request_may_take():
    """It was started at most ten seconds before its slot."""
    assert a_row().record(NOW - 10).undecided_for == pytest.approx(30 + 5.0 + 10)
    assert a_row().record(NOW - 3600).undecided_for == pytest.approx(30 + 5.0 + 10)


@pytest.mark.parametrize(("after", "left"), [(-4.0, 4 + 1.0), (0.0, 1.0), (1.0, 0.0), (9.0, 0.0)])
def test_a_text_that_waits_is_waited_for_until_its_slot_is_surely_missed(after, left):
    assert a_row(state="reserved").record(NOW + after).undecided_for == pytest.approx(left)
    assert not a_row(state="reserved").is_overdue(NOW + after)


@pytest.mark.parametrize("state", ["sent", "refused", "throttled", "in_doubt", "released", "unsent", "held_back"])
def test_what_has_an_end_is_not_waited_for(state):
    assert a_row(state=state).record(NOW).undecided_for == 0
    assert not a_row(state=state).is_overdue(NOW + 99)


@pytest.mark.usefixtures("no_garbage_is_collected")
@pytest.mark.parametrize(
    ("detail", "found"), [('{"a": 1}', {"a": 1}), ("", {}), ("[1]", {}), ("null", {}), ("[" * 100_000, {})]
)
def test_a_detail_that_somebody_tampered_with_says_nothing(detail, found):
    assert mapping_of(detail) == found
