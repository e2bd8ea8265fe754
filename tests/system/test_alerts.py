"""Every kind of callback, called by a real scheduler, dag-processor, worker and triggerer."""

import re

import pytest
from airflow import __version__ as airflow_version

from tests.system.conftest import ANY_TIME

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

FAILURE = "alerts_of_a_failure"
SUCCESS = "alerts_of_a_success"
DEADLINE = "dialogtech_deadline_alert"
ALERT_TO = "5556667790"
has_deadlines = tuple(map(int, airflow_version.split(".")[:2])) >= (3, 1)


@pytest.fixture(scope="module")
def failed_run(system):
    system.trigger(FAILURE, "by_hand")
    assert system.airflow.wait_for_run(FAILURE, "by_hand") == "failed"
    return "by_hand"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("5556667801", rf"{FAILURE}.fails_too failed at {{time}}, try 1 of 1, run by_hand: KeyError: 'a column'"),
        ("5556667802", rf"DAG {FAILURE} failed at {{time}}, run by_hand: (a task|task fails(_too)?) failed"),
        (
            "5556667804",
            rf"{FAILURE}.fails failed at {{time}}, try 2 of 2, run by_hand: "
            r"ValueError: no partition 2026-01-01 for \.\.\.1234",
        ),
        (
            "5556667805",
            rf"{FAILURE}.fails is up for retry since {{time}}, try 1 of 2, run by_hand: "
            r"ValueError: no partition 2026-01-01 for \.\.\.1234",
        ),
        ("5556667806", rf"{FAILURE}.fails started at {{time}}, run by_hand"),
        ("5556667808", rf"{FAILURE}.is_skipped was skipped at {{time}}, run by_hand"),
    ],
)
def test_a_callback_messages_what_happened(system, failed_run, number, words):
    expected = "Airflow: " + words.format(time=ANY_TIME)
    assert re.fullmatch(expected, system.text_to(number))


def test_a_message_is_rendered_for_its_task(system, failed_run):
    assert system.text_to("5556667807") == "succeeds is done"


def test_a_failed_dag_does_not_call_its_success_callback(system, failed_run):
    system.text_to("5556667802")
    assert system.texts_to("5556667803") == []


def test_a_dag_that_succeeds_messages(system):
    system.trigger(SUCCESS, "by_hand")
    assert system.airflow.wait_for_run(SUCCESS, "by_hand") == "success"
    expected = rf"Airflow: DAG {SUCCESS} succeeded at {ANY_TIME}, run by_hand"
    assert re.fullmatch(expected, system.text_to("5556667809"))


@pytest.mark.skipif(not has_deadlines, reason="Airflow has deadline alerts from 3.1 on")
def test_a_missed_deadline_messages_once_and_leaves_no_number_in_the_database(system):
    system.trigger(DEADLINE, "late")
    expected = rf"Airflow: DAG {DEADLINE} missed its deadline of {ANY_TIME}, run late: still running"
    assert re.fullmatch(expected, system.text_to(ALERT_TO))
    assert system.airflow.wait_for_run(DEADLINE, "late") == "success"
    assert len(system.texts_to(ALERT_TO)) == 1
    stored = [str(tuple(row)) for row in system.airflow.metadata.rows("SELECT * FROM deadline")]
    if "callback" in {row[0] for row in system.airflow.metadata.rows("SELECT name FROM sqlite_master")}:
        stored += [str(tuple(row)) for row in system.airflow.metadata.rows("SELECT * FROM callback")]
    assert any("DialogTechSmsNotifier" in row for row in stored)
    assert not any(ALERT_TO in row for row in stored)


@pytest.mark.skipif(has_deadlines, reason="this Airflow has deadline alerts")
def test_before_deadlines_the_example_says_why_it_is_skipped(system):
    system.trigger(DEADLINE, "late")
    assert system.airflow.wait_for_run(DEADLINE, "late") == "success"
    (task,) = system.airflow.metadata.tasks_of_run(DEADLINE, "late")
    assert task["state"] == "skipped"
    assert "Deadline alerts need Airflow 3.1" in system.airflow.task_logs(DEADLINE)


def test_the_log_of_a_task_says_who_was_told_and_shows_no_number(system, failed_run):
    log = system.airflow.task_logs(FAILURE)
    assert "the message to …7804 was sent" in log or r"the message to \u20267804 was sent" in log
    assert "5556667804" not in log
