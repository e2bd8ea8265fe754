"""What a notifier's callbacks do in a real Airflow, from one run of a DAG to the next."""

from pathlib import Path

import pytest

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.alerts.conftest import ALICE
from tests.conftest import FROM_NUMBERS, connection_as_json
from tests.running import run_dag

pytestmark = pytest.mark.timeout(400)

WORKS_AGAIN = Path(__file__).parent / "dags" / "works_again.py"


def test_a_dag_that_failed_reports_once_that_its_task_works_again(metadata_db, tmp_path):
    with running_sandbox(numbers=FROM_NUMBERS) as sandbox:
        extra = {"from_numbers": ",".join(FROM_NUMBERS), "alert_to": ALICE}
        keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key, "host": sandbox.url}
        environment = {
            "FAILED_BEFORE": str(tmp_path / "failed"),
            "AIRFLOW__DIALOGTECH__JOURNAL_URL": f"sqlite:///{tmp_path / 'journal.db'}",
            "AIRFLOW_CONN_DIALOGTECH_DEFAULT": connection_as_json(**keys, extra=extra),
        }
        for _ in range(3):
            run_dag(WORKS_AGAIN, **environment)
        failed, works = [sms["message"] for sms in sandbox.accepted()]
    assert failed.startswith("Airflow: works_again.load failed at ")
    assert works.startswith("Airflow: works_again.load works again, after 1 failure in ")
