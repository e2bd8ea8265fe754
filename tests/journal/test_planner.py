"""What a reservation decides, from the journal's answer alone."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.exceptions import InvalidMessage, WaitTooLong
from airflow_provider_dialogtech.journal import statements
from airflow_provider_dialogtech.journal.backend import ClockReadings, Reading
from airflow_provider_dialogtech.journal.limits import LONGEST_WINDOW, SHORT_MARGIN, RateLimits
from airflow_provider_dialogtech.journal.planner import Planner
from airflow_provider_dialogtech.journal.records import (
    ABANDONED,
    COLUMNS,
    GRACE,
    Origin,
    Record,
    Reservation,
    SlotRequest,
    number_name,
    stored_key,
)
from airflow_provider_dialogtech.journal.slots import MOST_DISPLACED
from airflow_provider_dialogtech.journal.states import State

NOW = 1_000_000.0
NUMBER, RECIPIENT = "5554332111", "5556667777"
SECOND = 1 + SHORT_MARGIN
HELD_BACK = SlotRequest("key", (NUMBER,), RECIPIENT, "Hello", is_held_back=True)


def a_planner(*, to=RECIPIENT, is_alert=False, **options) -> Planner:
    request = SlotRequest("key", (NUMBER,), to, "Hello", is_alert)
    return Planner(request.named("account"), RateLimits(), owner="ours", **options)


def a_row(id_=1, *, state="reserved", at=NOW + 5, **columns):
    number = number_name("account", NUMBER)
    usual = {"account": "account", "number": number, "owner": "theirs", "digest": "d", "recipient_tail": "7777"}
    times = {"deadline": at + 30, "created": min(at, NOW), "updated": min(at, NOW)}
    rest = {"recipient": a_planner().request.recipient, "detail": "{}", "displaced": 0, "priority": 0}
    rest |= {"key": "k", "dag_id": "", "run_id": "", "task_id": "", "map_index": -1, "loop_index": -1, "body_key": None}
    return {"id": id_, "state": state, "at": at, **usual, **times, **rest, **columns}


def an_account(*, margin=0.0, widened=0.0, paused=0.0, unknown=0.0, set_by=0.0):
    return [margin, widened, paused, unknown, set_by]


def reading_before(step):
    """Remember a reading of a minute ago, since when the clock was set by so many seconds."""
    readings = ClockReadings()
    readings.remember("account", Reading(NOW - 60 - step, -10.0, 0.01), 0.0)
    return readings


def plan(planner, *rows, left=(), earlier=None, account=None, head_start=0.1, step=None, answered_in=0.0):
    changing = json.dumps([[row[name] for name in statements.SLOT_COLUMNS] for row in rows])
    answer = SimpleNamespace(
        next_id=100,
        changing=changing,
        left=json.dumps([[number_name("account", NUMBER), json.dumps([round(1e6 * (NOW - at)) for at in left])]]),
        message=json.dumps([[earlier[name] for name in COLUMNS]] if earlier else []),
        account=json.dumps([account] if account else []),
        clock_set_by="[]",
    )
    planner = replace(planner, readings=ClockReadings() if step is None else reading_before(step))
    found, writes = planner.plan(answer, Reading(NOW, 50.0, 0.01, answered_in), head_start)
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


@pytest.mark.parametrize(("owner", "is_counted"), [("our first one", False), ("theirs", True)])
def test_a_message_that_did_not_leave_takes_no_place_in_the_minute_that_its_start_was_in(owner, is_counted):
    left = [NOW - 50 + n for n in range(36)]
    earlier = a_row(99, state="sending", at=left[20], deadline=NOW - GRACE - 1, owner=owner)
    found, _ = plan(a_planner(after="our first one", resend=True), left=left, earlier=earlier)
    assert found.at == pytest.approx(left[0] + LONGEST_WINDOW if is_counted else NOW + 0.1, abs=1e-5)


@pytest.mark.parametrize("state", ["reserved", "in_doubt", "throttled"])
def test_what_has_to_wait_too_long_takes_nothing_from_an_earlier_attempt(state):
    """Seen: it released the reservation of another process, and reserved nothing itself."""
    busy = [a_row(id_, state="sent", at=NOW - 40 + id_) for id_ in range(36)]
    found, writes = plan(a_planner(max_wait=1.0, resend=True), *busy, earlier=a_row(99, state=state, at=NOW + 10))
    assert isinstance(found, WaitTooLong)
    assert writes == []


def test_what_has_to_wait_too_long_still_says_that_an_earlier_attempt_is_in_doubt():
    busy = [a_row(id_, state="sent", at=NOW - 40 + id_) for id_ in range(36)]
    overdue = a_row(99, state="sending", at=NOW - 60, deadline=NOW - GRACE - 1)
    found, writes = plan(a_planner(max_wait=1.0, resend=True), *busy, earlier=overdue)
    assert isinstance(found, WaitTooLong)
    assert sql_of(writes) == [statements.DOUBT]


def sql_of(writes):
    return [sql for sql, _ in writes]


def test_its_own_reservation_is_recognised_and_nothing_is_written_twice():
    found, writes = plan(a_planner(), earlier=a_row(7, owner="ours"))
    assert (found.id, found.at, found.due, writes) == (7, NOW + 5, 55.0, [])


@pytest.mark.parametrize("silent_for", [-1.0, 1.0])
def test_a_message_of_a_process_that_is_gone_is_in_doubt_only_after_its_deadline(silent_for):
    text = a_row(state="sending", at=NOW - 40, deadline=NOW - GRACE - silent_for)
    found, writes = plan(a_planner(), earlier=text)
    assert isinstance(found, Record)
    assert found.state == ("sending" if silent_for < 0 else "in_doubt")
    assert sql_of(writes) == ([] if silent_for < 0 else [statements.DOUBT])


@pytest.mark.parametrize("state", ["refused", "throttled", "released"])
def test_what_was_not_sent_gives_its_key_to_a_new_row(state):
    found, writes = plan(a_planner(), earlier=a_row(7, state=state))
    assert isinstance(found, Reservation)
    assert sql_of(writes) == [statements.TAKE_KEY, statements.INSERT]
    assert writes[0][1] == {"of_id": 7, "of_owner": "theirs", "in_state": state}


def test_a_key_of_a_message_to_somebody_else_is_an_error():
    found, _ = plan(a_planner(to="5556668888"), earlier=a_row(state="sent"))
    assert isinstance(found, InvalidMessage)
    found, _ = plan(a_planner(), earlier=a_row(state="sent"))
    assert isinstance(found, Record)


def test_a_message_that_was_displaced_twice_keeps_its_slot():
    for times, expected in ((MOST_DISPLACED - 1, [1]), (MOST_DISPLACED, [])):
        _, writes = plan(a_planner(is_alert=True), a_row(at=NOW + 0.1, displaced=times))
        assert [values["of_id"] for sql, values in writes if sql is statements.DISPLACE] == expected


def test_how_often_a_message_was_displaced_goes_with_it_to_its_next_row():
    _, writes = plan(a_planner(), earlier=a_row(state="released", displaced=1))
    assert writes[-1][1]["displaced"] == 1
    _, writes = plan(a_planner(), earlier=a_row(state="throttled", displaced=1))
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
    assert writes[0] == (statements.SHIFT_BACK, {"of_account": "account", "by": 3600.0})
    assert found.at == pytest.approx(NOW - 1 + SECOND)
    # 40 messages before the step still count as what they are: ten seconds old.
    rows = [a_row(id_, state="sent", at=NOW - 10, created=NOW - 11) for id_ in range(36)]
    found, _ = plan(a_planner(), *rows, a_row(99, state="sent", at=NOW + 3599, created=NOW + 3600))
    assert found.at == pytest.approx(NOW - 10 + LONGEST_WINDOW)


def test_a_message_that_is_being_sent_moves_back_with_the_clock_that_started_it():
    text = a_row(2, state="sending", at=NOW + 3599, created=NOW + 3600, deadline=NOW + 3629)
    found, _ = plan(a_planner(), text, earlier=text)
    assert found.undecided_for == pytest.approx(29 + GRACE)


def test_a_clock_set_ahead_makes_the_account_wait_for_a_minute():
    found, writes = plan(a_planner(), account=an_account(set_by=-5.0), step=3595.0)
    assert found is None  # the messages are read again, once they are moved
    assert sql_of(writes) == [statements.SHIFT_AHEAD, statements.ENSURE_ACCOUNT, statements.CORRECT_ACCOUNT]
    assert (writes[2][1]["unknown"], writes[2][1]["set_by"]) == (NOW + LONGEST_WINDOW, pytest.approx(3595.0))
    assert plan(a_planner(), account=an_account(unknown=NOW + LONGEST_WINDOW))[0].at == NOW + LONGEST_WINDOW


@pytest.mark.parametrize(("step", "waits"), [(1.0, False), (1.1, True)])
def test_after_a_step_of_a_second_it_is_enough_to_move_the_messages(step, waits):
    found, writes = plan(a_planner(), account=an_account(), step=step)
    assert found is None
    assert writes[0] == (statements.SHIFT_AHEAD, {"of_account": "account", "by": pytest.approx(step)})
    assert (writes[2][1]["unknown"] > NOW) == waits


def test_a_step_that_another_process_has_noted_is_noted_no_more():
    found, writes = plan(a_planner(), account=an_account(unknown=NOW + 20, set_by=3600.0), step=3600.0)
    assert found.at == NOW + 20
    assert sql_of(writes) == [statements.INSERT]


@pytest.mark.parametrize(("unknown", "corrected"), [(20.0, 25.0), (4.0, LONGEST_WINDOW)])
def test_what_another_process_has_noted_too_little_of_prolongs_the_pause_by_the_rest(unknown, corrected):
    """It knew the clock only from messages in the future. Where the pause ends, some may have been started already."""
    _, writes = plan(a_planner(), account=an_account(unknown=NOW + unknown, set_by=3595.0), step=3600.0)
    assert (writes[2][1]["unknown"], writes[2][1]["set_by"]) == pytest.approx((NOW + corrected, 3600.0))


def test_a_step_back_that_only_other_processes_saw_is_noticed_once_the_clock_is_right_again():
    _, writes = plan(a_planner(), account=an_account(set_by=-3595.0), step=0.0)
    assert writes[2][1]["unknown"] == NOW + LONGEST_WINDOW
    assert writes[2][1]["set_by"] == pytest.approx(0.0)


@pytest.mark.parametrize(("step", "set_by"), [(None, -3595.0), (-3600.0, -3600.0), (0.0, 0.0)])
def test_a_step_back_is_noted_as_the_process_knows_it_and_else_as_the_messages_show_it(step, set_by):
    """Where this process's clock went on evenly, another one has written them while it was ahead."""
    ahead = a_row(2, state="sent", at=NOW + 3595, created=NOW + 3595)
    _, writes = plan(a_planner(), ahead, step=step)
    noted = [values["set_by"] for sql, values in writes if sql is statements.CORRECT_ACCOUNT]
    assert noted == ([pytest.approx(set_by)] if set_by else [])


