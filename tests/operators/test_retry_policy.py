from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="retry policies came with Airflow 3.3")
from airflow.sdk.definitions.retry_policy import RetryAction

from airflow_provider_dialogtech.exceptions import (
    InDoubt,
    InvalidMessage,
    JournalUnavailable,
    Throttled,
    Unreachable,
    WaitTooLong,
)
from airflow_provider_dialogtech.operators.retry_policy import DialogTechRetryPolicy
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

# Airflow 3.4 can reschedule a task.
AGAIN = getattr(RetryAction, "RESCHEDULE", RetryAction.RETRY)


def decision_of(error, **options):
    return DialogTechRetryPolicy(**options).evaluate(error, try_number=1, max_tries=3)


def late(**later):
    return WaitTooLong(sendable_at=datetime.now(timezone.utc) + timedelta(**later))


def test_the_task_of_a_message_that_waits_too_long_runs_again_when_it_may_be_sent():
    decision = decision_of(late(minutes=5))
    assert decision.action is AGAIN
    assert timedelta(minutes=4) < decision.retry_delay <= timedelta(minutes=5)
    assert "no slot within max_wait" in decision.reason


def test_the_task_of_a_throttled_message_runs_again_when_the_vendor_says():
    decision = decision_of(Throttled(retry_after=90.0))
    assert (decision.action, decision.retry_delay) == (AGAIN, timedelta(seconds=90))


def test_a_task_whose_account_must_pause_runs_again_after_the_pause(sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": "5554332111"})
    sandbox.fault("throttled", times=1, retry_after=45)
    task = DialogTechSendSmsOperator(task_id="send", to="5556667777", message="Hi", max_wait=5)
    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="send", map_index=-1)
    with pytest.raises(WaitTooLong) as raised:
        task.execute({"ti": ti, "run_id": "run"})
    decision = decision_of(raised.value)
    assert decision.action is AGAIN
    assert timedelta(seconds=30) < decision.retry_delay <= timedelta(seconds=46)
    assert sandbox.accepted() == []


@pytest.mark.parametrize("error", [late(seconds=2), late(seconds=-60), Throttled(retry_after=0.0)], ids=repr)
def test_it_does_not_run_again_within_30_seconds(error):
    assert decision_of(error).retry_delay == timedelta(seconds=30)


@pytest.mark.parametrize(
    "error",
    [WaitTooLong(), Throttled(), Unreachable(), JournalUnavailable(), InDoubt(), KeyError("x"), KeyboardInterrupt()],
    ids=repr,
)
def test_after_another_error_airflow_decides_as_without_it(error):
    assert decision_of(error).action is RetryAction.DEFAULT


def test_a_reschedule_has_a_bound_and_0_means_a_retry():
    if AGAIN is not RetryAction.RETRY:
        assert decision_of(late(minutes=5)).reschedule_timeout == timedelta(hours=1)
        assert decision_of(late(minutes=5), reschedule_timeout=60).reschedule_timeout == timedelta(minutes=1)
    assert decision_of(late(minutes=5), reschedule_timeout=0).action is RetryAction.RETRY


@pytest.mark.parametrize("wrong", [-1, "soon", True, float("nan")])
def test_another_bound_is_refused_by_name(wrong):
    with pytest.raises(InvalidMessage, match="reschedule_timeout must be a number of seconds or a timedelta"):
        DialogTechRetryPolicy(reschedule_timeout=wrong)


@pytest.mark.parametrize("policy", [DialogTechRetryPolicy, "airflow_provider_dialogtech.DialogTechRetryPolicy"])
def test_what_is_no_policy_is_refused_when_the_dag_is_parsed(policy):
    with pytest.raises(InvalidMessage, match=r"retry_policy must be a policy, not .*with its parentheses"):
        DialogTechSendSmsOperator(task_id="notify", to="5556667777", message="Hi", retry_policy=policy)
