from types import SimpleNamespace

import pytest

from tests.conftest import FROM_NUMBERS

ALICE, BOB = "5556667777", "5556668888"


@pytest.fixture(autouse=True)
def own_local_journals(monkeypatch, tmp_path):
    """Give each test its own local journals."""
    (tmp_path / "home").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("airflow.configuration.AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def alerting(connect_sandbox):
    """A connection to the sandbox whose alerts go to Alice."""
    return connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS), "alert_to": ALICE})


def context_of(state="failed", **changes):
    """The parts of a task callback's context that these tests need."""
    facts = {"dag_id": "etl", "task_id": "load", "run_id": "manual__2026-01-02T03:04:05.678901+00:00"}
    facts |= {"state": state, "try_number": 2, "max_tries": 2, "map_index": -1, "start_date": None, "end_date": None}
    ti = SimpleNamespace(**facts | changes)
    return {"ti": ti, "task": SimpleNamespace(), "dag": None, "run_id": ti.run_id}


def failure(error="no such table", **changes):
    """The context of a task that failed."""
    return context_of("failed", **changes) | {"exception": RuntimeError(error)}


def bodies(sandbox, *, to=None):
    """The bodies of the accepted messages, in order."""
    return [sms["message"] for sms in sandbox.accepted() if to in {None, sms["to"]}]
