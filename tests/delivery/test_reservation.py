"""What a reservation decides, from the journal's answer alone."""

import json
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.delivery import statements
from airflow_provider_dialogtech.delivery.limits import LONGEST_WINDOW, SHORT_MARGIN, RateLimits
from airflow_provider_dialogtech.delivery.line import MOST_DISPLACED
from airflow_provider_dialogtech.delivery.records import ABANDONED, GRACE, Record, Reservation, SlotRequest
from airflow_provider_dialogtech.delivery.reservation import Planner
from airflow_provider_dialogtech.delivery.store import Reading
from airflow_provider_dialogtech.exceptions import InvalidMessage, WaitTooLong

NOW = 1_000_000.0
NUMBER, RECIPIENT = "5554332111", "5556667777"
SECOND = 1 + SHORT_MARGIN


def a_planner(*, to=RECIPIENT, is_alert=False, **options) -> Planner:
    request = SlotRequest("key", (NUMBER,), to, "Hello", is_alert)
    return Planner(request, "account", RateLimits(), owner="ours", **options)


def a_row(id_=1, *, state="reserved", at=NOW + 5, **columns):
    number = a_planner().name_of(NUMBER)
    usual = {"account": "account", "number": number, "owner": "theirs", "digest": "d", "recipient_tail": "7777"}
    times = {"deadline": at + 30, "created": min(at, NOW)}
    rest = {"recipient": a_planner().request.recipient_digest, "detail": "{}", "displaced": 0, "priority": 0}
    return {"id": id_, "state": state, "at": at, **usual, **times, **rest, **columns}


def plan(planner, *line, text=None, account=None, head_start=0.1, ahead=0.0):
    answer = SimpleNamespace(
        next_id=100,
        line=json.dumps([[row[name] for name in statements.LINE_COLUMNS] for row in line]),
        text=json.dumps([[text[name] for name in statements.KEY_COLUMNS]] if text else []),
        account=json.dumps([account] if account else []),
    )
    found, writes = planner.plan(answer, Reading(NOW, 50.0, 0.01, ahead), head_start)
    return found, [(write.sql, dict(write.values)) for write in writes]


@pytest.mark.parametrize(("max_wait", "is_taken"), [(1.0, True), (0.8, False)])
def test_the_time_that_the_steps_take_is_no_waiting(max_wait, is_taken):
    """A slot 1.4 s away, of which 0.5 s are needed to reserve and start it anyway."""
    busy = a_row(1, at=NOW + 1.4 - SECOND)
    found, writes = plan(a_planner(max_wait=max_wait), busy, head_start=0.5)
    if is_taken:
        assert found.at == pytest.approx(NOW + 1.4)
    else:
        assert isinstance(found, WaitTooLong)
        assert found.sendable_at.timestamp() == pytest.approx(NOW + 1.4)
        assert writes == []


def sql_of(writes):
    return [sql for sql, _ in writes]


def test_its_own_reservation_is_recognised_and_nothing_is_written_twice():
    found, writes = plan(a_planner(), text=a_row(7, owner="ours"))
    assert (found.id, found.at, found.due, writes) == (7, NOW + 5, 55.0, [])


@pytest.mark.parametrize("silent_for", [-1.0, 1.0])
def test_a_text_of_a_process_that_is_gone_is_in_doubt_only_after_its_deadline(silent_for):
    text = a_row(state="sending", at=NOW - 40, deadline=NOW - GRACE - silent_for)
    found, writes = plan(a_planner(), text=text)
    assert isinstance(found, Record)
    assert found.state == ("sending" if silent_for < 0 else "in_doubt")
    assert sql_of(writes) == ([] if silent_for < 0 else [statements.DOUBT])


@pytest.mark.parametrize("state", ["refused", "throttled", "released"])
def test_what_was_not_sent_gives_its_key_to_a_new_row(state):
    found, writes = plan(a_planner(), text=a_row(7, state=state))
    assert isinstance(found, Reservation)
    assert sql_of(writes) == [statements.TAKE_KEY, statements.INSERT]
    assert writes[0][1] == {"of_id": 7, "of_owner": "theirs", "in_state": state}


@pytest.mark.parametrize("columns", [{}, {"recipient": ""}])
def test_a_key_of_a_text_to_somebody_else_is_an_error_also_for_a_row_of_the_first_release(columns):
    found, _ = plan(a_planner(to="5556668888"), text=a_row(state="sent", **columns))
    assert isinstance(found, InvalidMessage)
    found, _ = plan(a_planner(), text=a_row(state="sent", **columns))
    assert isinstance(found, Record)


