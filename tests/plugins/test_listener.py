"""What a component of Airflow says of `alert_on` when it starts."""

import logging

import pytest

from airflow_provider_dialogtech.plugins import dialogtech as alert_on
from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin, lacking_for
from airflow_provider_dialogtech.settings.config import ALERT_ON


class Job:
    """What Airflow's components are when they start."""


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


def test_every_supported_airflow_tells_of_all_that_may_be_asked_for():
    assert lacking_for(frozenset(ALERT_ON)) == frozenset()


def test_what_is_texted_and_by_which_connection_is_said_at_the_start(start, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_CONN_ID", "oncall")
    words = "alert_on: alert_to of the connection oncall is texted about dag_failed and import_error."
    assert start("import_error, dag_failed") == [("INFO", words)]


@pytest.mark.parametrize("place", [("airflow.listeners.spec.none", "x"), ("airflow.policies", "none")])
def test_what_an_airflow_does_not_tell_is_said_at_the_start(start, monkeypatch, place):
    monkeypatch.setitem(alert_on.TOLD_BY, "import_error", place)
    (told, missing) = start("import_error,dag_failed")
    assert told[1].endswith("is texted about dag_failed.")
    assert missing[0] == "WARNING"
    assert missing[1].startswith("alert_on: nobody is texted about import_error, which Airflow ")


def test_a_wrong_setting_is_said_at_the_start(start):
    ((level, words),) = start("everything")
    assert level == "ERROR"
    assert words.startswith("Nobody is texted about what alert_on names: [dialogtech] alert_on must be some of")
    assert words.endswith("Correct it in the environment variable AIRFLOW__DIALOGTECH__ALERT_ON.")


def test_without_the_setting_nothing_is_said(start):
    assert start("") == []