@pytest.mark.parametrize(
    ("planner", "earlier"),
    [
        (a_planner(), a_row(7, state="sent")),
        (a_planner(), a_row(7, owner="ours")),
        (a_planner(max_wait=1.0), None),
        (
            Planner(
                SlotRequest("k", (NUMBER,), RECIPIENT, "x", is_held_back=True).named("account"), RateLimits(), "ours"
            ),
            None,
        ),
    ],
    ids=["already sent", "reserved before", "too long to wait", "held back"],
)
def test_a_clock_set_ahead_is_noted_whatever_else_is_decided(planner, earlier):
    _, writes = plan(planner, earlier=earlier, step=3600.0)
    assert sql_of(writes)[:3] == [statements.SHIFT_AHEAD, statements.ENSURE_ACCOUNT, statements.CORRECT_ACCOUNT]


def test_an_alert_heeds_a_pause_for_as_long_as_it_can():
    paused = an_account(paused=NOW + 60)
    assert plan(a_planner(is_alert=True, longest_pause=2.0), account=paused)[0].at == NOW + 2
    assert plan(a_planner(is_alert=True, longest_pause=2.0), account=an_account(paused=NOW + 1))[0].at == NOW + 1
    assert plan(a_planner(), account=paused)[0].at == NOW + 60


