import pytest

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
