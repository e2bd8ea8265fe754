import json
import time
from urllib.error import HTTPError

import pytest

from airflow_provider_dialogtech.sandbox.faults import NAMES
from tests.sandbox.calling import begin, call, read


def recorded(sandbox):
    return [(arrival["outcome"], arrival["fault"]) for arrival in sandbox.messages()]


def wait_for_arrival(sandbox):
    while not sandbox.messages():
        time.sleep(0.01)


@pytest.mark.parametrize(("fault", "outcome"), [("reset_before_accept", "lost"), ("reset_after_accept", "accepted")])
def test_a_reset_is_a_tcp_reset_and_recorded_with_the_outcome(sandbox, fault, outcome):
    sandbox.fault(fault, times=1)
    assert call(sandbox).is_reset
    assert recorded(sandbox) == [(outcome, fault)]


@pytest.mark.parametrize(("fault", "outcome"), [("hang_before_accept", "lost"), ("hang_after_accept", "accepted")])
def test_a_hang_is_recorded_at_once_and_never_answers(sandbox, fault, outcome):
    sandbox.fault(fault, times=1)
    with begin(sandbox) as connection:
        wait_for_arrival(sandbox)
        assert recorded(sandbox) == [(outcome, fault)]
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert call(sandbox, from_=sandbox.numbers[1]).result == "success"


@pytest.mark.parametrize(("fault", "outcome"), [("error_before_accept", "lost"), ("error_after_accept", "accepted")])
@pytest.mark.parametrize(("settings", "status"), [({}, 502), ({"status": 503}, 503)])
def test_an_error_has_the_requested_status(sandbox, fault, outcome, settings, status):
    sandbox.fault(fault, times=1, **settings)
    answer = call(sandbox)
    assert (answer.status, b"<response>" in answer.body) == (status, False)
    assert recorded(sandbox) == [(outcome, fault)]


def test_late_is_recorded_at_once_and_answered_late(sandbox):
    sandbox.fault("late", times=1, seconds=0.4)
    assert call(sandbox).result == "success"
    answered = time.monotonic()
    (arrival,) = sandbox.messages()
    assert answered - arrival["monotonic"] >= 0.4
    assert recorded(sandbox) == [("accepted", "late")]


def test_garbage_is_not_the_vendor_s_xml(sandbox):
    sandbox.fault("garbage_after_accept", times=1)
    answer = call(sandbox)
    assert (answer.status, b"<result>" in answer.body) == (200, False)
    assert recorded(sandbox) == [("accepted", "garbage_after_accept")]


def test_a_truncated_reply_is_the_first_half_of_one(sandbox):
    whole = call(sandbox).body
    sandbox.fault("truncated_after_accept", times=1)
    cut = call(sandbox, from_=sandbox.numbers[1]).body
    assert cut
    assert whole.startswith(cut)
    assert len(cut) < len(whole)
    assert recorded(sandbox)[1] == ("accepted", "truncated_after_accept")


def test_a_success_can_report_no_message(sandbox):
    sandbox.fault("zero_count", times=1)
    answer = call(sandbox)
    assert (answer.result, answer.description) == ("success", "[0] Message Sent")


def test_a_refusal_has_the_requested_description_and_status(sandbox):
    sandbox.fault("refused", times=1, description="No <such> number", status=400)
    answer = call(sandbox)
    assert (answer.status, answer.result, answer.description) == (400, "failed", "No &lt;such&gt; number")
    assert recorded(sandbox) == [("refused", "refused")]


def test_throttling_has_the_requested_description_status_and_header(sandbox):
    sandbox.fault("throttled", times=1, description="Slow down", status=429, retry_after=7)
    answer = call(sandbox)
    assert (answer.status, answer.result, answer.description) == (429, "failed", "Slow down")
    assert "retry-after: 7" in answer.head.lower()
    assert recorded(sandbox) == [("throttled", "throttled")]


@pytest.mark.parametrize("fault", ["refused", "throttled", "reset_before_accept", "error_before_accept"])
def test_a_message_that_a_fault_stops_does_not_count(sandbox, fault):
    sandbox.fault(fault, times=1)
    call(sandbox)
    assert call(sandbox).result == "success"


def test_a_fault_happens_as_often_as_requested(sandbox):
    sandbox.fault("refused", times=2)
    assert [call(sandbox).result for _ in range(3)] == ["failed", "failed", "success"]


def test_a_fault_without_times_stays_until_it_is_cleared(sandbox):
    sandbox.fault("refused")
    assert [call(sandbox).result for _ in range(3)] == ["failed"] * 3
    sandbox.clear_faults()
    assert call(sandbox).result == "success"


def test_a_fault_happens_only_to_the_numbers_it_names(sandbox):
    sandbox.fault("refused", to="5556660000")
    sandbox.fault("zero_count", number=sandbox.numbers[1])
    assert call(sandbox).description == "[1] Message Sent"
    assert call(sandbox, from_=sandbox.numbers[1]).description == "[0] Message Sent"
    assert call(sandbox, to="5556660000").result == "failed"


def test_faults_happen_in_the_order_of_their_requests(sandbox):
    sandbox.fault("throttled", times=1)
    sandbox.fault("zero_count", times=1)
    assert [call(sandbox).description for _ in range(2)] == ["Rate limit reached", "[0] Message Sent"]


def test_a_fault_after_accepting_waits_for_an_accepted_message(sandbox):
    sandbox.fault("reset_after_accept", times=1)
    assert call(sandbox, message="x" * 257).result == "failed"
    assert call(sandbox).is_reset
    assert recorded(sandbox) == [("refused", None), ("accepted", "reset_after_accept")]


def test_faults_apply_to_messages_only(sandbox):
    sandbox.fault("reset_before_accept")
    assert call(sandbox, action="sms.get_numbers").result == "success"
    assert call(sandbox, secret_access_key="wrong").result == "failed"


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("explode", {}, ", ".join(NAMES)),
        (["late"], {}, "Unknown fault"),
        ("late", {"delay": 3}, "Unknown setting: delay"),
        ("late", {"seconds": -1}, "seconds must be"),
        ("late", {"seconds": "3"}, "seconds must be"),
        ("late", {"times": 0}, "times must be"),
        ("late", {"times": True}, "times must be"),
        ("late", {"to": 5556667777}, "to must be"),
        ("late", {"number": "(555) 433-2111"}, "number must be"),
        ("error_after_accept", {"status": 99}, "status must be"),
        ("error_after_accept", {"status": 204}, "status must be"),
        ("refused", {"description": 7}, "description must be"),
        ("refused", {"description": "\ud800"}, "description must be"),
        ("throttled", {"retry_after": "1\r\nX: y"}, "retry_after must be"),
    ],
)
def test_an_invalid_fault_is_refused_with_the_problem_and_does_not_happen(sandbox, name, settings, words):
    with pytest.raises(HTTPError, match="400") as refusal:
        sandbox.fault(name, **settings)
    with refusal.value as answer:
        assert words in json.load(answer)["error"]
    assert call(sandbox).result == "success"


def test_an_abandoned_connection_does_not_disturb_the_next(sandbox):
    sandbox.fault("hang_after_accept", times=1)
    begin(sandbox).close()
    wait_for_arrival(sandbox)
    with begin(sandbox, from_=sandbox.numbers[1]) as connection:
        assert read(connection).result == "success"
