"""
### Send alerts about DAGs without a notifier

`extract` fails on purpose, and this DAG has no notifier. With these lines in `airflow.cfg`, a failed run of any DAG and
a DAG file that cannot be parsed send an alert to the connection's `alert_to`:

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
