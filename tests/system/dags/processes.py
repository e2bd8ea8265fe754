"""Code that a task runs in a process of its own: it sends a message and fails afterwards, in the first try only."""

import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task
try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:  # Airflow 2
    from airflow.operators.bash import BashOperator

# A virtual environment is made of the first Python of the PATH that is none itself: the packages belong to ours.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.base_prefix) / "bin"), os.environ["PATH"]])

OPTIONS = {"retries": 1, "retry_delay": timedelta(seconds=1)}
TRY = "{{ ti.try_number }}"


def text_and_fail_once(to, try_number):
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook

    result = DialogTechHook().send_sms(to=to, message="From another Python")
    if try_number == "1":
        raise RuntimeError("a mistake after the message")
    return result


with DAG("processes_virtualenv", schedule="@once", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    # It finds Airflow and this package where the task does: installing them anew would take minutes. A task with an
    # external Python runs in the same way, without making its environment first. The second try finds the environment
    # of the first.
    task.virtualenv(
        requirements=[],
        venv_cache_path=str(Path(os.environ["AIRFLOW_HOME"]) / "environments"),
        env_vars={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        **OPTIONS,
    )(text_and_fail_once)("5556667932", TRY)

SCRIPT = """
import json
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
print(json.dumps(DialogTechHook().send_sms(to="5556667933", message="From a shell script")))
"""

with DAG("processes_shell_script", schedule="@once", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    BashOperator(
        task_id="text_and_fail_once", bash_command=f"{sys.executable} -c '{SCRIPT}' && [ {TRY} != 1 ]", **OPTIONS
    )
