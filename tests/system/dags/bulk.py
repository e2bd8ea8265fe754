"""A list that takes so long that somebody can stop it, and one that is killed."""

from datetime import datetime, timedelta, timezone

from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

START = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc)}

with DAG("bulk_stopped", **START):
    DialogTechSendBulkSmsOperator(
        task_id="text", recipients=[f"555666{number}" for number in range(1000, 1060)], message="Hi"
    )

with DAG("bulk_killed", **START, default_args={"retries": 1, "retry_delay": timedelta(seconds=1)}):
    DialogTechSendBulkSmsOperator(
        task_id="text", recipients=[f"555666{number}" for number in range(2000, 2012)], message="Hi"
    )
