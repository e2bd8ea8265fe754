import pytest

from airflow_provider_dialogtech.decorators.sms import DialogTechSmsDecoratedOperator
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator
from airflow_provider_dialogtech.plugins.dialogtech import TABS, DialogTechPlugin
from airflow_provider_dialogtech.settings.config import login_path, page_path, task_path


@pytest.mark.parametrize(
    ("base_url", "path"),
    [("", ""), ("/", ""), ("http://airflow.example:8080", ""), ("https://example.com/airflow/", "/airflow")],
)
def test_every_path_begins_with_airflow_s(monkeypatch, base_url, path):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    assert page_path() == f"{path}/dialogtech/"
    assert task_path("etl", "a run", "load", -1) == f"{path}/dags/etl/runs/a%20run/tasks/load"
    assert login_path().startswith(f"{path}/api/v2/auth/login?next=")


def test_the_filter_is_in_the_page_s_url():
    assert page_path(dag_id="a&b", task_id="load") == "/dialogtech/?dag_id=a%26b&task_id=load"


@pytest.mark.skipif(not TABS, reason="a tab of some tasks came with Airflow 3.4")
def test_the_tasks_that_send_have_a_tab_with_their_messages():
    from airflow.plugins_manager import _validate_applies_to

    (tab,) = TABS
    assert tab in DialogTechPlugin.external_views
    assert _validate_applies_to("dialogtech", dict(tab), "external view")
    assert tab["href"] == f"{page_path()}?dag_id={{DAG_ID}}&run_id={{RUN_ID}}&task_id={{TASK_ID}}&hours=2160"
    decorated = DialogTechSmsDecoratedOperator.custom_operator_name
    senders = [DialogTechSendSmsOperator.__name__, DialogTechSendBulkSmsOperator.__name__, decorated]
    assert tab["applies_to"] == {"operator_name": senders}
