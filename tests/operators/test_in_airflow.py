"""What the operators and the hook do in a real Airflow: one run of several DAGs, at which each test looks."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

try:
    from airflow.sdk import task_group
except ImportError:
    from airflow.decorators import task_group

from airflow_provider_dialogtech.operations.messages import Messages, task_names
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.settings.journal import journal_store
from tests.conftest import FROM_NUMBERS, connection_as_json
from tests.running import run_dags

pytestmark = pytest.mark.timeout(400)

HAS_LOOPS = hasattr(task_group(lambda: None), "loop")
DAGS = Path(__file__).parent / "dags"


@pytest.fixture(scope="module")
def ran(metadata_db, tmp_path_factory):
    """The runs of all DAGs, one after the other, and the sandbox that their messages have reached."""
    with running_sandbox(numbers=FROM_NUMBERS) as sandbox:
        sandbox.fault("refused", to="5556667708")
        keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key, "host": sandbox.url}
        connection = connection_as_json(**keys, extra={"from_numbers": ",".join(FROM_NUMBERS)})
        journal = f"sqlite:///{tmp_path_factory.mktemp('journal') / 'journal.db'}"
        runs = run_dags(
            [dag for dag in sorted(DAGS.glob("*.py")) if HAS_LOOPS or dag.stem != "dialogtech_loop"],
            AIRFLOW__DIALOGTECH__JOURNAL_URL=journal,
            AIRFLOW_CONN_DIALOGTECH_DEFAULT=connection,
        )
        yield SimpleNamespace(**runs, arrivals=sandbox.messages(), journal=journal)


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


def test_the_processes_of_a_mapped_tasks_instances_send_the_same_words_once(ran):
    done = ran.dialogtech_processes
    assert {state for states in done.states.values() for state in states} == {"success"}, done.output
    assert [sms["to"] for sms in arrived(ran, "555666762")] == ["5556667621"]


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
