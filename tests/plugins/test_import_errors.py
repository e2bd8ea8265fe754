"""DAG files that cannot be parsed, through Airflow's own dag-processor."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from airflow_provider_dialogtech.alerts import import_errors as alerting
from airflow_provider_dialogtech.alerts.import_errors import Broken, body_of
from airflow_provider_dialogtech.alerts.reported_errors import NAME, Reported, ReportedErrors, error_of
from airflow_provider_dialogtech.plugins import import_errors
from airflow_provider_dialogtech.plugins.import_errors import ImportErrorWatch
from tests.alerts.conftest import ALICE
from tests.conftest import FROM_NUMBERS

TERMINAL = 240
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


def arrived(sandbox, count=1, seconds=120):
    """Return what arrived, once it did: the process that sends them goes on when the dag-processor has ended."""
    until = time.monotonic() + seconds
    while len(sandbox.accepted()) < count and time.monotonic() < until:
        time.sleep(0.1)
    return [sms["message"] for sms in sandbox.accepted()]


def wait_for_the_process_that_sends(airflow_home):
    """Return what it has written down, once it has ended."""
    until = time.monotonic() + 60
    while (file := ReportedErrors.lock(str(airflow_home))) is None:
        assert time.monotonic() < until
        time.sleep(0.1)
    reported = file.read()
    file.close()
    return reported


@pytest.fixture
def oncall(connect_sandbox):
    return connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "alert_to": ALICE})


@pytest.mark.usefixtures("metadata_db", "oncall")
def test_broken_files_are_one_message_of_one_process(airflow_home, dags, sandbox, own_journal):
    for n in range(3):
        (dags / f"etl_{n}.py").write_text(f"from airflow import DAG\n{ETL}")
    parse(dags)
    (body,) = arrived(sandbox)
    assert body.startswith("Airflow: 3 DAG files do not parse: etl_")
    assert body.endswith("KeyError: 'region'")
    # Airflow 2 parses each file in a process of its own, and all of them several times.
    assert len(wait_for_the_process_that_sends(airflow_home).errors) == 3
    with closing(sqlite3.connect(own_journal)) as journal:
        assert journal.execute("SELECT suppressed FROM dialogtech_alerts").fetchall() == [(0,)]


@pytest.fixture
def home(monkeypatch, tmp_path):
    """An own AIRFLOW_HOME, which holds the file of reported errors."""
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", "import_error")
    monkeypatch.setattr("airflow.configuration.AIRFLOW_HOME", str(tmp_path))
    return str(tmp_path)


@pytest.fixture
def started(monkeypatch, home):
    """The processes that were started instead of those that send alerts. They end when their input is closed."""
    processes = []
    command = (sys.executable, "-c", "import sys; sys.stdin.read()")

    class Started(subprocess.Popen):
        def __init__(self, _command, **options):
            super().__init__(command, **options | {"stdin": subprocess.PIPE})
            processes.append(self)

    monkeypatch.setattr(import_errors.subprocess, "Popen", Started)
    yield processes
    for process in processes:
        process.communicate()


def end(process, home, *reported, rests=0.0):
    """End a process that has reported errors, with a rest of some seconds."""
    process.communicate()
    file = ReportedErrors.lock(home)
    file.write(Reported(frozenset(error_of(*error) for error in reported), time.time() + rests))
    file.close()


@pytest.mark.parametrize("where", ["", "/opt/airflow/dags/"])
def test_a_reported_error_does_not_start_a_process_at_each_parsing(started, home, where):
    ImportErrorWatch().note("etl.py", "KeyError", is_new=True)
    end(started[0], home, ("etl.py", "KeyError"))
    for _ in range(3):
        ImportErrorWatch().note(f"{where}etl.py", "KeyError", is_new=False)
    assert len(started) == 1
    ImportErrorWatch().note("etl.py", "ValueError", is_new=False)
    assert len(started) == 2


def test_a_file_that_was_fixed_and_breaks_again_is_reported_again(started, home):
    end(started_for(started, "etl.py"), home, ("etl.py", "KeyError"), rests=60)
    ImportErrorWatch().note("etl.py", "KeyError", is_new=True)
    assert len(started) == 1, "within the cooldown no alert is sent"
    file = ReportedErrors.lock(home)
    file.write(Reported(file.read().errors))
    file.close()
    ImportErrorWatch().note("etl.py", "KeyError", is_new=False)
    assert len(started) == 2


def started_for(started, file):
    ImportErrorWatch().note(file, "KeyError", is_new=True)
    return started[-1]


def test_one_process_runs_at_a_time_and_later_errors_are_reported_at_the_next_parsing(started, home):
    process = started_for(started, "a.py")
    noted = Path(home, NAME).stat().st_mtime_ns
    time.sleep(0.02)  # longer than a tick of the file system's clock
    # As of another dag-processor, and of each file in Airflow 2.
    ImportErrorWatch().note("b.py", "KeyError", is_new=True)
    assert len(started) == 1
    assert Path(home, NAME).stat().st_mtime_ns > noted, "the process waits until no more errors come"
    end(process, home, ("a.py", "KeyError"))
    ImportErrorWatch().note("b.py", "KeyError", is_new=False)
    assert len(started) == 2


def test_an_error_with_a_changing_message_starts_no_process_within_the_cooldown(started, home):
    end(started_for(started, "a.py"), home, ("a.py", "KeyError"), rests=60)
    for n in range(5):
        ImportErrorWatch().note("a.py", f"<object at 0x{n}>", is_new=False)
    assert len(started) == 1


@pytest.mark.parametrize("written", ["", "[]", "{", '{"errors": 1, "rests_until": 0}', '{"errors": []}', "7" * 5000])
def test_a_file_that_cannot_be_read_counts_as_empty(started, home, written):
    Path(home, NAME).write_text(written)
    assert started_for(started, "a.py")


def test_a_clock_that_was_set_back_does_not_suppress_it(started, home):
    end(started_for(started, "a.py"), home, rests=1e9)
    ImportErrorWatch().note("a.py", "KeyError", is_new=False)
    assert len(started) == 2


def test_the_process_has_a_low_priority(started, home):
    assert os.getpriority(os.PRIO_PROCESS, started_for(started, "a.py").pid) == 10


def test_without_the_setting_nothing_is_started(started, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", "dag_failed")
    ImportErrorWatch().note("etl.py", "KeyError", is_new=True)
    assert not started


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 always looks in the working directory")
def test_the_process_imports_nothing_from_the_working_directory(monkeypatch, home):
    """A folder of DAGs may be one, and the dag-processor may use Airflow's database."""
    hostile = Path(home, "colorsys.py")
    hostile.touch()
    monkeypatch.chdir(home)
    # As `-m` does with a module of ours, but without the 3 s in which it waits for errors.
    show = f"import sys; sys.exit(sys.modules['colorsys'].__file__ == {str(hostile)!r})"
    monkeypatch.setattr(import_errors, "COMMAND", (sys.executable, "-c", f"import colorsys; {show}"))
    watch = ImportErrorWatch()
    watch.note("etl.py", "KeyError", is_new=True)
    assert watch._process.wait(60) == 0


