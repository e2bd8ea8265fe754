"""What a component of Airflow logs about `alert_on` when it starts."""

import logging

import pytest

from airflow_provider_dialogtech.plugins import listener as alert_on
from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin
from airflow_provider_dialogtech.plugins.listener import unreported_of
from airflow_provider_dialogtech.settings import host
from airflow_provider_dialogtech.settings.config import ALERT_ON


class Job:
    """The class of Airflow's components at their start."""


@pytest.fixture
def start(monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CREATE_POOLS", "False")
    caplog.set_level(logging.INFO)

    def start(setting):
        monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", setting)
        (listener,) = DialogTechPlugin.listeners
        listener.on_starting(Job())
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return start


def test_every_supported_airflow_reports_all_events():
    assert unreported_of(frozenset(ALERT_ON)) == frozenset()


def test_the_events_and_the_connection_are_logged_at_the_start(start, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_CONN_ID", "oncall")
    logged = "alert_on: alerts about dag_failed and import_error go to alert_to of the connection oncall."
    assert start("import_error, dag_failed") == [("INFO", logged)]


@pytest.mark.parametrize("place", [("airflow.listeners.spec.none", "x"), ("airflow.policies", "none")])
def test_an_event_that_airflow_does_not_report_is_logged_at_the_start(start, monkeypatch, place):
    monkeypatch.setitem(alert_on.REPORTED_BY, "import_error", place)
    (reported, missing) = start("import_error,dag_failed")
    assert "alerts about dag_failed go to" in reported[1]
    assert missing[0] == "WARNING"
    assert missing[1].startswith("alert_on=import_error has no effect: Airflow ")


def test_an_invalid_setting_is_logged_at_the_start(start):
    ((level, logged),) = start("everything")
    assert level == "ERROR"
    assert logged.startswith("alert_on has no effect: [dialogtech] alert_on must be some of")
    assert logged.endswith("Correct it in the environment variable AIRFLOW__DIALOGTECH__ALERT_ON.")


def test_without_the_setting_nothing_is_logged(start):
    assert start("") == []


def test_nothing_is_logged_in_a_task_of_airflow_2_which_starts_as_a_job_as_well(start):
    module = {"__name__": host.TASK_COMMAND, "start": start}
    exec("logged = start('dag_failed')", module)  # noqa: S102 - a module of this name calls it
    assert module["logged"] == []
