"""The file of reported errors, and how long it rests, after an alert was sent or failed."""

import time

import pytest

from airflow_provider_dialogtech.alerts import import_errors
from airflow_provider_dialogtech.alerts.import_errors import Broken, body_of
from airflow_provider_dialogtech.alerts.reported_errors import Reported, ReportedErrors
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from tests.alerts.conftest import ALICE, bodies, failure
from tests.conftest import FROM_NUMBERS

BEFORE = Reported(frozenset({"an earlier one"}), 1.0)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Let the alert have an outcome, and return the content of the file then."""
    file = ReportedErrors.lock(str(tmp_path))
    file.write(BEFORE)

    def written(outcome):
        monkeypatch.setattr(import_errors, "alert_all_broken", lambda error, before: outcome)
        import_errors.alert_new_errors(file, "e")
        return file.read()

    yield written
    file.close()


def test_reported_errors_rest_for_the_cooldown(written):
    reported = written([Broken("etl.py", "KeyError", "e"), Broken("load.py", "KeyError", "f")])
    assert reported.errors == {"e", "f"}
    assert reported.rests_until - time.time() == pytest.approx(900, abs=60)


def test_a_failed_alert_is_retried_after_minutes(written):
    reported = written(None)
    assert reported.errors == BEFORE.errors
    assert reported.rests_until - time.time() == pytest.approx(300, abs=60)


def test_without_broken_files_the_file_is_not_changed(written):
    assert written([]) == BEFORE


@pytest.mark.parametrize(
    ("count", "body"),
    [
        (1, "Airflow: 1 DAG file does not parse: 0.py: KeyError"),
        (2, "Airflow: 2 DAG files do not parse: 0.py: KeyError"),
    ],
)
def test_the_body_counts_the_files_and_names_the_first(count, body):
    assert body_of([Broken(f"{n}.py", "KeyError") for n in range(count)]) == body


@pytest.mark.parametrize(
    ("stacktrace", "reason"),
    [
        (
            "1 validation error for DagSpec\ntasks.0\n  Value error, 'on_failure_callback' is not implemented "
            "[type=value_error, input_value={'to': '5556667777'}, input_type=dict]\n"
            "    For further information visit https://errors.pydantic.dev/2.14/v/value_error",
            "Value error, 'on_failure_callback' is not implemented",
        ),
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


BROKEN = [Broken("etl.py", "KeyError: 'x'", "e")]


@pytest.fixture
def a_processor(monkeypatch, tmp_path):
    """A dag-processor with a home of its own, which tells of a file that cannot be parsed."""
    broken = list(BROKEN)
    monkeypatch.setattr(import_errors, "broken_after_commit", lambda error: broken)

    def tell(name="a processor", *, file=None):
        broken[:] = BROKEN if file is None else [Broken(file, "KeyError: 'x'", f"that of {file}")]
        (tmp_path / name).mkdir(exist_ok=True)
        file = ReportedErrors.lock(str(tmp_path / name))
        try:
            import_errors.alert_new_errors(file, "e")
            return file.read()
        finally:
            file.close()

    return tell


def assert_tried_again_soon(reported):
    assert reported.errors == frozenset()
    assert reported.rests_until - time.time() == pytest.approx(300, abs=60)


def test_a_broken_file_whose_alert_is_beyond_the_budget_is_not_taken_for_reported(
    sandbox, connect_sandbox, a_processor
):
    """Seen: it was never reported at all."""
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "alert_to": ALICE, "alert_budget": 1})
    DialogTechSmsNotifier("another alert")(failure())
    assert_tried_again_soon(a_processor())
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "alert_to": ALICE, "alert_budget": 2})
    assert a_processor().errors == {"e"}
    assert len(bodies(sandbox)) == 2


def test_of_two_dag_processors_on_one_journal_one_reports_what_both_see_and_each_what_it_alone_sees(
    sandbox, alerting, a_processor
):
    """Seen: what one had reported suppressed the other's broken file, which was never reported."""
    assert a_processor("one machine").errors == {"e"}
    assert a_processor("another machine").errors == {"e"}
    assert len(bodies(sandbox)) == 1
    assert a_processor("another machine", file="other.py").errors == {"that of other.py"}
    assert len(bodies(sandbox)) == 2
    assert "other.py" in bodies(sandbox)[1]


def test_a_broken_file_whose_alert_fails_is_not_taken_for_reported(sandbox, alerting, a_processor):
    sandbox.fault("refused", times=1)
    assert_tried_again_soon(a_processor())
    assert a_processor().errors == {"e"}