def test_a_text_that_was_displaced_twice_keeps_its_slot():
    for times, expected in ((MOST_DISPLACED - 1, [1]), (MOST_DISPLACED, [])):
        _, writes = plan(a_planner(is_alert=True), a_row(at=NOW + 0.1, displaced=times))
        assert [values["of_id"] for sql, values in writes if sql is statements.DISPLACE] == expected


def test_how_often_a_text_was_displaced_goes_with_it_to_its_next_row():
    _, writes = plan(a_planner(), text=a_row(state="released", displaced=1))
    assert writes[-1][1]["displaced"] == 1
    _, writes = plan(a_planner(), text=a_row(state="throttled", displaced=1))
    assert writes[-1][1]["displaced"] == 0


def test_what_was_released_or_abandoned_takes_no_place_and_what_waits_does():
    for row in (a_row(state="released", at=NOW + 0.1), a_row(at=NOW - ABANDONED - 0.1)):
        found, _ = plan(a_planner(), row, head_start=0.0)
        assert found.at == NOW
    found, _ = plan(a_planner(), a_row(at=NOW + 0.1), head_start=0.0)
    assert found.at == NOW + 0.1 + SECOND


def test_a_row_that_was_sent_long_ago_is_no_abandoned_reservation():
    rows = [a_row(id_, state="sent", at=NOW - 40 + id_) for id_ in range(36)]
    found, _ = plan(a_planner(), *rows, head_start=0.0)
    assert found.at == NOW - 40 + LONGEST_WINDOW


def test_after_the_clock_was_set_back_only_what_it_had_written_while_ahead_moves():
    before = a_row(1, state="sent", at=NOW - 10, created=NOW - 11)
    ahead = a_row(2, state="sent", at=NOW + 3599, created=NOW + 3600)
    found, writes = plan(a_planner(), before, ahead, head_start=0.0)
    assert writes[0] == (statements.SHIFT_LINE, {"of_account": "account", "by": 3600.0})
    assert found.at == pytest.approx(NOW - 1 + SECOND)
    # 40 texts before the step still count as what they are: ten seconds old.
    rows = [a_row(id_, state="sent", at=NOW - 10, created=NOW - 11) for id_ in range(36)]
    found, _ = plan(a_planner(), *rows, a_row(99, state="sent", at=NOW + 3599, created=NOW + 3600))
    assert found.at == pytest.approx(NOW - 10 + LONGEST_WINDOW)


def test_a_text_that_is_being_sent_moves_back_with_the_clock_that_started_it():
    text = a_row(2, state="sending", at=NOW + 3599, created=NOW + 3600, deadline=NOW + 3629)
    found, _ = plan(a_planner(), text, text=text)
    assert found.undecided_for == pytest.approx(29 + GRACE)


def test_a_clock_set_ahead_makes_the_account_wait_for_a_minute():
    found, writes = plan(a_planner(), account=[0.0, 0.0, 0.0], ahead=3600.0)
    assert found.at == NOW + LONGEST_WINDOW
    assert writes[0][0] is statements.PAUSE_UNTIL
    assert writes[0][1]["until"] == NOW + LONGEST_WINDOW


def test_a_pause_or_wider_windows_that_no_reply_can_have_set_are_void():
    found, writes = plan(a_planner(), account=[0.1, NOW + 3600, NOW + 3600])
    assert found.at == NOW + 0.1
    assert writes[0][1] == {"of_account": "account", "until": NOW, "widened": NOW + statements.WIDENED_FOR}
    found, writes = plan(a_planner(), account=[0.1, NOW + 30, NOW + 30])
    assert found.at == NOW + 30
    assert sql_of(writes) == [statements.INSERT]


def test_whoever_lost_its_text_to_another_process_leaves_it_there():
    ours = Reservation(1, "our first one", NUMBER, NOW + 1, 51.0)
    found, writes = plan(a_planner(after=ours), text=a_row(2))
    assert isinstance(found, Record)
    assert writes == []
    found, writes = plan(a_planner(), text=a_row(2))
    assert isinstance(found, Reservation)
    assert sql_of(writes) == [statements.TAKE_OVER, statements.INSERT]


def test_whoever_missed_its_slot_gives_it_back_and_is_not_in_its_own_way():
    ours = Reservation(1, "our first one", NUMBER, NOW + 0.2, 50.2)
    row = a_row(1, owner="our first one", at=NOW + 0.2)
    found, writes = plan(a_planner(after=ours), row, text=row)
    assert found.at == NOW + 0.1
    assert sql_of(writes) == [statements.RELEASE_OURS, statements.INSERT]


@pytest.mark.parametrize("at", [1e300, -1e300, float("nan"), float("inf"), "soon", None])
def test_a_time_that_is_none_is_the_first_of_all(at):
    record = Record(1, "owner", "in_doubt", "digest", "7777", {}, at, 0.0, 0.0)
    assert record.since.year == 1970
