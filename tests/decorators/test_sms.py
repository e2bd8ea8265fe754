import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.exceptions import TaskDeferred

from airflow_provider_dialogtech._compat import AirflowFailException
from airflow_provider_dialogtech.decorators.sms import dialogtech_sms_task
from tests.operators.test_deferrable import CONTEXT, a_long_queue, let_slots_pass
from tests.running import run_dag

__all__ = ["a_long_queue"]

DAGS = Path(__file__).parent / "dags"

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG


def task_of(function, **arguments):
    with DAG("dag", schedule=None):
        return dialogtech_sms_task(function, **arguments)().operator


def test_the_message_that_a_function_returns_is_sent(metadata_db, sandbox, sandbox_connection):
    run = run_dag(DAGS / "dialogtech_functions.py")
    failed = {name for name, states in run.states.items() if states != ["success"] * len(states)}
    assert failed == {"nothing", "something_else", "error", "to_nobody"}, run.output
    arrived = {sms["to"][-1]: sms["message"] for sms in sandbox.accepted() if sms["to"] != "5556667778"}
    assert len(arrived.pop("6")) <= 256
    assert arrived == {
        "1": "Only words",
        "2": "A mapping",
        "3": "The mapping's number",
        "4": "{{ 1 + 1 }}",
        "5": "From with_context",
    }
    mapped = {sms["message"] for sms in sandbox.accepted() if sms["to"] == "5556667778"}
    assert mapped == {"1 of two", "2 of two"}
    assert run.results["read"] == [["sent", "…7772"]]
    assert "`message` is empty" in run.output
    assert "the function must return the message" in " ".join(run.output.split())
    assert "`to` is empty" in run.output


def test_a_dictionary_is_one_result_whatever_the_function_is_annotated_with():
    def messages() -> dict[str, str]:
        return {"to": "5556667777", "message": "Hi"}

    task = task_of(messages)
    assert task.multiple_outputs is False
    assert "message" not in task.template_fields


@pytest.mark.parametrize(
    "returned",
    [{}, {"to": "5556667777"}, {"message": "Hi", "from": "5554332111"}, {"message": "Hi", 1: 2}],
    ids=str,
)
def test_a_mapping_of_anything_else_is_refused_without_showing_it(returned):
    task = task_of(lambda: returned, task_id="send")
    with pytest.raises(AirflowFailException, match="Correct the function") as refused:
        task.execute({})
    assert "5556667777" not in str(refused.value)


def test_a_deferred_task_asks_its_function_again(sandbox, a_long_queue):
    calls = []

    def tell():
        calls.append(1)
        return "hi"

    task = task_of(tell, to="5556667777", deferrable=True)
    context = dict(CONTEXT, ti=SimpleNamespace(**vars(CONTEXT["ti"])))
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    assert "hi" not in re.findall(r"\w+", str(deferred.value.kwargs))
    let_slots_pass(200)
    resumed = task_of(tell, to="5556667777", deferrable=True)
    result = getattr(resumed, deferred.value.method_name)(context, None, **deferred.value.kwargs)
    assert result["status"] == "sent"
    assert len(calls) == 2
