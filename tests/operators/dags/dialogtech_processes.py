"""Tasks whose code runs in processes of their own, which send the same text twice, as a retry would."""

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

SCRIPT = """
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
DialogTechHook().send_sms(to="{to}", message="from a shell")
"""
# A second try is a second process with the same variables.
TWICE = "{python} -c '{script}' && {python} -c '{script}'"


def shell(to: str) -> str:
    return TWICE.format(python=sys.executable, script=SCRIPT.format(to=to))


with DAG(dag_id="dialogtech_processes", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    BashOperator(task_id="single", bash_command=shell("5556667621"), do_xcom_push=False)
    BashOperator(
        task_id="with_env", bash_command=shell("5556667622"), do_xcom_push=False, env={"MORE": "1"}, append_env=True
    )
    BashOperator.partial(task_id="mapped", bash_command=shell("5556667623"), do_xcom_push=False).expand(
        env=[{"N": "1"}, {"N": "2"}], append_env=[True]
    )
