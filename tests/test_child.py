"""A process that a task has started. `tests/system/test_processes.py` runs one in a real task."""

import os
import subprocess
import sys

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_dialogtech import _child

CHILD = os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "airflow-db-not-allowed:///"}
ASK = """
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
DialogTechHook().send_sms(to="5556667777", message="hi")
"""


@pytest.mark.skipif(airflow_version.startswith("2."), reason="Airflow 2 lets all processes read connections")
def test_a_shell_script_whose_standard_input_is_redirected_is_told_why_it_gets_no_connection():
    done = subprocess.run(
        [sys.executable, "-c", ASK], check=False, env=CHILD, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    expected = "upgrade to 3.1." if airflow_version.startswith("3.0.") else "standard input: do not redirect it."
    assert done.stderr.rstrip().endswith(expected)


def test_a_process_that_no_task_has_started_asks_as_ever():
    assert not _child.IS_CHILD
    assert _child.connect_to_task() == ""
