import pytest

from airflow_provider_dialogtech.api.errors import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.hooks.journal import journal_store

POSTGRES = "postgresql+psycopg2://airflow:pa55@db/airflow"


@pytest.fixture(autouse=True)
def a_local_executor(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")


def test_on_one_machine_the_journal_is_a_file_without_any_setting():
    assert journal_store().is_file


def test_several_machines_share_a_postgres(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", POSTGRES)
    assert not journal_store().is_file


@pytest.mark.parametrize(
    ("executor", "named"),
    [
        ("CeleryExecutor", "CeleryExecutor"),
        ("KubernetesExecutor", "KubernetesExecutor"),
        ("LocalExecutor,KubernetesExecutor", "KubernetesExecutor"),
        ("airflow.providers.celery.executors.celery_executor.CeleryExecutor", "CeleryExecutor"),
        ("airflow.providers.celery.executors.celery_executor.CeleryExecutor:Remote", "CeleryExecutor"),
        ("LocalExecutor;sales=CeleryExecutor", "CeleryExecutor"),
    ],
)
def test_a_file_is_no_journal_where_tasks_run_elsewhere(monkeypatch, executor, named):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    with pytest.raises(JournalUnavailable, match=f"not sent: {named} may run.*AIRFLOW__DIALOGTECH__JOURNAL_URL"):
        journal_store()


def test_a_person_may_allow_a_file_all_the_same(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALLOW_LOCAL_JOURNAL", "True")
    assert journal_store().is_file


@pytest.mark.parametrize("executor", ["LocalExecutor", "SequentialExecutor", "my.module.LocalExecutor"])
def test_a_file_is_a_journal_where_tasks_run_beside_their_scheduler(monkeypatch, executor):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    assert journal_store().is_file


def test_another_database_is_refused_without_showing_its_password(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", "mysql://airflow:pa55@db/airflow")
    with pytest.raises(InvalidConnection) as raised:
        journal_store()
    assert "pa55" not in str(raised.value)
