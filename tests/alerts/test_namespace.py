"""Two Airflows share a journal: `[dialogtech] namespace` keeps their alerts apart."""

import logging

import pytest

from airflow_provider_dialogtech.cli.messages import open_messages
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier, FailedRunNotifier
from tests.alerts.conftest import bodies, failure


@pytest.fixture(autouse=True)
def _at_every_level(caplog):
    caplog.set_level(logging.INFO)


def test_an_alert_is_listed_where_it_was_sent(sandbox, alerting, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__NAMESPACE", "staging")
    DialogTechSmsNotifier()(failure())
    assert [message.is_alert for message in open_messages().list(since=60)] == [True]
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__NAMESPACE", "production")
    assert open_messages().list(since=60) == []


@pytest.mark.parametrize("dedup_key", [None, "the nightly load"])
def test_the_same_failure_of_another_airflow_suppresses_no_alert(sandbox, alerting, monkeypatch, dedup_key):
    for namespace in ("staging", "production", "production"):
        monkeypatch.setenv("AIRFLOW__DIALOGTECH__NAMESPACE", namespace)
        DialogTechSmsNotifier(dedup_key=dedup_key)(failure())
    assert len(bodies(sandbox)) == 2


def test_the_same_run_of_another_airflow_is_told_of(sandbox, alerting, monkeypatch):
    for namespace in ("staging", "production"):
        monkeypatch.setenv("AIRFLOW__DIALOGTECH__NAMESPACE", namespace)
        FailedRunNotifier("dialogtech_default")(failure())
    assert len(bodies(sandbox)) == 2


@pytest.mark.parametrize("variable", ["NAMESPCE", "ALERT_ONN"])
def test_a_misspelt_option_takes_no_detail_from_an_alert(sandbox, alerting, monkeypatch, variable):
    monkeypatch.setenv(f"AIRFLOW__DIALOGTECH__{variable}", "any")
    for dag_id in ("etl", "report"):
        DialogTechSmsNotifier()(failure(dag_id=dag_id))
    assert [body.partition(" failed")[0] for body in bodies(sandbox)] == ["Airflow: etl.load", "Airflow: report.load"]