@pytest.mark.parametrize(("ago", "seconds"), [(0.0, 1.6), (1.0, 0.6), (1.5, 0.1), (60.0, 0.1)])
def test_an_alert_waits_for_hardly_more_than_a_second_after_the_clock_was_set_ahead(ago, seconds):
    account = an_account(unknown=NOW + LONGEST_WINDOW - ago)
    assert plan(a_planner(is_alert=True), account=account)[0].at == pytest.approx(NOW + seconds)


def test_in_the_minute_after_the_clock_was_set_ahead_alerts_keep_to_their_reserve():
    """What left before may not be known."""
    account = an_account(unknown=NOW + LONGEST_WINDOW - 20)
    before = [a_row(id_, state="sent", at=NOW - 25 - id_, priority=1) for id_ in range(4)]
    alerts = [a_row(10 + id_, state="sent", at=NOW - 15 + id_, priority=1) for id_ in range(4)]
    for rows, at in ((alerts[:3], NOW + 0.1), (alerts, NOW - 15 + LONGEST_WINDOW)):
        assert plan(a_planner(is_alert=True), *before, *rows, account=account)[0].at == pytest.approx(at)
    found, _ = plan(a_planner(), *before, *alerts, account=account)
    assert found.at == NOW + LONGEST_WINDOW - 20
    no_reserve = replace(a_planner(is_alert=True), limits=RateLimits(alert_reserve=0))
    assert plan(no_reserve, account=account)[0].at == NOW + LONGEST_WINDOW - 20


