import subprocess
import sys
import time

import pytest

from airflow_provider_dialogtech.alerts import import_errors as alerting
from airflow_provider_dialogtech.alerts.reported_errors import ReportedErrors
from airflow_provider_dialogtech.plugins import import_errors


@pytest.fixture
def reported(tmp_path):
    file = ReportedErrors.lock(str(tmp_path))
    yield file
    file.close()


@pytest.fixture
def errors_come(monkeypatch, tmp_path):
    """Note an error in each of the first `count` waits; return the waits."""
    waits = []

    def come(count):
        def sleep(seconds, sleep=time.sleep):
            waits.append(seconds)
            sleep(0.02)  # longer than a tick of the file system's clock
            if len(waits) <= count:
                ReportedErrors.note_another(str(tmp_path))

        monkeypatch.setattr(import_errors.time, "sleep", sleep)
        return waits

    return come


def test_files_that_break_together_are_waited_for(reported, errors_come):
    waits = errors_come(2)
    import_errors.wait_for_the_last(reported)
    assert waits == [import_errors.SECONDS_WITHOUT_ERRORS] * 3


def test_the_wait_for_endless_errors_is_bounded(reported, errors_come, monkeypatch):
    monkeypatch.setattr(import_errors, "MOST_SECONDS_OF_ERRORS", 0.1)
    waits = errors_come(1000)
    import_errors.wait_for_the_last(reported)
    assert 1 <= len(waits) <= 5


def test_the_process_is_bounded_and_passes_the_error_on(reported, monkeypatch):
    done = []
    monkeypatch.setattr("signal.alarm", lambda seconds: done.append(("alarm", seconds)))
    monkeypatch.setattr(import_errors, "wait_for_the_last", lambda file: done.append(("wait", file.descriptor)))
    monkeypatch.setattr(alerting, "alert_new_errors", lambda file, error: done.append((file.descriptor, error)))
    import_errors.main(reported.descriptor, "an error")
    assert done == [("alarm", 300), ("wait", reported.descriptor), (reported.descriptor, "an error")]


def test_airflow_is_not_imported_while_it_waits():
    asked = "import sys, airflow_provider_dialogtech.plugins.import_errors; print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
