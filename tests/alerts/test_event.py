from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.alerts.event import EVENTS, event_of
from tests.alerts.conftest import context_of

NOTIFIER = object()


def attached_by(**callbacks):
    return SimpleNamespace(**{name: [print, NOTIFIER] for name in callbacks})


@pytest.mark.parametrize(
    ("state", "event"),
    [("failed", "failed"), ("up_for_retry", "retry"), ("success", "success"), ("skipped", "skipped")],
)
def test_the_state_of_a_task_decides_its_event(state, event):
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
def test_without_a_state_the_argument_of_the_notifier_decides(callback, event):
    context = context_of(None) | {"task": SimpleNamespace(**{callback: [print, NOTIFIER]})}
    assert event_of(context, NOTIFIER) == event


@pytest.mark.parametrize(("tries", "event"), [(1, "retry"), (2, "retry"), (3, "failed")])
def test_the_tries_of_a_dead_task_decide_whether_it_is_a_retry(tries, event):
    task = SimpleNamespace(on_failure_callback=NOTIFIER, on_retry_callback=NOTIFIER)
    assert event_of(context_of(None, try_number=tries, max_tries=2) | {"task": task}, NOTIFIER) == event


def test_a_dead_task_with_unknown_tries_failed():
    for known in ({}, {"try_number": 1}, {"max_tries": 0}):
        ti = SimpleNamespace(state=None, **known)
        assert event_of({"ti": ti, "task": None, "exception": ValueError()}, NOTIFIER) == "failed"


@pytest.mark.parametrize("exception", [None, ValueError()])
def test_the_exception_decides_for_a_notifier_passed_as_several_arguments(exception):
    task = SimpleNamespace(on_failure_callback=NOTIFIER, on_execute_callback=NOTIFIER)
    context = context_of(None, try_number=3, max_tries=2) | {"task": task, "exception": exception}
    assert event_of(context, NOTIFIER) == ("execute" if exception is None else "failed")


def test_without_an_exception_a_notifier_passed_elsewhere_is_not_called_at_the_start():
    task = SimpleNamespace(on_failure_callback=NOTIFIER, on_retry_callback=NOTIFIER)
    assert event_of(context_of(None, try_number=3, max_tries=2) | {"task": task}, NOTIFIER) == "failed"


@pytest.mark.parametrize(
    ("callback", "event"), [("on_success_callback", "dag_success"), ("on_failure_callback", "dag_failed")]
)
def test_the_argument_of_the_notifier_decides_for_a_dag_callback_without_a_reason(callback, event):
    dag = SimpleNamespace(**{callback: NOTIFIER})
    assert event_of({"dag": dag}, NOTIFIER) == event
    both = SimpleNamespace(on_success_callback=NOTIFIER, on_failure_callback=[print, NOTIFIER])
    assert event_of({"dag": both}, NOTIFIER) == "dag_failed"


@pytest.mark.parametrize(
    ("on_dag", "on_task", "event"),
    [(True, True, "dag_success"), (False, True, "failed"), (False, False, "dag_success")],
)
def test_a_reason_beside_a_task_is_a_dags_unless_only_the_task_has_the_notifier(on_dag, on_task, event):
    dag = SimpleNamespace(on_success_callback=NOTIFIER if on_dag else None)
    task = SimpleNamespace(on_failure_callback=NOTIFIER if on_task else None)
    assert event_of(context_of("failed") | {"dag": dag, "task": task, "reason": "success"}, NOTIFIER) == event


def test_a_deadline_beside_a_task_is_not_a_deadline_alert():
    assert event_of(context_of("failed") | {"deadline": {}}, NOTIFIER) == "failed"


@pytest.mark.parametrize(
    ("reason", "event"),
    [("success", "dag_success"), ("task_failure", "dag_failed"), ("timed_out", "dag_failed"), (None, "dag_failed")],
)
@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_reason_decides_the_event_of_a_dag_whatever_the_tasks_state(reason, event, state):
    assert event_of(context_of(state) | {"reason": reason}, NOTIFIER) == event


def test_a_dag_callback_may_come_without_a_task():
    assert event_of({"dag": None, "run_id": "r", "reason": "success"}, NOTIFIER) == "dag_success"


def test_a_reason_that_another_notifier_wrote_into_a_tasks_context_is_ignored():
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
def test_a_context_of_unexpected_types_has_an_event(odd):
    for context in (
        context_of(odd, try_number=odd, max_tries=odd) | {"exception": odd},
        context_of(odd) | {"reason": odd},
        {"dag": odd, "task": odd, "reason": odd},
    ):
        assert event_of(context, NOTIFIER) in EVENTS