def test_an_alert_asks_anew_for_what_a_clock_that_was_set_ahead_had_hidden():
    found, writes = plan(a_planner(is_alert=True), account=an_account(), step=3600.0)
    assert found is None
    assert sql_of(writes) == [statements.SHIFT_AHEAD, statements.ENSURE_ACCOUNT, statements.CORRECT_ACCOUNT]
    assert writes[0][1]["by"] == pytest.approx(3600.0)


def test_a_clock_that_was_set_ahead_and_back_makes_the_account_wait_for_a_minute_all_the_same():
    """Seen: set back by 3 s, what the clock set ahead had hidden was taken for known."""
    for unknown in (NOW + LONGEST_WINDOW + 3, NOW + 3600):
        found, writes = plan(a_planner(), account=an_account(unknown=unknown))
        assert found.at == NOW + LONGEST_WINDOW
        assert writes[1][1]["unknown"] == NOW + LONGEST_WINDOW


def test_a_row_that_is_written_anew_notes_that_the_clock_was_set_ahead():
    held = Reservation(1, "ours", number_name("account", NUMBER), NOW - 3605, 45.0)
    answer = SimpleNamespace(next_id=100, changing="[]", left="[]", message="[]", account="[]", clock_set_by="[]")
    planner = a_planner(readings=reading_before(3600.0))
    writes = planner.restore(answer, Reading(NOW, 50.0, 0.01), State.SENT, "{}", held)
    assert [write.sql for write in writes] == [
        statements.SHIFT_AHEAD,
        statements.ENSURE_ACCOUNT,
        statements.CORRECT_ACCOUNT,
        statements.INSERT,
    ]
    assert writes[-1].values["at"] == NOW - 5


def test_a_message_that_waited_long_for_its_slot_moves_back_with_the_clock_it_left_by():
    """It was reserved a minute ago, so only its slot tells that it was written by the clock that was ahead."""
    left = a_row(1, state="sent", at=NOW + 30, created=NOW - 20, updated=NOW + 30)
    out = a_row(2, state="sending", at=NOW + 29, created=NOW - 20, updated=NOW + 29)
    found, writes = plan(a_planner(), left, out, head_start=0.0)
    by = 30 - statements.LEFT_EARLY
    assert writes[0] == (statements.SHIFT_BACK, {"of_account": "account", "by": by})
    assert found.at == pytest.approx(NOW + statements.LEFT_EARLY + SECOND)


def test_what_is_about_to_leave_and_what_has_just_left_are_no_sign_of_a_clock_that_was_set():
    rows = [a_row(1, state="sending", at=NOW + 9, created=NOW - 20, updated=NOW)]
    rows.append(a_row(2, state="sent", at=NOW + 0.1, created=NOW - 20, updated=NOW))
    rows.append(a_row(3, at=NOW + 50, created=NOW - 20, updated=NOW - 20))
    _, writes = plan(a_planner(), *rows)
    assert statements.SHIFT_BACK not in sql_of(writes)


