"""Never twice, through a real scheduler: messages whose task is killed, cleared or deferred."""

import pytest

from airflow_provider_dialogtech.masking import encodings_of
from tests.conftest import SECRET
from tests.system.kills import KILLED_ALONE, KILLED_NUMBERS, KILLED_WITH_ITS_PARENTS, RUN

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

CLEARED = "delivery_cleared"
DEFERRED = "delivery_deferred"
CLEARED_NUMBER = "5556667913"
DEFERRED_NUMBER = "5556667914"


@pytest.fixture(scope="module")
def killed_tasks(system):
    """How the runs of both killed tasks end."""
    return system.ends_of_killed()


@pytest.mark.parametrize("dag_id", [KILLED_ALONE, KILLED_WITH_ITS_PARENTS])
def test_killed_while_its_request_was_out_a_task_sends_no_second_message(system, killed_tasks, dag_id):
    number = KILLED_NUMBERS[dag_id]
    assert killed_tasks[dag_id] == "failed"
    (text,) = system.texts_to(number)
    assert text["message"].startswith("Try 1 at ")
    assert system.states_in_journal(number) == {number[-4:]: "in_doubt"}


@pytest.mark.parametrize("dag_id", [KILLED_ALONE, KILLED_WITH_ITS_PARENTS])
def test_its_retry_says_that_the_message_may_have_been_sent_and_is_the_last_one(system, killed_tasks, dag_id):
    (task,) = system.airflow.metadata.tasks_of_run(dag_id, RUN)
    assert task["try_number"] == 2
    log = system.airflow.task_logs(dag_id)
    assert "may have been sent" in log
    assert "in_doubt=" in log
    assert "`messages resolve` settles it" in log
    assert "Then clear the task." in log
    for forbidden in (KILLED_NUMBERS[dag_id], *encodings_of(SECRET)):
        assert forbidden not in log


def test_a_cleared_task_sends_nothing_again_and_says_how_to(system):
    run = system.airflow.wait_for_scheduled_run(CLEARED)
    assert system.airflow.wait_for_run(CLEARED, run) == "success"
    first = system.airflow.metadata.results_of_run(CLEARED, run)["text", -1]
    assert system.clear(CLEARED, run) == "success"
    again = system.airflow.metadata.results_of_run(CLEARED, run)["text", -1]
    assert again == {**first, "status": "already_sent"}
    assert len(system.texts_to(CLEARED_NUMBER)) == 1
    log = system.airflow.task_logs(CLEARED)
    assert "nothing was sent now" in log
    assert "idempotency_key" in log


def test_a_message_whose_slot_is_far_away_gives_its_worker_back_and_arrives_once(system):
    run = system.airflow.wait_for_scheduled_run(DEFERRED)
    assert system.airflow.wait_for_run(DEFERRED, run) == "success"
    (text,) = system.texts_to(DEFERRED_NUMBER)
    assert text["message"].startswith("Try 1 at ")
    result = system.airflow.metadata.results_of_run(DEFERRED, run)["text", -1]
    assert (result["status"], result["attempts"]) == ("sent", 1)
    assert "the task is deferred until shortly before" in system.airflow.task_logs(DEFERRED)
