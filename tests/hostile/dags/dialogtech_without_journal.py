"""A message and an alert that fail because the journal is unavailable."""

from datetime import datetime, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

BODY = "a very private message"
NUMBER = "5556667776"

with DAG("dialogtech_without_journal", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    DialogTechSendSmsOperator(
        task_id="send",
        to=NUMBER,
        message=BODY,
        max_wait=1,
        dialogtech_conn_id="in_doubt",
        on_failure_callback=DialogTechSmsNotifier(BODY, to=NUMBER, dialogtech_conn_id="wrong_timeout"),
    )
