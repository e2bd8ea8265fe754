"""How a process that a task has started, such as a shell script's Python, asks Airflow 3 for connections.

Airflow 3 answers only the task's own process, through a socket that is its standard input. From 3.1 on, the process of
a `@task.virtualenv` asks through the same socket, which it inherits. With this module, every such process does. It must
be imported before Airflow.
"""

from __future__ import annotations

import os
import stat
import sys

_STDIN = 0

DATABASE_URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
DATABASE_NOT_ALLOWED = "airflow-db-not-allowed:"
"""Airflow 3 gives the processes of a task an address that no database has; it begins so."""

_ADDRESS = os.environ.get(DATABASE_URL, "")
IS_CHILD = _ADDRESS.startswith(DATABASE_NOT_ALLOWED) and "airflow.settings" not in sys.modules
if IS_CHILD:
    # Else the import of Airflow connects to that address, and fails. `@task.virtualenv` sets the same.
    os.environ["PYTHON_OPERATORS_VIRTUAL_ENV_MODE"] = "1"


def connect_to_task() -> str:
    """Let a process that a task has started read connections. In any other process, do nothing.

    :return: why it cannot read them; empty where it can.
    """
    if not IS_CHILD:
        return ""
    from airflow.sdk.execution_time import task_runner

    if hasattr(task_runner, "SUPERVISOR_COMMS"):
        return ""
    if not hasattr(task_runner, "reinit_supervisor_comms"):
        return "On Airflow 3.0, no process that a task has started can read connections; upgrade to 3.1."
    if not _is_socket(_STDIN):
        return (
            "A process that a task has started reads connections through the task's standard input: do not redirect it."
        )
    task_runner.reinit_supervisor_comms()
    return ""


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:  # closed
        return False
