"""Never twice, through a real scheduler: texts whose task is killed, cleared, deferred or stopped."""

import sqlite3
import time
from contextlib import closing

import psutil
import pytest
import requests
from airflow import __version__ as airflow_version

from airflow_provider_dialogtech.masking import encodings_of
from tests.conftest import SECRET

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

KILLED_ALONE = "delivery_killed_alone"
KILLED_WITH_ITS_PARENTS = "delivery_killed_with_its_parents"
CLEARED = "delivery_cleared"
DEFERRED = "delivery_deferred"
STOPPED = "delivery_stopped"
NUMBERS = {KILLED_ALONE: "5556667911", KILLED_WITH_ITS_PARENTS: "5556667912", CLEARED: "5556667913"}
DEFERRED_NUMBER = "5556667914"
RUN = "by_hand"
# Until a busy machine has ended a process, and we have seen it.
SLACK = 5

LIST = [f"555666{number}" for number in range(3000, 3030)]


@pytest.fixture(scope="module")
def killed_tasks(system):
    """Kill two tasks while their request is out: one as the kernel does, one as a machine that goes down."""
    kill_while_its_request_is_out(system, KILLED_WITH_ITS_PARENTS, with_parents=True)
    kill_while_its_request_is_out(system, KILLED_ALONE, with_parents=False)


def kill_while_its_request_is_out(system, dag_id, *, with_parents):
    system.sandbox.fault("hang_after_accept", times=1, to=NUMBERS[dag_id])
    system.airflow.trigger(dag_id, RUN)
    system.airflow.processes.wait_until("the text arrives", lambda: bool(system.texts_to(NUMBERS[dag_id])))
    task = process_of(system, dag_id)
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


def process_of(system, dag_id):
    """Return the process in which the task's `execute` runs."""
    (row,) = system.airflow.metadata.rows("SELECT pid FROM task_instance WHERE dag_id = ?", dag_id)
    return psutil.Process(row["pid"])


def texts_to_the_list(system):
    texts = [text for text in system.sandbox.messages() if text["outcome"] == "accepted"]
    return [text for text in texts if text["to"] in LIST]


def mark_failed(system, dag_id):
    """Do what the button *Mark as failed* does."""
    airflow = system.airflow
    if airflow_version.startswith("2."):  # it does so in its webserver, which does not run here
        with closing(sqlite3.connect(airflow.folder / "airflow.db", timeout=30)) as database, database:
            database.execute("UPDATE task_instance SET state = 'failed' WHERE dag_id = ?", (dag_id,))
        return
    with requests.Session() as session:
        session.trust_env = False
        token = session.get(f"{airflow.url}/auth/token", timeout=30).json()["access_token"]
        task = f"{airflow.url}/api/v2/dags/{dag_id}/dagRuns/{RUN}/taskInstances/text"
        marked = session.patch(
            task, json={"new_state": "failed"}, headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        marked.raise_for_status()


def states_in_journal(system, recipient_tail):
    """Return the states of the rows whose recipient's last digits are like this, by these digits."""
    query = "SELECT recipient_tail, state FROM dialogtech_sends WHERE recipient_tail LIKE ?"
    with closing(sqlite3.connect(system.airflow.folder / "dialogtech_journal.db", timeout=30)) as journal:
        return dict(journal.execute(query, (recipient_tail,)).fetchall())


@pytest.mark.parametrize("dag_id", [KILLED_ALONE, KILLED_WITH_ITS_PARENTS])
def test_killed_while_its_request_was_out_a_task_sends_no_second_text(system, killed_tasks, dag_id):
    number = NUMBERS[dag_id]
    assert system.airflow.wait_for_run(dag_id, RUN) == "failed"
    (text,) = system.texts_to(number)
    assert text["message"].startswith("Try 1 at ")
    assert states_in_journal(system, number[-4:]) == {number[-4:]: "in_doubt"}


@pytest.mark.parametrize("dag_id", [KILLED_ALONE, KILLED_WITH_ITS_PARENTS])
def test_its_retry_says_that_the_text_may_have_been_sent_and_is_the_last_one(system, killed_tasks, dag_id):
    assert system.airflow.wait_for_run(dag_id, RUN) == "failed"
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
    system.airflow.airflow("tasks", "clear", "--yes", CLEARED)
    assert system.airflow.wait_for_run(CLEARED, run) == "success"
    again = system.airflow.metadata.results_of_run(CLEARED, run)["text", -1]
    assert again == {**first, "status": "already_sent"}
    assert len(system.texts_to(NUMBERS[CLEARED])) == 1
    log = system.airflow.task_logs(CLEARED)
    assert "nothing was sent now" in log
    assert "idempotency_key" in log


def test_stopped_from_the_ui_a_list_ends_soon_and_goes_on_when_cleared(system):
    wait = system.airflow.processes.wait_until
    system.airflow.trigger(STOPPED, RUN)
    wait("texts arrive", lambda: len(texts_to_the_list(system)) >= 3)
    task = process_of(system, STOPPED)
    mark_failed(system, STOPPED)
    told = system.airflow.folder / "asked_to_stop_at"
    wait("the task is asked to stop", told.exists)
    wait("the task has ended", lambda: not task.is_running() or task.status() == psutil.STATUS_ZOMBIE)
    took = time.time() - float(told.read_text())
    arrived = texts_to_the_list(system)

    assert took < 5 + SLACK
    assert len(arrived) < len(LIST)
    assert max(text["at"] for text in arrived) < float(told.read_text()) + 5
    assert "Stopped. Of 30 recipients" in system.airflow.task_logs(STOPPED)
    states = states_in_journal(system, "30__")
    assert set(states.values()) <= {"sent", "reserved"}
    assert {tail for tail, state in states.items() if state == "sent"} == {text["to"][-4:] for text in arrived}

    system.airflow.airflow("tasks", "clear", "--yes", STOPPED)
    assert system.airflow.wait_for_run(STOPPED, RUN) == "success"
    assert sorted(text["to"] for text in texts_to_the_list(system)) == LIST
    summary = system.airflow.metadata.results_of_run(STOPPED, RUN)["text", -1]
    assert (summary["already_sent"], summary["sent"]) == (len(arrived), len(LIST) - len(arrived))


def test_a_text_whose_slot_is_far_away_gives_its_worker_back_and_arrives_once(system):
    run = system.airflow.wait_for_scheduled_run(DEFERRED)
    assert system.airflow.wait_for_run(DEFERRED, run) == "success"
    (text,) = system.texts_to(DEFERRED_NUMBER)
    assert text["message"].startswith("Try 1 at ")
    result = system.airflow.metadata.results_of_run(DEFERRED, run)["text", -1]
    assert (result["status"], result["attempts"]) == ("sent", 1)
    assert "giving the worker back until shortly before" in system.airflow.task_logs(DEFERRED)
