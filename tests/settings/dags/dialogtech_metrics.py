"""One message that is sent, one that is refused, and two alerts of which one is suppressed."""

from datetime import datetime, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    "dialogtech_metrics",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    default_args={"trigger_rule": "all_done"},
):
    sent = DialogTechSendSmsOperator(task_id="sent", to="5556667771", message="Hi", dialogtech_conn_id="metrics")
    throttled = DialogTechSendSmsOperator(
        task_id="throttled", to="5556667772", message="Hi", dialogtech_conn_id="metrics"
    )
    refused = DialogTechSendSmsOperator(task_id="refused", to="5556667773", message="Hi", dialogtech_conn_id="metrics")

    @task(on_failure_callback=DialogTechSmsNotifier(dialogtech_conn_id="metrics", to="5556667774"))
    def fails(number):
        raise ValueError

    sent >> throttled >> refused >> fails.expand(number=[1, 2])
