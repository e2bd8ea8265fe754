"""A DAG whose task `load` fails at its first run, and works at the second."""

import os
from datetime import datetime, timezone
from pathlib import Path

from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

with DAG(
    dag_id="works_again",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    default_args={
        "on_failure_callback": DialogTechSmsNotifier(),
        "on_success_callback": DialogTechSmsNotifier(resolved=True),
    },
):

    @task
    def extract():
        pass

    @task
    def load():
        marker = Path(os.environ["FAILED_BEFORE"])
        if not marker.exists():
            marker.touch()
            raise ConnectionError("the warehouse does not answer")

    extract() >> load()
