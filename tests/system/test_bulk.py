"""A list of texts in a real task process: stopped by somebody, and killed."""

import os
import signal
import sqlite3
import time
from contextlib import closing

import psutil
import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

STOPPED = "bulk_stopped"
KILLED = "bulk_killed"


def texts_of(system, prefix):
    return [text for text in system.sandbox.messages() if text["to"].startswith(prefix)]


def pid_of(system, dag_id):
    """Return the process in which the task's `execute` runs."""
    (row,) = system.airflow.metadata.rows("SELECT pid FROM task_instance WHERE dag_id = ?", dag_id)
    return row["pid"]


def mark_failed(system, dag_id):
    """Do what the button *Mark as failed* does; the task learns of it with its next heartbeat."""
    with closing(sqlite3.connect(system.airflow.folder / "airflow.db", timeout=30)) as database, database:
        database.execute("UPDATE task_instance SET state = 'failed' WHERE dag_id = ?", (dag_id,))


def states_in_journal(system):
    with closing(sqlite3.connect(system.airflow.folder / "dialogtech_journal.db", timeout=30)) as journal:
        rows = journal.execute("SELECT recipient_tail, state FROM dialogtech_sends").fetchall()
    return {(tail, state) for tail, state in rows}


def test_stopped_by_somebody_it_ends_soon_and_nothing_looks_as_if_it_were_out(system):
    wait = system.airflow.processes.wait_until
    system.airflow.trigger(STOPPED, "by_hand")
    wait("texts arrive", lambda: len(texts_of(system, "5556661")) >= 3)
    system.sandbox.fault("late", seconds=60, times=1)  # so one of them is out when it is stopped
    task = psutil.Process(pid_of(system, STOPPED))
    mark_failed(system, STOPPED)
    wait("the task has ended", lambda: not task.is_running() or task.status() == psutil.STATUS_ZOMBIE, seconds=60)

    arrived = {text["to"][-4:] for text in texts_of(system, "5556661")}
    time.sleep(2)  # nobody goes on behind our backs
    assert {text["to"][-4:] for text in texts_of(system, "5556661")} == arrived
    assert len(arrived) < 60
    states = {(tail, state) for tail, state in states_in_journal(system) if tail.startswith("1")}
    assert {state for _, state in states} <= {"sent", "reserved", "in_doubt"}
    assert {tail for tail, state in states if state != "reserved"} == arrived
    summary = system.airflow.metadata.results_of_run(STOPPED, "by_hand")["text", -1]
    assert (summary["sent"] + summary["in_doubt"], summary["not_tried"]) == (len(arrived), 60 - len(arrived))
    # Airflow 3 kills a task that has not ended 5 seconds after it was asked to.
    assert "Process did not terminate in time" not in system.airflow.processes.log_of("scheduler").read_text()


def test_killed_at_once_it_goes_on_in_the_next_try_and_texts_nobody_twice(system):
    wait = system.airflow.processes.wait_until
    system.airflow.trigger(KILLED, "by_hand")
    wait("texts arrive", lambda: len(texts_of(system, "5556662")) >= 3)
    os.kill(pid_of(system, KILLED), signal.SIGKILL)
    state = system.airflow.wait_for_run(KILLED, "by_hand")
    numbers = [text["to"] for text in texts_of(system, "5556662")]
    assert len(numbers) == len(set(numbers))
    summary = system.airflow.metadata.results_of_run(KILLED, "by_hand")["text", -1]
    assert summary["already_sent"] >= 1
    assert summary["sent"] + summary["already_sent"] + summary["in_doubt"] == 12
    assert state == ("failed" if summary["in_doubt"] else "success")
