"""Code that a task runs in a process of its own, through a real scheduler. (`airflow dags test` of 3.x answers no
question of such a process: it waits for its connection without end, or does not keep it from the database.)
"""

import pytest
from airflow import __version__ as airflow_version

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(airflow_version.startswith("3.0."), reason="Airflow 3.0 gives such a process no connection"),
]

NUMBERS = {
    "processes_virtualenv": "5556667932",
    "processes_shell_script": "5556667933",
}


@pytest.mark.parametrize("dag_id", list(NUMBERS))
def test_a_retry_of_code_that_runs_in_a_process_of_its_own_sends_nothing_again(system, dag_id):
    run = system.airflow.wait_for_scheduled_run(dag_id)
    assert system.airflow.wait_for_run(dag_id, run) == "success", system.airflow.task_logs(dag_id)
    (task,) = system.airflow.metadata.tasks_of_run(dag_id, run)
    assert task["try_number"] == 2
    result = system.airflow.metadata.results_of_run(dag_id, run)["text_and_fail_once", -1]
    assert "already_sent" in str(result)
    assert len(system.texts_to(NUMBERS[dag_id])) == 1
