"""A DAG that fails at a moment which its alerts tell. Copied into the DAG folder of `benchmarks.alerts`."""

import time
from datetime import datetime, timezone

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="fails",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    on_failure_callback=DialogTechSmsNotifier("{{ run_id }}", to="5556667702", cooldown=None),
):

    @task(on_failure_callback=DialogTechSmsNotifier("{{ run_id }} {{ exception }}", to="5556667701", cooldown=None))
    def fail():
        raise RuntimeError(time.time())

    fail()