def test_a_pause_or_wider_windows_that_no_reply_can_have_set_are_void():
    found, writes = plan(a_planner(), account=an_account(margin=0.1, widened=NOW + 3600, paused=NOW + 3600))
    assert found.at == NOW + 0.1
    widened = NOW + statements.WIDENED_FOR
    assert writes[1][1] == {"of_account": "account", "paused": NOW, "unknown": 0.0, "widened": widened, "set_by": 0.0}
    found, writes = plan(a_planner(), account=an_account(margin=0.1, widened=NOW + 30, paused=NOW + 30))
    assert found.at == NOW + 30
    assert sql_of(writes) == [statements.INSERT]


def test_whoever_lost_its_message_to_another_process_leaves_it_there():
    ours = Reservation(1, "our first one", NUMBER, NOW + 1, 51.0)
    found, writes = plan(a_planner(after=ours.owner), earlier=a_row(2))
    assert isinstance(found, Record)
    assert writes == []
    found, writes = plan(a_planner(), earlier=a_row(2))
    assert isinstance(found, Reservation)
    assert sql_of(writes) == [statements.TAKE_OVER, statements.INSERT]


def test_whoever_missed_its_slot_gives_it_back_and_is_not_in_its_own_way():
    ours = Reservation(1, "our first one", NUMBER, NOW + 0.2, 50.2)
    row = a_row(1, owner="our first one", at=NOW + 0.2)
    found, writes = plan(a_planner(after=ours.owner), row, earlier=row)
    assert found.at == NOW + 0.1
    assert sql_of(writes) == [statements.RELEASE_OURS, statements.INSERT]


def test_a_reserved_message_keeps_its_slot_where_a_neighbour_is_too_close_by_a_rounding_error():
    row = a_row(1, at=NOW + 5)
    too_close = [a_row(2, at=NOW + 5 + SECOND - 1e-6), a_row(3, at=NOW + 5 - SECOND), a_row(4, at=NOW + 3.5)]
    too_close += [a_row(10 + n, at=NOW + n) for n in range(4)]
    found, writes = plan(a_planner(), row, *too_close, earlier=row, head_start=0.0)
    assert found.at == NOW + 5
    assert sql_of(writes) == [statements.TAKE_OVER, statements.INSERT]
    # An earlier slot is better, and one that is too soon cannot be used.
    assert plan(a_planner(), row, earlier=row, head_start=0.0)[0].at == NOW
    assert plan(a_planner(), row, *too_close, earlier=row, head_start=5.5)[0].at > NOW + 5.5


@pytest.mark.parametrize("at", [1e300, -1e300, float("nan"), float("inf"), "soon", None])
def test_a_time_that_is_none_is_the_first_of_all(at):
    row = a_row(state="in_doubt") | {"at": at}
    assert Record.of([*(row[name] for name in COLUMNS), NOW]).when.year == 1970


def test_a_reservation_writes_down_all_that_the_message_needs():
    request = SlotRequest(
        "key", (NUMBER,), RECIPIENT, "Hello", is_alert=True, origin=Origin("etl", "manual__1", "load", 3, 2)
    )
    planner = Planner(request.named("account"), RateLimits(), owner="ours", namespace="production")
    found, writes = plan(planner)
    assert (found.id, found.owner, found.number, found.at) == (100, "ours", number_name("account", NUMBER), NOW + 0.1)
    assert found.due == pytest.approx(50.1)
    assert writes == [
        (
            statements.INSERT,
            {
                "id": 100,
                "account": "account",
                "number": number_name("account", NUMBER),
                "at": NOW + 0.1,
                "state": "reserved",
                "key": stored_key("key"),
                "owner": "ours",
                "digest": planner.request.digest,
                "recipient": planner.request.recipient,
                "recipient_tail": "7777",
                "detail": "{}",
                "deadline": NOW + 0.1,
                "updated": NOW,
                "created": NOW,
                "priority": 1,
                "displaced": 0,
                "dag_id": "etl",
                "run_id": "manual__1",
                "task_id": "load",
                "map_index": 3,
                "loop_index": 2,
                "body_key": None,
                "namespace": "production",
            },
        )
    ]


