"""
### Send only to testers

For staging: the extra of the connection `dialogtech_staging` lists the only recipients that messages are sent to,

    {"only_to": ["oncall"], "contacts": {"oncall": "(555) 666-7861"}, "from_numbers": "(555) 433-2111"}

A message to another recipient is held back. Its task succeeds, logs it, and returns the `status` `held_back`. With
`"only_to": []` all messages are held back.
"""

from datetime import datetime, timezone

from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

with DAG(
    dag_id="dialogtech_only_to",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    default_args={"dialogtech_conn_id": "dialogtech_staging"},
    tags=["dialogtech", "example"],
    doc_md=__doc__,
):
    DialogTechSendSmsOperator(task_id="send_to_a_tester", to="oncall", message="Your order comes today.")
    DialogTechSendSmsOperator(task_id="send_to_a_customer", to="(555) 666-7869", message="Your order comes today.")
