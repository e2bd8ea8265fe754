"""Two ways to text a list, for benchmarks/lists.py: one task for all, and a task for each."""

import os
from datetime import datetime, timezone

from airflow.sdk import DAG

from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator

NUMBERS = [f"5556{n:06}" for n in range(int(os.environ.get("LIST_LENGTH", "200")))]

START = datetime(2026, 1, 1, tzinfo=timezone.utc)

with DAG("one_task", schedule=None, start_date=START, max_active_tasks=64):
    DialogTechSendBulkSmsOperator(task_id="text", recipients=NUMBERS, message="Hello")

with DAG("a_task_each", schedule=None, start_date=START, max_active_tasks=64):
    DialogTechSendSmsOperator.partial(task_id="text", message="Hello").expand(to=NUMBERS)
