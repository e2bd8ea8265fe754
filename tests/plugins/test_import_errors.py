"""DAG files that cannot be parsed, through Airflow's own dag-processor."""

import os
import subprocess
import sys
import time
from importlib.metadata import version

import pytest

from airflow_provider_dialogtech.alerts.import_errors import Broken, text_of
from airflow_provider_dialogtech.plugins import import_errors
from airflow_provider_dialogtech.plugins.import_errors import ImportErrorWatch
from tests.alerts.conftest import ALICE
from tests.conftest import FROM_NUMBERS

TERMINAL = 120
IS_AIRFLOW_2 = version("apache-airflow").startswith("2.")
ETL = "regions = {}\nregions['region']\n"


@pytest.fixture
def dags(airflow_home):
    """A folder of broken DAG files."""
    folder = airflow_home / "broken_dags"
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


def parse(dags):
    """Let Airflow parse the folder: by its dag-processor, which on SQLite is a part of the scheduler in Airflow 2."""
    environment = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__DIALOGTECH__ALERT_ON": "import_error",
        **({"AIRFLOW__CORE__EXECUTOR": "SequentialExecutor"} if IS_AIRFLOW_2 else {}),
    }
    component = ["scheduler", "--num-runs", "15"] if IS_AIRFLOW_2 else ["dag-processor", "--num-runs", "1"]
    command = [sys.executable, "-m", "airflow", *component]
    subprocess.run(command, env=os.environ | environment, timeout=TERMINAL, check=True, capture_output=True)


def arrived(sandbox, count=1, seconds=30):
    """Return what arrived, once it did: the process that texts goes on when the dag-processor has ended."""
    until = time.monotonic() + seconds
    while len(sandbox.accepted()) < count and time.monotonic() < until:
        time.sleep(0.1)
    return [text["message"] for text in sandbox.accepted()]


def test_broken_files_are_one_text(metadata_db, dags, sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "alert_to": ALICE})
    for n in range(3):
        (dags / f"etl_{n}.py").write_text(f"from airflow import DAG\n{ETL}")
    parse(dags)
    (text,) = arrived(sandbox)
    assert text.startswith("Airflow: 3 DAG files do not parse: etl_")
    assert text.endswith("KeyError: 'region'")


@pytest.fixture
def started(monkeypatch):
    """The processes that were started instead of those that text: they end when they are told to."""
    processes = []
    command = (sys.executable, "-c", "import sys; sys.stdin.read()")

    class Started(subprocess.Popen):
        def __init__(self, _command, **options):
            super().__init__(command, **options | {"stdin": subprocess.PIPE})
            processes.append(self)

    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", "import_error")
    monkeypatch.setattr(import_errors.subprocess, "Popen", Started)
    yield processes
    for process in processes:
        process.communicate()


def test_an_error_that_was_told_starts_no_second_process_each_time_its_file_is_parsed(started):
    watch = ImportErrorWatch()
    watch.note("etl.py", "KeyError")
    started[0].communicate()
    for _ in range(3):
        watch.note("etl.py", "KeyError")
    assert len(started) == 1
    watch.note("etl.py", "ValueError")
    assert len(started) == 2


def test_one_process_runs_at_a_time_and_what_broke_meanwhile_is_told_when_it_is_parsed_again(started):
    watch = ImportErrorWatch()
    watch.note("a.py", "KeyError")
    watch.note("b.py", "KeyError")
    assert len(started) == 1
    started[0].communicate()
    watch.note("b.py", "KeyError")
    assert len(started) == 2


def test_without_the_setting_nothing_is_started(started, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", "dag_failed")
    ImportErrorWatch().note("etl.py", "KeyError")
    assert not started


def test_the_dag_processor_goes_on_where_no_process_can_be_started(monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", "import_error")
    monkeypatch.setattr(import_errors, "_COMMAND", ("/nowhere/python",))
    ImportErrorWatch().note("etl.py", "KeyError")
    assert "No alert about a DAG file that cannot be parsed could be started." in caplog.text


def test_the_text_has_no_secret():
    text = text_of([Broken("etl.py", "OperationalError: postgresql://ada:secret@db/ password=hunter2 for 5556667777")])
    assert text.startswith("Airflow: 1 DAG file does not parse: etl.py: OperationalError")
    for secret in ("secret", "hunter2", "5556667777"):
        assert secret not in text
