"""What a row of the journal says of its message at a moment."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dialogtech.journal.records import COLUMNS, Record
from airflow_provider_dialogtech.journal.states import State

NOW = 1_000_000.0
VALUES = {
    "id": 7,
    "account": "account",
    "number": "number",
    "at": NOW,
    "state": "sending",
    "key": "key",
    "owner": "owner",
    "digest": "digest",
    "recipient": "recipient",
    "recipient_tail": "7777",
    "detail": '{"segments": 1}',
    "deadline": NOW + 30,
    "created": NOW - 1,
    "priority": 0,
    "displaced": 0,
    "dag_id": "",
    "run_id": "",
    "task_id": "",
    "map_index": -1,
    "loop_index": -1,
    "body_key": None,
}


def a_record(read_at, **changes) -> Record:
    values = {**VALUES, **changes}
    return Record.of([*(values[name] for name in COLUMNS), read_at])


def test_a_record_is_a_row_and_when_it_was_read():
    record = a_record(NOW + 2)
    assert (record.id, record.owner, record.state, record.digest) == (7, "owner", State.SENDING, "digest")
    assert (record.recipient_tail, record.outcome) == ("7777", {"segments": 1})
    assert (record.at, record.read_at) == (NOW, NOW + 2)
    assert (record.is_alert, record.is_current) == (False, True)
    assert (a_record(NOW, priority=1).is_alert, a_record(NOW, key=None).is_current) == (True, False)


@pytest.mark.parametrize(("after", "left"), [(0.0, 30 + 5.0), (29.0, 1 + 5.0), (30 + 5.0, 0.0), (99.0, 0.0)])
def test_a_message_that_is_being_sent_is_waited_for_until_its_deadline_and_some_seconds_more(after, left):
    assert a_record(NOW + after).undecided_for == pytest.approx(left)
    assert a_record(NOW + after).is_overdue == (left == 0)


def test_no_clock_that_was_set_back_makes_that_longer_than_a_request_may_take():
    """It was started at most ten seconds before its slot."""
    assert a_record(NOW - 10).undecided_for == pytest.approx(30 + 5.0 + 10)
    assert a_record(NOW - 3600).undecided_for == pytest.approx(30 + 5.0 + 10)


@pytest.mark.parametrize(("after", "left"), [(-4.0, 4 + 1.0), (0.0, 1.0), (1.0, 0.0), (9.0, 0.0)])
def test_a_message_that_waits_is_waited_for_until_its_slot_is_surely_missed(after, left):
    record = a_record(NOW + after, state="reserved")
    assert record.undecided_for == pytest.approx(left)
    assert not record.is_overdue


@pytest.mark.parametrize("state", ["sent", "refused", "throttled", "in_doubt", "released", "unsent", "held_back"])
def test_what_has_an_end_is_not_waited_for(state):
    assert a_record(NOW, state=state).undecided_for == 0
    assert not a_record(NOW + 99, state=state).is_overdue


@pytest.mark.usefixtures("no_garbage_is_collected")
@pytest.mark.parametrize(
    ("detail", "found"), [('{"a": 1}', {"a": 1}), ("", {}), ("[1]", {}), ("null", {}), ("[" * 100_000, {})]
)
def test_a_detail_that_somebody_tampered_with_says_nothing(detail, found):
    assert a_record(NOW, detail=detail).outcome == found


TAMPERED = ["\ud800", "a\nb", "\x1b[2J", "\u202e", "x" * 1_000_000]


@pytest.mark.parametrize("name", ["settled_by", "result_description"])
@pytest.mark.parametrize("value", TAMPERED, ids=lambda value: ascii(value[:9]))
def test_a_reason_that_somebody_tampered_with_is_one_short_line(name, value):
    reason = a_record(NOW, state="sent", detail=json.dumps({name: value})).reason
    assert len(reason) <= 300
    assert not reason or reason.isprintable()
