"""Never twice, through a real scheduler: texts whose task is killed, cleared or deferred."""

import pytest

from airflow_provider_dialogtech.masking import encodings_of
from tests.conftest import SECRET

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

KILLED_ALONE = "delivery_killed_alone"
KILLED_WITH_ITS_PARENTS = "delivery_killed_with_its_parents"
CLEARED = "delivery_cleared"
DEFERRED = "delivery_deferred"
NUMBERS = {KILLED_ALONE: "5556667911", KILLED_WITH_ITS_PARENTS: "5556667912", CLEARED: "5556667913"}
DEFERRED_NUMBER = "5556667914"
RUN = "by_hand"


@pytest.fixture(scope="module")
def killed_tasks(system):
    """Kill two tasks while their request is out: one as the kernel does, one as a machine that goes down."""
    kill_while_its_request_is_out(system, KILLED_WITH_ITS_PARENTS, with_parents=True)
    kill_while_its_request_is_out(system, KILLED_ALONE, with_parents=False)
    return {dag_id: system.end_after_kill(dag_id, RUN) for dag_id in (KILLED_ALONE, KILLED_WITH_ITS_PARENTS)}


def kill_while_its_request_is_out(system, dag_id, *, with_parents):
    system.sandbox.fault("hang_after_accept", times=1, to=NUMBERS[dag_id])
    system.airflow.trigger(dag_id, RUN)
    system.airflow.processes.wait_until("the text arrives", lambda: bool(system.texts_to(NUMBERS[dag_id])))
    task = system.process_of(dag_id)
    assert is_calling(task, system.sandbox)
    # The parents first, so that none of them can tell Airflow.
    for process in [*reversed(supervisors_of(system, task)), task] if with_parents else [task]:
        process.kill()


def supervisors_of(system, task):
    """Return what runs between the scheduler and the task, the nearest first."""
    scheduler = system.airflow.processes.pid_of("scheduler")
    pids = [process.pid for process in task.parents()]
    return task.parents()[: pids.index(scheduler)]


def is_calling(task, sandbox):
    port = int(sandbox.base_url.rpartition(":")[-1])
    return any(connection.raddr and connection.raddr.port == port for connection in task.net_connections())


@pytest.mark.parametrize("dag_id", [KILLED_ALONE, KILLED_WITH_ITS_PARENTS])
def test_killed_while_its_request_was_out_a_task_sends_no_second_text(system, killed_tasks, dag_id):
    number = NUMBERS[dag_id]
    assert killed_tasks[dag_id] == "failed"
    (text,) = system.texts_to(number)
    assert text["message"].startswith("Try 1 at ")
    assert system.states_in_journal(number) == {number[-4:]: "in_doubt"}


@pytest.mark.parametrize("dag_id", [KILLED_ALONE, KILLED_WITH_ITS_PARENTS])
def test_its_retry_says_that_the_text_may_have_been_sent_and_is_the_last_one(system, killed_tasks, dag_id):
    (task,) = system.airflow.metadata.tasks_of_run(dag_id, RUN)
    assert task["try_number"] == 2
    log = system.airflow.task_logs(dag_id)
    assert "may have been sent" in log
    assert "to send it in any case, clear the task with in_doubt" in log
    for forbidden in (NUMBERS[dag_id], *encodings_of(SECRET)):
        assert forbidden not in log


def test_a_cleared_task_sends_nothing_again_and_says_how_to(system):
    run = system.airflow.wait_for_scheduled_run(CLEARED)
    assert system.airflow.wait_for_run(CLEARED, run) == "success"
    first = system.airflow.metadata.results_of_run(CLEARED, run)["text", -1]
    assert system.clear(CLEARED, run) == "success"
    again = system.airflow.metadata.results_of_run(CLEARED, run)["text", -1]
    assert again == {**first, "status": "already_sent"}
    assert len(system.texts_to(NUMBERS[CLEARED])) == 1
    log = system.airflow.task_logs(CLEARED)
    assert "nothing was sent now" in log
    assert "idempotency_key" in log


def test_a_text_whose_slot_is_far_away_gives_its_worker_back_and_arrives_once(system):
    run = system.airflow.wait_for_scheduled_run(DEFERRED)
    assert system.airflow.wait_for_run(DEFERRED, run) == "success"
    (text,) = system.texts_to(DEFERRED_NUMBER)
    assert text["message"].startswith("Try 1 at ")
    result = system.airflow.metadata.results_of_run(DEFERRED, run)["text", -1]
    assert (result["status"], result["attempts"]) == ("sent", 1)
    assert "giving the worker back until shortly before" in system.airflow.task_logs(DEFERRED)
