"""Texts in doubt that a person settles."""

from datetime import datetime, timezone

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

for name, to in {"sent": "5556667951", "unsent": "5556667952"}.items():
    with DAG(f"operations_{name}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):

        @task.dialogtech_sms(to=to, dialogtech_conn_id="dialogtech_delivery")
        def text():
            return "The load is done."

        text()
