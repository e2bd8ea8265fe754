"""What is written down, and for how long nothing more is texted, after broken DAG files were texted or could not be."""

import time

import pytest

from airflow_provider_dialogtech.alerts import import_errors
from airflow_provider_dialogtech.alerts.import_errors import Broken, body_of
from airflow_provider_dialogtech.alerts.reported_errors import Reported, ReportedErrors

BEFORE = Reported(frozenset({"an earlier one"}), 1.0)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Let texting end in some way; return what is written down then."""
    file = ReportedErrors.lock(str(tmp_path))
    file.write(BEFORE)

    def written(outcome):
        monkeypatch.setattr(import_errors, "alert_all_broken", lambda error, before: outcome)
        import_errors.alert_new_errors(file, "e")
        return file.read()

    yield written
    file.close()


def test_what_was_texted_is_texted_again_after_the_cooldown_at_the_earliest(written):
    reported = written([Broken("etl.py", "KeyError", "e"), Broken("load.py", "KeyError", "f")])
    assert reported.errors == {"e", "f"}
    assert reported.rests_until - time.time() == pytest.approx(900, abs=60)


def test_what_could_not_be_texted_is_tried_again_in_some_minutes(written):
    reported = written(None)
    assert reported.errors == BEFORE.errors
    assert reported.rests_until - time.time() == pytest.approx(300, abs=60)


def test_where_nothing_is_broken_any_more_nothing_is_written(written):
    assert written([]) == BEFORE


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "Airflow: 1 DAG file does not parse: 0.py: KeyError"),
        (2, "Airflow: 2 DAG files do not parse: 0.py: KeyError"),
    ],
)
def test_the_newest_error_is_told(count, text):
    assert body_of([Broken(f"{n}.py", "KeyError") for n in range(count)]) == text


@pytest.mark.parametrize(
    ("stacktrace", "reason"),
    [
        ("Traceback\n  File\nKeyError: 'x'\n\n", "KeyError: 'x'"),
        ("", "the reason is in Airflow's import errors"),
        (None, "the reason is in Airflow's import errors"),
        ("\n " * 9, "the reason is in Airflow's import errors"),
        ("KeyError" + "x" * 900, "KeyError" + "x" * 292),
    ],
)
def test_the_reason_is_the_last_line_of_the_traceback(stacktrace, reason):
    found = Broken.of("/dags/etl.py", stacktrace)
    assert (found.file, found.reason) == ("etl.py", reason)
    assert Broken.of(None, stacktrace).file == "?"
