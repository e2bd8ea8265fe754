"""A list of messages in a real task process: stopped by somebody, and killed."""

import sqlite3
import time
from collections import Counter
from contextlib import closing

import psutil
import pytest
from airflow import __version__ as airflow_version

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

STOPPED = "bulk_stopped"
STOPPED_NUMBERS = "5556661"
STOPPED_LENGTH = 30
NUMBER_OF_LISTS = "5554332141"
KILLED = "bulk_killed"
KILLED_NUMBERS = "5556662"
KILLED_LENGTH = 12
RUN = "by_hand"
# Until a busy machine has ended a process, and we have seen it. The answer that is waited for comes after a minute.
SLACK = 25
# Airflow 3 kills a task that has not ended 5 seconds after it was asked to, which happens on a busy machine.
KILLED_BY_AIRFLOW = "Process did not terminate in time"


def mark_failed(system, dag_id):
    """Do what the button *Mark as failed* does; the task learns of it with its next heartbeat."""
    airflow = system.airflow
    if airflow_version.startswith("2."):  # it does so in its webserver, which does not run here
        with closing(sqlite3.connect(airflow.folder / "airflow.db", timeout=30)) as database, database:
            database.execute("UPDATE task_instance SET state = 'failed' WHERE dag_id = ?", (dag_id,))
    else:
        airflow.api.call("PATCH", f"dags/{dag_id}/dagRuns/{RUN}/taskInstances/text", {"new_state": "failed"})


def summary_of(system, dag_id):
    return system.airflow.metadata.results_of_run(dag_id, RUN)["text", -1]


def of_the_late_number(system):
    return [text for text in system.texts_to(STOPPED_NUMBERS) if text["from"] == NUMBER_OF_LISTS]


def test_stopped_by_somebody_it_ends_soon_and_goes_on_when_cleared(system):
    wait = system.airflow.processes.wait_until
    system.trigger(STOPPED, RUN)
    wait("texts arrive", lambda: len(system.texts_to(STOPPED_NUMBERS)) >= 3)
    # So one of them is out when it is stopped.
    system.sandbox.fault("late", seconds=60, times=1, number=NUMBER_OF_LISTS)
    before = len(of_the_late_number(system))
    wait("the one that is answered late arrives", lambda: len(of_the_late_number(system)) > before)
    task = system.process_of(STOPPED)
    mark_failed(system, STOPPED)
    asked = system.airflow.folder / "asked_to_stop_at"
    wait("the task is asked to stop", asked.exists)
    wait("the task has ended", lambda: not task.is_running() or task.status() == psutil.STATUS_ZOMBIE)
    ended, asked_at = time.time(), float(asked.read_text())

    arrived = {text["to"][-4:] for text in system.texts_to(STOPPED_NUMBERS)}
    assert ended - asked_at < 5 + SLACK
    assert len(arrived) < STOPPED_LENGTH
    assert max(text["at"] for text in system.texts_to(STOPPED_NUMBERS)) < asked_at + 5
    states = {
        tail: state
        for tail, state in system.states_in_journal(STOPPED_NUMBERS).items()
        if state not in ("reserved", "released")
    }
    assert arrived <= set(states)
    was_killed = KILLED_BY_AIRFLOW in system.airflow.processes.log_of("scheduler").read_text()
    if not was_killed:
        assert_stopped_in_order(system, arrived, states)

    assert system.clear(STOPPED, RUN) == "failed"  # for the one in doubt
    numbers = [text["to"] for text in system.texts_to(STOPPED_NUMBERS)]
    assert len(numbers) == len(set(numbers))
    summary = summary_of(system, STOPPED)
    assert summary["sent"] + summary["already_sent"] + summary["in_doubt"] == STOPPED_LENGTH
    if not was_killed:
        assert len(numbers) == STOPPED_LENGTH
        assert (summary["already_sent"], summary["in_doubt"]) == (len(arrived) - 1, 1)


def assert_stopped_in_order(system, arrived, states):
    assert Counter(states.values()) == {"sent": len(arrived) - 1, "in_doubt": 1}
    assert set(states) == arrived
    summary = summary_of(system, STOPPED)
    assert (summary["sent"], summary["in_doubt"]) == (len(arrived) - 1, 1)
    # On a busy machine some have missed a slot and wait for the next one: they are no longer "not tried".
    waiting = [row for row in summary["failures"] if row["outcome"] == "not_sent"]
    assert {row["reason"] for row in waiting} <= {"the send was stopped before its request left"}
    assert summary["not_tried"] + len(waiting) == STOPPED_LENGTH - len(arrived)
    assert "Stopped. Of 30 recipients" in system.airflow.task_logs(STOPPED)


def test_killed_at_once_it_goes_on_in_the_next_try_and_messages_nobody_twice(system):
    system.trigger(KILLED, RUN)
    system.airflow.processes.wait_until("texts arrive", lambda: len(system.texts_to(KILLED_NUMBERS)) >= 3)
    system.process_of(KILLED).kill()
    state = system.end_after_kill(KILLED, RUN)
    numbers = [text["to"] for text in system.texts_to(KILLED_NUMBERS)]
    assert len(numbers) == len(set(numbers))
    summary = summary_of(system, KILLED)
    assert summary["already_sent"] >= 1
    assert summary["sent"] + summary["already_sent"] + summary["in_doubt"] == KILLED_LENGTH
    assert state == ("failed" if summary["in_doubt"] else "success")
