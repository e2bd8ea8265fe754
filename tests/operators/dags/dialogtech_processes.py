"""Tasks whose code runs in processes of their own, which send the same message twice, as a retry would."""

import sys
from datetime import datetime, timezone

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:
    from airflow.operators.bash import BashOperator

# A second try is a second process with the same variables. Both are forks of one that has loaded what takes seconds.
SCRIPT = """
import os
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
for _ in range(2):
    if not os.fork():
        DialogTechHook().send_sms(to="5556667621", message="from a shell")
        os._exit(0)
    assert os.wait()[1] == 0
"""

with DAG(dag_id="dialogtech_processes", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    BashOperator.partial(task_id="mapped", bash_command=f"{sys.executable} -c '{SCRIPT}'", do_xcom_push=False).expand(
        env=[{"N": "1"}, {"N": "2"}], append_env=[True]
    )