def plan_by_body(*earlier, **options):
    """Plan a mapped instance's message, whose key is "key" and whose body key is "body"."""
    request = SlotRequest("key", (NUMBER,), RECIPIENT, "Hello", body_key="body")
    planner = Planner(request.named("account"), RateLimits(), owner="ours", **options)
    message = json.dumps([[row[name] for name in COLUMNS] for row in earlier])
    answer = SimpleNamespace(next_id=100, changing="[]", left="[]", message=message, account="[]", clock_set_by="[]")
    return planner, answer


SAME_INSTANCE = a_row(1, state="sent", key=stored_key("key"), body_key="another body")


@pytest.mark.parametrize("rows", [(SAME_INSTANCE, "same body"), ("same body", SAME_INSTANCE), ("same body",)])
@pytest.mark.parametrize("state", ["sent", "sending", "in_doubt"])
def test_the_same_body_from_another_instance_is_the_same_message(state, rows):
    same_body = a_row(2, state=state, key="of the other instance", body_key="body")
    planner, answer = plan_by_body(*(same_body if row == "same body" else row for row in rows))
    found, writes = planner.plan(answer, Reading(NOW, 50.0, 0.01), 0.1)
    assert (found.id, found.state, writes) == (2, state, [])


@pytest.mark.parametrize("state", ["refused", "reserved"])
def test_a_body_that_another_instance_has_not_sent_is_sent_under_its_key(state):
    planner, answer = plan_by_body(SAME_INSTANCE, a_row(2, state=state, key="of the other instance", body_key="body"))
    found, writes = planner.plan(answer, Reading(NOW, 50.0, 0.01), 0.1)
    assert isinstance(found, Reservation)
    assert writes[0].values["of_id"] == 2
    assert (writes[1].values["key"], writes[1].values["body_key"]) == ("of the other instance", "body")


def test_a_row_that_the_journal_has_lost_gets_the_key_of_the_instance_that_tried_again():
    planner, answer = plan_by_body(a_row(2, state="released", key="of the other instance", body_key="body"))
    held = Reservation(1, "ours", number_name("account", NUMBER), NOW - 5, 45.0)
    freed, insert = planner.restore(answer, Reading(NOW, 50.0, 0.01), State.SENT, "{}", held)
    assert (freed.values["of_id"], insert.values["key"]) == (2, "of the other instance")
    freed, given = planner.take_key_back(answer, Reading(NOW, 50.0, 0.01), held)
    assert (freed.values["of_id"], given.values["of_key"]) == (2, "of the other instance")


def test_a_message_that_is_held_back_is_written_down_without_a_slot():
    request = SlotRequest("key", (NUMBER,), RECIPIENT, "Hello", is_held_back=True)
    planner = Planner(request.named("account"), RateLimits(), owner="ours")
    found, writes = plan(planner, a_row(at=NOW + 0.1))
    assert (found.id, found.state, found.at) == (100, "held_back", NOW)
    assert sql_of(writes) == [statements.INSERT]
    assert (writes[0][1]["at"], writes[0][1]["state"], writes[0][1]["priority"]) == (NOW, "held_back", 0)
    again, writes = plan(planner, earlier=a_row(7, state="held_back", at=NOW, owner="ours"))
    assert (again.id, again.state, writes) == (7, "held_back", [])


def test_the_number_whose_slot_comes_first_is_taken():
    request = SlotRequest("key", (NUMBER, "5554332112"), RECIPIENT, "Hello")
    planner = Planner(request.named("account"), RateLimits(), owner="ours")
    found, _ = plan(planner, a_row(at=NOW))
    assert (found.number, found.at) == (number_name("account", "5554332112"), NOW + 0.1)
    other = a_row(7, owner="ours", number=number_name("account", "5554332112"))
    assert plan(planner, earlier=other)[0].number == number_name("account", "5554332112")


@pytest.mark.parametrize(("created", "is_shifted"), [(NOW + 0.0105, False), (NOW + 0.012, True)])
def test_no_clock_was_set_where_a_message_was_written_while_the_question_was_answered(created, is_shifted):
    _, writes = plan(a_planner(), a_row(state="sent", at=NOW, created=created), answered_in=0.01)
    assert (statements.SHIFT_BACK in sql_of(writes)) == is_shifted


