"""A person settles a message in doubt from the command line and clears its task, in a real Airflow."""

import json
import sys

import pytest
from airflow import __version__ as airflow_version

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

NUMBERS = {"sent": "5556667951", "unsent": "5556667952"}
RUN = "by_hand"
HAS_PROVIDERS_COMMANDS = tuple(map(int, airflow_version.split(".")[:2])) >= (3, 2)


def dialogtech(system, *arguments):
    """Run a command as a person does, and return its rows."""
    command = [*arguments, "--output", "json"]
    if HAS_PROVIDERS_COMMANDS:
        printed = system.airflow.airflow("dialogtech", *command)
    else:
        module = [sys.executable, "-m", "airflow_provider_dialogtech"]
        printed = system.airflow.processes.run("dialogtech", *module, *command)
    (rows,) = [line for line in printed.splitlines() if line.startswith("[{")]
    return json.loads(rows)


@pytest.mark.parametrize("outcome", ["sent", "unsent"])
def test_a_message_in_doubt_is_listed_settled_and_its_task_cleared(system, outcome):
    dag_id, number = f"operations_{outcome}", NUMBERS[outcome]
    fault = "reset_after_accept" if outcome == "sent" else "reset_before_accept"
    system.sandbox.fault(fault, times=1, to=number)
    system.airflow.trigger(dag_id, RUN)
    assert system.airflow.wait_for_run(dag_id, RUN) == "failed"

    (row,) = dialogtech(system, "messages", "list", "--state", "in_doubt", "--dag-id", dag_id)
    assert (row["dag"], row["run"], row["task"], row["to"]) == (dag_id, RUN, "text", f"…{number[-4:]}")
    if outcome == "sent":  # else the exit code says that nothing is known
        (found,) = dialogtech(system, "messages", "look-up", row["id"], "--conn-id", "dialogtech_delivery")
        assert (found["listed like it"], found["sent, says the journal"]) == ("1", "0")
    (settled,) = dialogtech(system, "messages", "resolve", row["id"], f"--{outcome}")
    assert settled["next"].startswith("clear the task")

    assert system.clear(dag_id, RUN) == "success"
    assert len(system.texts_to(number)) == 1
    result = system.airflow.metadata.results_of_run(dag_id, RUN)["text", -1]
    assert result["status"] == ("already_sent" if outcome == "sent" else "sent")
