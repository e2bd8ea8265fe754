"""A list that takes so long that somebody can stop it, and one that is killed."""

import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

START = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc)}


class TellsWhenStopped(DialogTechSendBulkSmsOperator):
    """Writes down when Airflow asked it to stop."""

    def on_kill(self):
        Path(os.environ["AIRFLOW_HOME"], "asked_to_stop_at").write_text(str(time.time()))
        super().on_kill()


with DAG("bulk_stopped", **START):
    TellsWhenStopped(
        task_id="text",
        recipients=[f"555666{number}" for number in range(1000, 1030)],
        message="Hi, it is {{ macros.datetime.now() }}",
        dialogtech_conn_id="dialogtech_lists",
    )

with DAG("bulk_killed", **START, default_args={"retries": 1, "retry_delay": timedelta(seconds=1)}):
    DialogTechSendBulkSmsOperator(
        task_id="text", recipients=[f"555666{number}" for number in range(2000, 2012)], message="Hi"
    )
