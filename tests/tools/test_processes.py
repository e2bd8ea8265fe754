"""Programs that the demo and the system tests start: none outlives them, and what went wrong can be read."""

import sys

import psutil
import pytest

from tools.processes import Background, BackgroundFailed, plain_environment

# Starts a child in a session of its own, tells its id, and ends or sleeps.
WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep({seconds})
"""


@pytest.fixture
def background(tmp_path):
    background = Background(tmp_path / "logs", plain_environment())
    yield background
    background.stop_all()


def start(background, name, code):
    background.start(name, sys.executable, "-c", code)


def printed(background, name):
    background.wait_until(f"{name} prints", lambda: background.log_of(name).read_text().endswith("\n"))
    return background.log_of(name).read_text().split()[0]


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


STOPS = {
    "one": lambda background: background.stop("parent"),
    "all": lambda background: background.stop_all(),
    "at once": lambda background: background.stop_all(at_once=True),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_a_stopped_program_leaves_no_descendant(background, stop):
    start(background, "parent", WITH_CHILD.format(seconds=600))
    child, parent = int(printed(background, "parent")), background.pid_of("parent")
    stop(background)
    psutil.wait_procs([psutil.Process(pid) for pid in (child, parent) if not is_gone(pid)], timeout=60)
    assert is_gone(child)
    assert is_gone(parent)


def test_a_child_whose_parent_has_died_is_found_and_ended(background):
    start(background, "parent", WITH_CHILD.format(seconds=0))
    child = int(printed(background, "parent"))
    psutil.Process(background.pid_of("parent")).wait(60)
    assert not is_gone(child)
    background.stop_all()
    psutil.wait_procs([psutil.Process(child)] if not is_gone(child) else [], timeout=60)
    assert is_gone(child)


def test_a_program_that_ends_while_it_is_needed_is_told_with_its_log(background):
    start(background, "scheduler", "raise SystemExit('no database')")
    with pytest.raises(BackgroundFailed, match=r"(?s)scheduler ended with 1\..*no database"):
        background.wait_until("the DAG has run", lambda: False)


def test_what_does_not_happen_in_time_is_told_with_the_logs(background):
    start(background, "scheduler", "import time; print('waiting', flush=True); time.sleep(600)")
    printed(background, "scheduler")
    with pytest.raises(BackgroundFailed, match=r"(?s)Not within 0\.1 s: the DAG has run\..*waiting"):
        background.wait_until("the DAG has run", lambda: False, seconds=0.1)


def test_a_command_that_fails_is_told_with_its_output(background):
    with pytest.raises(BackgroundFailed, match=r"(?s)airflow db ended with 3:.*locked"):
        background.run("airflow db", sys.executable, "-c", "import sys; print('locked'); sys.exit(3)")


def test_settings_of_another_airflow_are_left_out(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_DIALOGTECH_DEFAULT", "{}")
    assert not [name for name in plain_environment() if name.startswith("AIRFLOW_")]