def test_the_time_that_the_answer_took_in_the_journal_is_over_before_the_slot():
    found, _ = plan(a_planner(max_wait=0.0), answered_in=3.0)
    assert found.at == NOW + 3.1
    assert found.due == pytest.approx(53.1)


def test_what_was_written_at_this_very_moment_stays_where_it_is_when_the_clock_was_set_back():
    at_once = a_row(1, state="sent", at=NOW, created=NOW)
    ahead = a_row(2, state="sent", at=NOW + 100, created=NOW + 100)
    found, _ = plan(a_planner(), at_once, ahead, head_start=0.0)
    assert found.at == pytest.approx(NOW + SECOND)


def test_a_message_of_another_account_does_not_move_with_this_ones_clock():
    ahead = a_row(2, state="sent", at=NOW + 100, created=NOW + 100)
    text = a_row(3, state="sending", at=NOW + 100, created=NOW + 100, deadline=NOW + 130, account="another")
    found, _ = plan(a_planner(), ahead, earlier=text)
    assert found.undecided_for == pytest.approx(30 + GRACE + 10)


@pytest.mark.parametrize(
    ("state", "resend", "is_taken"),
    [
        ("sent", True, False),
        ("sending", True, False),
        ("in_doubt", True, True),
        ("in_doubt", False, False),
        ("unsent", False, True),
    ],
)
def test_only_what_is_in_doubt_is_sent_again_and_only_where_a_person_says_so(state, resend, is_taken):
    found, writes = plan(a_planner(resend=resend), earlier=a_row(state=state, at=NOW - 1))
    assert isinstance(found, Reservation) == is_taken
    assert (statements.TAKE_KEY in sql_of(writes)) == is_taken


@pytest.mark.parametrize("state", ["sent", "refused", "throttled", "unsent", "held_back"])
def test_what_has_an_outcome_is_no_slot_to_give_back(state):
    ours = Reservation(1, "our first one", NUMBER, NOW + 0.2, 50.2)
    _, writes = plan(a_planner(after=ours.owner), earlier=a_row(1, owner="our first one", state=state))
    assert statements.RELEASE_OURS not in sql_of(writes)


@pytest.mark.parametrize("state", ["reserved", "sending", "in_doubt", "released"])
def test_what_has_not_left_is_given_back_by_its_owner(state):
    ours = Reservation(1, "our first one", NUMBER, NOW + 0.2, 50.2)
    found, writes = plan(a_planner(after=ours.owner), earlier=a_row(1, owner="our first one", state=state))
    assert isinstance(found, Reservation)
    assert writes[0] == (statements.RELEASE_OURS, {"of_id": 1, "of_owner": "our first one"})


def test_a_waiting_message_of_a_process_that_is_gone_is_taken_over_also_after_a_lost_slot():
    ours = Reservation(1, "our first one", NUMBER, NOW + 1, 51.0)
    found, writes = plan(a_planner(after=ours.owner), earlier=a_row(2, at=NOW - ABANDONED))
    assert isinstance(found, Reservation)
    assert sql_of(writes) == [statements.TAKE_OVER, statements.INSERT]


def test_alerts_neither_move_alerts_nor_what_is_being_sent():
    for row in (a_row(at=NOW + 0.1, priority=1), a_row(at=NOW + 0.1, state="sending")):
        found, writes = plan(a_planner(is_alert=True), row, head_start=0.0)
        assert sql_of(writes) == [statements.INSERT]
        assert found.at == NOW + 0.1 + SECOND


@pytest.mark.parametrize(("widened_until", "at"), [(NOW, NOW + SECOND), (NOW + 1, NOW + SECOND + 0.2)])
def test_windows_are_wider_as_long_as_they_are_said_to_be(widened_until, at):
    found, _ = plan(a_planner(), a_row(at=NOW), account=an_account(margin=0.2, widened=widened_until), head_start=0.0)
    assert found.at == pytest.approx(at)


@pytest.mark.parametrize(("paused_until", "is_void"), [(NOW + LONGEST_WINDOW, False), (NOW + LONGEST_WINDOW + 1, True)])
def test_a_pause_of_a_minute_holds(paused_until, is_void):
    found, writes = plan(a_planner(), account=an_account(paused=paused_until))
    assert found.at == (NOW + 0.1 if is_void else paused_until)
    assert (statements.CORRECT_ACCOUNT in sql_of(writes)) == is_void
