from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.alerts.event import EVENTS, event_of
from tests.alerts.conftest import context_of

NOTIFIER = object()


def hanging(**callbacks):
    return SimpleNamespace(**{name: [print, NOTIFIER] for name in callbacks})


@pytest.mark.parametrize(
    ("state", "event"),
    [("failed", "failed"), ("up_for_retry", "retry"), ("success", "success"), ("skipped", "skipped")],
)
def test_the_state_of_a_task_tells_its_event(state, event):
    assert event_of(context_of(state), NOTIFIER) == event


def test_the_state_may_be_an_enumeration():
    from airflow.utils.state import TaskInstanceState

    assert event_of(context_of(TaskInstanceState.UP_FOR_RETRY), NOTIFIER) == "retry"


def test_a_skipped_task_is_skipped_also_where_airflow_2_calls_its_success_callback():
    context = context_of("skipped") | {"task": SimpleNamespace(on_success_callback=NOTIFIER)}
    assert event_of(context, NOTIFIER) == "skipped"


@pytest.mark.parametrize("state", [None, "running"])
def test_a_task_that_runs_is_about_to_execute(state):
    assert event_of(context_of(state), NOTIFIER) == "execute"


@pytest.mark.parametrize(
    ("callback", "event"),
    [
        ("on_failure_callback", "failed"),
        ("on_retry_callback", "retry"),
        ("on_execute_callback", "execute"),
    ],
)
def test_without_a_state_the_place_where_the_notifier_hangs_tells(callback, event):
    context = context_of(None) | {"task": SimpleNamespace(**{callback: [print, NOTIFIER]})}
    assert event_of(context, NOTIFIER) == event


@pytest.mark.parametrize(("tries", "event"), [(1, "retry"), (2, "retry"), (3, "failed")])
def test_of_a_task_found_dead_the_tries_tell_whether_another_follows(tries, event):
    task = SimpleNamespace(on_failure_callback=NOTIFIER, on_retry_callback=NOTIFIER)
    assert event_of(context_of(None, try_number=tries, max_tries=2) | {"task": task}, NOTIFIER) == event


@pytest.mark.parametrize(
    ("reason", "event"),
    [("success", "dag_success"), ("task_failure", "dag_failed"), ("timed_out", "dag_failed"), (None, "dag_failed")],
)
@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_reason_tells_the_event_of_a_dag_whatever_the_task_beside_it_did(reason, event, state):
    assert event_of(context_of(state) | {"reason": reason}, NOTIFIER) == event


def test_a_dag_callback_may_come_without_a_task():
    assert event_of({"dag": None, "run_id": "r", "reason": "success"}, NOTIFIER) == "dag_success"


def test_a_reason_that_another_notifier_left_in_a_tasks_context_deceives_nobody():
    context = context_of("failed") | {"task": SimpleNamespace(on_failure_callback=NOTIFIER), "reason": "success"}
    assert event_of(context, NOTIFIER) == "failed"


def test_a_deadline_comes_without_a_task():
    assert event_of({"dag_run": {}, "deadline": {}}, NOTIFIER) == "deadline"


def test_an_sla_comes_with_the_tasks_that_block_it():
    assert event_of({"dag": None, "blocking_task_list": ""}, NOTIFIER) == "sla"


class Mute:
    def __str__(self):
        raise ZeroDivisionError

    def __eq__(self, other):
        raise ZeroDivisionError

    __hash__ = None


@pytest.mark.parametrize("odd", [None, "3", 10**5000, float("nan"), Mute(), [[]]], ids=lambda odd: type(odd).__name__)
def test_a_context_of_an_odd_kind_has_an_event_too(odd):
    for context in (
        context_of(odd, try_number=odd, max_tries=odd) | {"exception": odd},
        context_of(odd) | {"reason": odd},
        {"dag": odd, "task": odd, "reason": odd},
    ):
        assert event_of(context, NOTIFIER) in EVENTS
