from datetime import datetime, timezone
from functools import partial

import pytest
from airflow import settings

from airflow_provider_dialogtech._compat import BaseOperator
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier, FailedRunNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator
from tests.yaml_dags import dags_of

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG


@pytest.fixture(autouse=True)
def alert_on(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", "dag_failed")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_CONN_ID", "oncall")


def a_dag(**options):
    with DAG("etl", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), **options) as dag:
        BaseOperator(task_id="load")
    return dag


def ours(dag):
    callbacks = dag.on_failure_callback
    listed = callbacks if isinstance(callbacks, list) else [callbacks]
    return [callback for callback in listed if isinstance(callback, DialogTechSmsNotifier)]


def test_every_dag_gets_a_notifier_and_is_marked_as_having_a_callback():
    dag = a_dag()
    settings.dag_policy(dag)
    (notifier,) = ours(dag)
    assert (notifier.dialogtech_conn_id, notifier.event) == ("oncall", "dag_failed")
    assert dag.has_on_failure_callback


def test_the_callbacks_of_a_dag_stay_beside_it():
    dag = a_dag(on_failure_callback=print)
    settings.dag_policy(dag)
    assert dag.on_failure_callback[0] is print
    assert len(ours(dag)) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"on_failure_callback": DialogTechSmsNotifier()},
        {"on_failure_callback": [print, DialogTechSmsNotifier()]},
        {"default_args": {"on_failure_callback": DialogTechSmsNotifier()}},
        {"on_failure_callback": DialogTechSmsNotifier},
        {"on_failure_callback": [partial(DialogTechSmsNotifier, to="5556667777")]},
        {"default_args": {"on_failure_callback": DialogTechSmsNotifier}},
        {"on_failure_callback": [print], "default_args": {"on_failure_callback": [print, DialogTechSmsNotifier()]}},
    ],
)
def test_a_dag_that_has_a_notifier_gets_ours_after_it(options):
    """Its run may fail by a task without one, and other people may be told of it."""
    dag = a_dag(**options)
    settings.dag_policy(dag)
    assert isinstance(dag.on_failure_callback[-1], FailedRunNotifier)


def test_a_mapped_task_with_a_notifier_keeps_it():
    with DAG("etl", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        mapped = DialogTechSendSmsOperator.partial(task_id="load", on_failure_callback=[DialogTechSmsNotifier()])
        mapped.expand(to=["5556667777"], message=["Hi"])
    settings.dag_policy(dag)
    assert len(ours(dag)) == 1
    assert len(dag.get_task("load").on_failure_callback) == 1


def test_a_dag_whose_callbacks_are_both_lists_keeps_them_and_is_asked_twice_without_harm():
    dag = a_dag(on_failure_callback=[print, repr], default_args={"on_failure_callback": [print, repr]})
    settings.dag_policy(dag)
    settings.dag_policy(dag)
    assert dag.on_failure_callback[:2] == [print, repr]
    assert len(dag.on_failure_callback) == 3
    assert len(ours(dag)) == 1
    (task,) = dag.tasks
    assert list(task.on_failure_callback) == [print, repr]


@pytest.mark.parametrize("alert_on", ["", "import_error"])
def test_without_the_setting_nothing_is_added(monkeypatch, alert_on):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", alert_on)
    dag = a_dag()
    settings.dag_policy(dag)
    assert not ours(dag)
    assert not dag.has_on_failure_callback


def test_an_invalid_setting_is_logged_and_does_not_break_a_dag(monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", "everything")
    dag = a_dag()
    settings.dag_policy(dag)
    assert not ours(dag)
    assert "[dialogtech] alert_on must be some of dag_failed, import_error" in caplog.text


IN_YAML = """
$schema: https://airflow.apache.org/schemas/dag/2026-10-30.json
dag_id: etl_in_yaml
tasks:
  - id: template
    uses: airflow_provider_dialogtech.operators.sms.DialogTechSendSmsOperator
    with: {to: "5556667777", message: {$t: "The load of {{ run_id }} is done."}}
"""


@pytest.fixture
def in_yaml(tmp_path):
    return dags_of(IN_YAML, tmp_path)["etl_in_yaml"]


def test_a_dag_in_yaml_gets_a_notifier_too(in_yaml):
    from airflow.serialization.serialized_objects import DagSerialization

    assert len(ours(in_yaml)) == 1
    # The scheduler requests a DAG's callbacks only with it.
    assert DagSerialization.to_dict(in_yaml)["dag"]["has_on_failure_callback"] is True