def test_the_dag_processor_goes_on_where_no_process_can_be_started(monkeypatch, home, caplog):
    monkeypatch.setattr(import_errors, "COMMAND", ("/nowhere/python",))
    ImportErrorWatch().note("etl.py", "KeyError", is_new=True)
    assert "about DAG files that cannot be parsed could not be started." in caplog.text


def test_dag_processors_on_two_machines_message_once(tmp_path, monkeypatch, oncall, sandbox):
    monkeypatch.setattr(alerting, "broken_files", lambda: [Broken("etl.py", "KeyError", "an error")])
    for machine in ("one", "another"):
        (tmp_path / machine).mkdir()
        file = ReportedErrors.lock(str(tmp_path / machine))
        alerting.alert_new_errors(file, "an error")
        assert file.read().errors == {"an error"}
        file.close()
    assert len(sandbox.accepted()) == 1


def test_an_error_that_could_not_be_reported_is_retried(metadata_db, home, monkeypatch, connection, caplog):
    connection(extra={"from_numbers": FROM_NUMBERS[0]})  # no recipient
    monkeypatch.setattr(alerting, "broken_files", lambda: [Broken("etl.py", "KeyError", "an error")])
    file = ReportedErrors.lock(home)
    alerting.alert_new_errors(file, "an error")
    reported = file.read()
    file.close()
    assert not reported.errors
    assert reported.is_resting
    assert "no recipients" in caplog.text


@pytest.mark.parametrize(
    ("stacktrace", "reason"),
    [
        ('Traceback (most recent call last):\n  File "a.py", line 2, in <module>\n    x\nKeyError: 1\n', "KeyError: 1"),
        ('  File "a.py", line 1\n    foo(\n       ^\nSyntaxError: never closed\n', "SyntaxError: never closed"),
        ('  File "a.py", line 1, in f\n    g()\nInvalid: 1 error\nregion\nSee https://a/\n', "Invalid: 1 error"),
        ("AirflowDagCycleException: a cycle", "AirflowDagCycleException: a cycle"),
        ("", "the reason is in Airflow's import errors"),
    ],
)  # fmt: skip
def test_the_reason_is_the_line_that_names_the_error(stacktrace, reason):
    assert Broken.of("etl.py", stacktrace).reason == reason


def test_a_transaction_that_is_long_in_ending_is_waited_for(monkeypatch):
    answers = [[], [Broken("old.py", "old", "1")], [Broken("new.py", "new", "2"), Broken("old.py", "old", "1")]]
    monkeypatch.setattr(alerting, "broken_files", lambda: answers.pop(0))
    assert len(alerting.broken_after_commit("2")) == 2


def test_an_error_that_never_comes_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(alerting, "MOST_SECONDS_TO_COMMIT", 0.0)
    monkeypatch.setattr(alerting, "broken_files", lambda: [Broken("old.py", "old", "1")])
    assert len(alerting.broken_after_commit("2")) == 1


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(alerting, "SECONDS_TO_COMMIT", 0.01)


def test_a_newly_broken_file_is_named_before_those_already_reported(monkeypatch, home, connection):
    connection(extra={"from_numbers": FROM_NUMBERS[0], "alert_to": ALICE})
    bodies = []
    monkeypatch.setattr(alerting, "broken_files", lambda: [Broken("old.py", "old", "1"), Broken("new.py", "new", "2")])
    monkeypatch.setattr(alerting, "deliver", lambda alert, *_: bodies.append(alert.body) or True)
    assert len(alerting.alert_all_broken("2", frozenset({"1"}))) == 2
    assert bodies == ["Airflow: 2 DAG files do not parse: new.py: new"]


def test_the_message_has_no_secret():
    body = body_of([Broken("etl.py", "OperationalError: postgresql://ada:secret@db/ password=hunter2 for 5556667777")])
    assert body.startswith("Airflow: 1 DAG file does not parse: etl.py: OperationalError")
    for secret in ("secret", "hunter2", "5556667777"):
        assert secret not in body
