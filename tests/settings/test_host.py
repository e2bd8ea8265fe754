"""The time that Airflow still allows a callback, as its settings, its caller and earlier callbacks leave it."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_dialogtech.settings import host
from airflow_provider_dialogtech.settings.host import DAG_PROCESSOR, TASK_RUNNER, Host, is_called_by

SLACK = 5.0


def called_by(module, context):
    """Return the remaining seconds as a function in a module of Airflow is told them."""
    names = {"__name__": module, "ask": Host().remaining_seconds, "context": context}
    exec("seconds = ask(context)", names)  # noqa: S102 - a module of this name calls it
    return names["seconds"]


def a_task(ended_ago):
    return {"ti": SimpleNamespace(end_date=datetime.now(timezone.utc) - timedelta(seconds=ended_ago))}


def test_the_callers_of_a_function_are_found():
    assert is_called_by(__name__)
    assert not is_called_by(DAG_PROCESSOR)


@pytest.mark.parametrize(
    ("setting", "used_up", "expected"), [("20", 0, 20), ("20", 12, 8), ("20", 25, -5), ("300", 1, 299)]
)
def test_the_callbacks_of_a_task_share_its_overtime(monkeypatch, setting, used_up, expected):
    monkeypatch.setenv("AIRFLOW__CORE__TASK_SUCCESS_OVERTIME", setting)
    remaining = called_by(TASK_RUNNER, a_task(used_up))
    assert expected - SLACK < remaining <= expected


@pytest.mark.parametrize(
    "ti", [None, SimpleNamespace(), SimpleNamespace(end_date=None), SimpleNamespace(end_date="now")]
)
def test_a_task_that_still_runs_has_no_limit(ti):
    """Such as one that calls its on_execute_callback, or asks a person."""
    assert called_by(TASK_RUNNER, {"ti": ti}) is None


def test_elsewhere_there_is_no_limit_as_in_a_task_of_airflow_2():
    assert called_by("airflow.models.taskinstance", a_task(1)) is None
    assert called_by("airflow.triggers.callback", {}) is None


def test_in_the_dag_processor_the_age_of_its_process_counts(monkeypatch):
    section = "CORE" if airflow_version.startswith("2.") else "DAG_PROCESSOR"
    monkeypatch.setenv(f"AIRFLOW__{section}__DAG_FILE_PROCESSOR_TIMEOUT", "70")
    monkeypatch.setattr(host, "_age_of_process", lambda: 30.0)
    assert called_by(DAG_PROCESSOR, {"reason": "task_failure"}) == 38.0
    assert called_by(DAG_PROCESSOR, a_task(1)) == 38.0


@pytest.mark.parametrize("age", [-3.0, 1e9])
def test_an_age_that_a_set_clock_has_falsified_is_ignored(monkeypatch, age):
    monkeypatch.setattr(host, "_age_of_process", lambda: age)
    assert called_by(DAG_PROCESSOR, {}) is None


def test_the_age_of_a_process_is_known():
    assert 0 < host._age_of_process() < 86400


def test_after_sigterm_little_time_is_left():
    ending = Host()
    assert ending.remaining_seconds({}) is None
    ending.note_termination()
    assert 0 < ending.remaining_seconds({}) <= 5
