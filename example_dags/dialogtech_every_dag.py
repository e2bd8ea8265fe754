"""
### Be texted about a DAG that has no notifier

`extract` fails on purpose, and nothing in this file messages anybody. With this in `airflow.cfg`, the failed run of any
DAG is texted to the connection's `alert_to`, and so is a DAG file that cannot be parsed:

    [dialogtech]
    alert_on = dag_failed,import_error
    alert_conn_id = dialogtech_oncall
"""

from datetime import datetime, timezone

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="dialogtech_every_dag",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):

    @task
    def extract():
        raise ConnectionError("The shop does not answer")

    extract()
