"""Tasks and alerts that fail wherever a traceback could show a key, a number or a message."""

import logging
from datetime import datetime, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

# It logs URLs at DEBUG.
logging.getLogger("urllib3").setLevel(logging.DEBUG)

START = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc)}
BODY = "a very private message"
NUMBER = "5556667779"


def send(conn_id, to, task_id=None):
    DialogTechSendSmsOperator(task_id=task_id or conn_id, to=to, message=BODY, dialogtech_conn_id=conn_id)


def alert(conn_id):
    @task(
        task_id=f"alert_{conn_id}",
        on_failure_callback=DialogTechSmsNotifier(BODY, to=NUMBER, dialogtech_conn_id=conn_id),
    )
    def fails():
        raise ValueError("a failure of its own")

    fails()


with DAG("dialogtech_tracebacks", **START):
    send("unreachable", "5556667771")
    send("in_doubt", "5556667772")
    send("wrong_keys", "5556667773")
    send("wrong_timeout", "5556667774")
    send("in_doubt", "5556667775 x", "wrong_number")
    DialogTechSendBulkSmsOperator(
        task_id="template_of_a_list",
        recipients=[{"to": "5556667778", "name": BODY}],
        message="{{ recipient.name }} {{ 1 / 0 }}",
        dialogtech_conn_id="in_doubt",
    )
    alert("unreachable")
    alert("wrong_timeout")
