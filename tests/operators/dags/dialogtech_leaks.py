"""Tasks that fail wherever a plain client would show its URL."""

import logging
from datetime import datetime, timezone

from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

logging.getLogger("urllib3").setLevel(logging.DEBUG)

with DAG(dag_id="dialogtech_leaks", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    for conn_id, to in {
        "unreachable": "5556667771",
        "in_doubt": "5556667772",
        "refused": "5556667773",
        "wrong_setting": "5556667774",
    }.items():
        DialogTechSendSmsOperator(task_id=conn_id, to=to, message="a very private message", dialogtech_conn_id=conn_id)
