"""Failures in a real Airflow that shows the locals of each frame, with connections from its database.

Connections of the environment would show less of themselves.
"""

import json
import re
from pathlib import Path

import pytest

from airflow_provider_dialogtech.masking import encodings_of
from tests.conftest import ACCESS_KEY, FROM_NUMBERS, SECRET
from tests.hostile.dags.dialogtech_tracebacks import BODY
from tests.running import HOME, run_dag

pytestmark = pytest.mark.timeout(400)

DAGS = Path(__file__).parent / "dags"
JOURNAL_PASSWORD = "j0urnal-canary"
CLOSED_JOURNAL = f"postgresql+psycopg2://journal:{JOURNAL_PASSWORD}@127.0.0.1:{{port}}/journal"
# What Airflow 3 itself logs at DEBUG: what it masks, and the rendered fields.
OF_AIRFLOW = re.compile(r"MaskSecret\(value=|SetRenderedFields\(")


@pytest.fixture
def stored_connections(metadata_db, sandbox, unused_port):
    from airflow.models import Connection
    from airflow.utils.session import create_session

    standard = {"conn_type": "dialogtech", "host": sandbox.url, "login": sandbox.access_key}
    connections = {
        "unreachable": {"password": SECRET, "host": f"http://127.0.0.1:{unused_port}/ibp_api.php"},
        "in_doubt": {"password": sandbox.secret_access_key},
        "wrong_keys": {"password": SECRET, "login": ACCESS_KEY},
        "wrong_timeout": {"password": SECRET},
    }
    with create_session() as session:
        for conn_id, fields in connections.items():
            extra = {"from_numbers": FROM_NUMBERS[0]} | ({"timeout": "soon"} if conn_id == "wrong_timeout" else {})
            session.add(Connection(conn_id=conn_id, **standard | fields, extra=json.dumps(extra)))
    yield
    with create_session() as session:
        session.query(Connection).filter(Connection.conn_id.in_(connections)).delete()


def failed(dag_id: str, **environment: str) -> str:
    """Run a DAG all of whose tasks fail, and return what Airflow printed and logged."""
    done = run_dag(DAGS / f"{dag_id}.py", **environment)
    assert {state for states in done.states.values() for state in states} == {"failed"}, done.output
    logged = done.output + "".join(file.read_text() for file in HOME.glob(f"logs/**/dag_id={dag_id}/**/*.log"))
    return "\n".join(line for line in logged.splitlines() if not OF_AIRFLOW.search(line))


def assert_silent(logged: str, *secrets: str) -> None:
    for secret in secrets:
        assert not [form for form in encodings_of(secret) if form in logged]
    for private in ("555666777", FROM_NUMBERS[0], BODY):
        found = [line.strip() for line in logged.splitlines() if private in line]
        assert not found


def test_no_failure_leaves_a_key_a_number_or_a_message_in_a_log(stored_connections, sandbox):
    sandbox.fault("reset_after_accept", to="5556667772")
    logged = failed("dialogtech_tracebacks")

    for words in ("could not be reached", "may have been sent", "did not accept", "extra.timeout must be"):
        assert words in logged
    assert "ZeroDivisionError" in logged
    assert_silent(logged, sandbox.secret_access_key, SECRET)


def test_an_unavailable_journal_leaves_none_in_a_log(stored_connections, sandbox, unused_port):
    logged = failed(
        "dialogtech_without_journal",
        AIRFLOW__DIALOGTECH__JOURNAL_URL=CLOSED_JOURNAL.format(port=unused_port),
    )
    assert "journal" in logged
    assert_silent(logged, sandbox.secret_access_key, SECRET, JOURNAL_PASSWORD)
