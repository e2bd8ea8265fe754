"""What the operators and the hook do in a real Airflow: one run of several DAGs, at which each test looks."""

import re
import socket
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

try:
    from airflow.sdk import task_group
except ImportError:
    from airflow.decorators import task_group

from airflow_provider_dialogtech.masking import encodings_of
from airflow_provider_dialogtech.operations.messages import Messages, task_names
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.settings.journal import journal_store
from tests.conftest import FROM_NUMBERS, SECRET, connection_as_json
from tests.running import HOME, run_dags

pytestmark = pytest.mark.timeout(400)

HAS_LOOPS = hasattr(task_group(lambda: None), "loop")
DAGS = Path(__file__).parent / "dags"
# At DEBUG, `airflow dags test` shows what a task tells its supervisor: what to mask (raw passwords too), and how its
# template fields were rendered.
OF_AIRFLOW = re.compile(r"MaskSecret\(value=|SetRenderedFields\(")


@pytest.fixture(scope="module")
def ran(metadata_db, tmp_path_factory):
    """The runs of all DAGs, one after the other, and the sandbox that their messages have reached."""
    with running_sandbox(numbers=FROM_NUMBERS) as sandbox, socket.socket() as closed:
        sandbox.fault("refused", to="5556667708")
        sandbox.fault("reset_after_accept", to="5556667772")
        closed.bind(("127.0.0.1", 0))
        keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key, "host": sandbox.url}
        one_number = {"from_numbers": FROM_NUMBERS[0]}
        connections = {
            "dialogtech_default": {"extra": {"from_numbers": ",".join(FROM_NUMBERS)}},
            "unreachable": {"host": f"http://127.0.0.1:{closed.getsockname()[1]}/ibp_api.php", "extra": one_number},
            "in_doubt": {"extra": one_number},
            "refused": {"password": SECRET, "extra": one_number},
            "wrong_setting": {"extra": one_number | {"timeout": "soon"}},
        }
        journal = f"sqlite:///{tmp_path_factory.mktemp('journal') / 'journal.db'}"
        runs = run_dags(
            [dag for dag in sorted(DAGS.glob("*.py")) if HAS_LOOPS or dag.stem != "dialogtech_loop"],
            AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG",
            AIRFLOW__DIALOGTECH__JOURNAL_URL=journal,
            **{
                f"AIRFLOW_CONN_{conn_id.upper()}": connection_as_json(**{**keys, **fields})
                for conn_id, fields in connections.items()
            },
        )
        yield SimpleNamespace(**runs, arrivals=sandbox.messages(), secret=sandbox.secret_access_key, journal=journal)


def arrived(ran, numbers):
    """Return what came for the recipients of one DAG, whose numbers begin alike."""
    return [arrival for arrival in ran.arrivals if arrival["to"].startswith(numbers)]


def test_lists_templates_files_and_mapping_are_sent(ran):
    done = ran.dialogtech_bulk
    assert done.states == {
        "rows": ["success"],
        "a_from_taskflow": ["success"],
        "b_from_a_file": ["success"],
        "c_from_jinja": ["success"],
        "d_mapped": ["success", "success"],
        "e_fails": ["failed"],
    }, done.output
    arrivals = {arrival["to"]: (arrival["from"], arrival["message"]) for arrival in arrived(ran, "555666770")}
    assert {to: message for to, (_, message) in arrivals.items()} == {
        "5556667701": "007",
        "5556667702": "Hi ADA,\nthe load of dialogtech_bulk is done.",
        "5556667703": "Hi {{ not rendered }}",
        "5556667704": "Hi 5556667704",
        "5556667705": "Hi 5556667705",
        "5556667706": "Hi 5556667706",
        "5556667707": "Hi",
        "5556667708": "Hi",
    }
    assert arrivals["5556667702"][0] == "5554332112"
    assert [result["sent"] for result in done.results["d_mapped"]] == [1, 2]
    # Airflow itself pushes no result of a failed task.
    (summary,) = done.results["e_fails"]
    assert [(row["to"], row["outcome"]) for row in summary["rows"]] == [("…7707", "sent"), ("…7708", "refused")]


def test_messages_name_a_mapped_task_by_its_label_in_which_numbers_are_shortened(ran, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", ran.journal)
    found = Messages(journal_store()).list(since=3600, dag_ids=["dialogtech_bulk"], task_id="d_mapped")
    assert Counter(task_names(found)) == {"d_mapped[to …7704]": 1, "d_mapped[to …7705 and …7706]": 2}


def test_files_templates_native_rendering_and_mapping_reach_the_recipient(ran):
    done = ran.dialogtech_rendering
    assert done.states == {
        "by_hand": ["success"],
        "from_a_file": ["success"],
        "mapped": ["success", "success"],
    }, done.output
    arrivals = {arrival["to"]: (arrival["from"], arrival["message"]) for arrival in arrived(ran, "555666761")}
    # The newline at the end of the file is not part of the message.
    assert arrivals["5556667611"] == (
        "5554332112",
        "Hi Ada,\nthe load of dialogtech_rendering is done & 100% right.",
    )
    assert arrivals["5556667612"][1] == arrivals["5556667613"][1] == "42"
    # A task may send a recipient two messages, but not the same one twice.
    assert done.results["by_hand"] == [["sent", "sent", "already_sent"]]
    assert [sms["message"] for sms in arrived(ran, "5556667614")] == ["one", "two"]


def test_a_tasks_own_processes_send_the_same_words_once_also_from_mapped_instances(ran):
    done = ran.dialogtech_processes
    assert {state for states in done.states.values() for state in states} == {"success"}, done.output
    assert Counter(sms["to"] for sms in arrived(ran, "555666762")) == {
        "5556667621": 1,
        "5556667622": 1,
        "5556667623": 1,
    }


@pytest.mark.skipif(not HAS_LOOPS, reason="loops came with Airflow 3.4")
def test_each_iteration_of_a_loop_sends(ran):
    done = ran.dialogtech_loop
    assert {state for states in done.states.values() for state in states} == {"success"}, done.output
    assert Counter(sms["to"] for sms in arrived(ran, "555666764")) == dict.fromkeys(
        ["5556667641", "5556667642", "5556667643", "5556667644"], 2
    )


def test_what_the_hook_returns_can_be_returned_by_a_task_and_read_by_others(ran):
    done = ran.dialogtech_returned
    assert set(map(tuple, done.states.values())) == {("success",)}, done.output
    (first,) = arrived(ran, "5556667631")
    assert done.results["read"] == [["sent", f"…{first['from'][-4:]}", "…7632", "…7633"]]
    assert done.results["read_a_template"] == [["…7631 sent"]]


def test_no_failure_leaves_the_secret_the_message_or_a_number_in_a_log(ran):
    done = ran.dialogtech_leaks
    assert list(done.states.values()) == [["failed"]] * 4, done.output
    logged = done.output + "".join(file.read_text() for file in HOME.glob("logs/**/*.log"))
    logged = "\n".join(line for line in logged.splitlines() if not OF_AIRFLOW.search(line))
    for words in ("could not be reached", "may have been sent", "did not accept", "extra.timeout must be"):
        assert words in logged
    for secret in (*encodings_of(ran.secret), *encodings_of(SECRET)):
        assert secret not in logged
    # On its console, but not in a task's log, Airflow 3.0 shows the local variables of a traceback in a box.
    logged = "\n".join(line for line in logged.splitlines() if not line.startswith("│ │"))
    for private in ("555666777", "a very private message"):
        assert private not in logged
