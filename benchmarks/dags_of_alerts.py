"""A DAG that fails at a moment which its alerts tell, and one that messages many people beside it.

Copied into the DAG folder of `benchmarks.alerts`.
"""

import os
import time
from datetime import datetime, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
MAPPED = [f"5556{n:06}" for n in range(int(os.environ.get("MAPPED_TASKS", "0")))]

with DAG(
    dag_id="fails",
    schedule=None,
    start_date=START,
    on_failure_callback=DialogTechSmsNotifier("{{ run_id }}", to="5556667702", cooldown=None),
):

    @task(on_failure_callback=DialogTechSmsNotifier("{{ run_id }} {{ exception }}", to="5556667701", cooldown=None))
    def fail():
        raise RuntimeError(time.time())

    fail()

with DAG("texts_many", schedule=None, start_date=START, max_active_tasks=64):
    DialogTechSendSmsOperator.partial(task_id="text", message="Hello").expand(to=MAPPED)
