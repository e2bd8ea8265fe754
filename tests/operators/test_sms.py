import json
import re
import traceback
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech._compat import AirflowFailException
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.exceptions import (
    InDoubt,
    InvalidConnection,
    InvalidMessage,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
)
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.masking import encodings_of
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator
from airflow_provider_dialogtech.operators.task_failure import WIDTH
from airflow_provider_dialogtech.settings.idempotency import given_key, task_key
from tests.conftest import FROM_NUMBERS, SECRET
from tests.running import HOME, run_dag

DAGS = Path(__file__).parent / "dags"
# At DEBUG, `airflow dags test` shows what a task tells its supervisor: what to mask (raw passwords too), and how its
# template fields were rendered.
OF_AIRFLOW = re.compile(r"MaskSecret\(value=|SetRenderedFields\(")
TI = SimpleNamespace(dag_id="dag", run_id="run", task_id="text", map_index=-1)


def text_task(**arguments: object) -> DialogTechSendSmsOperator:
    return DialogTechSendSmsOperator(**{"task_id": "text", "to": "5556667777", "message": "hi", **arguments})


def run(task: DialogTechSendSmsOperator) -> dict:
    return task.execute({"ti": TI})


def test_a_task_returns_what_became_of_its_text_as_plain_json(sandbox, sandbox_connection):
    returned = run(text_task(message="Good morning", to="(555) 666-7777"))
    assert json.loads(json.dumps(returned)) == returned
    assert {name: returned[name] for name in ("status", "result", "result_description", "to", "from")} == {
        "status": "sent",
        "result": "success",
        "result_description": "[1] Message Sent",
        "to": "…7777",
        "from": "…2111",
    }
    assert [arrival["message"] for arrival in sandbox.messages()] == ["Good morning"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"on_too_long": "split"}, "on_too_long must be"),
        ({"in_doubt": "again"}, "in_doubt must be"),
        ({"max_wait": -1}, "max_wait must be"),
    ],
)
def test_what_is_certainly_wrong_is_told_when_the_dag_is_parsed(wrong, words):
    with pytest.raises(ValueError, match=words):
        text_task(**wrong)


def test_what_a_template_will_render_is_not_judged_when_the_dag_is_parsed():
    text_task(to="{{ params.to }}", message="{{ params.text }}", from_="{{ params.sender }}")


def test_no_connection_is_read_when_the_dag_is_parsed():
    assert text_task(dialogtech_conn_id="nowhere").dialogtech_conn_id == "nowhere"


@pytest.fixture
def failing(monkeypatch):
    """Let the text of a task come to this end."""

    def with_error(error: Exception) -> DialogTechSendSmsOperator:
        def fail(self: DialogTechHook, **arguments: object) -> None:
            raise error

        monkeypatch.setattr(DialogTechHook, "send_sms", fail)
        return text_task()

    return with_error


FINAL = [InvalidMessage("too long"), InvalidConnection("no login"), Refused("not registered"), InDoubt("may be out")]


@pytest.mark.parametrize("error", FINAL)
def test_what_a_retry_could_not_send_or_could_send_twice_ends_the_task_without_retries(failing, error):
    with pytest.raises(AirflowFailException, match=str(error)):
        run(failing(error))


@pytest.mark.parametrize("error", [Unreachable("down"), Throttled("slow"), JournalUnavailable("away")])
def test_what_may_go_later_fails_so_that_airflow_retries(failing, error):
    with pytest.raises(type(error), match=str(error)):
        run(failing(error))


LONG = InDoubt(
    "The text may have been sent: its request left, and then no reply came. " + "Look in DialogTech's log. " * 6
)


@pytest.mark.parametrize("error", [*FINAL, Unreachable("down"), LONG])
def test_what_became_of_the_text_is_one_error_of_short_lines_above_one_short_traceback(failing, error, caplog):
    error.__cause__ = ConnectionError("the library's own")
    with pytest.raises(Exception, match=str(error)) as ended:
        run(failing(error))
    # Airflow 2 adds a warning of its own, since no task runs here.
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider_dialogtech")]
    ((level, message),) = [(record.levelname, record.getMessage()) for record in ours]
    assert (level, message.split()) == ("ERROR", str(error).split())
    assert max(map(len, message.splitlines())) <= WIDTH
    shown = "".join(traceback.format_exception(ended.value))
    assert shown.count("Traceback") == 1
    assert len(traceback.extract_tb(ended.value.__traceback__)) <= 5


def test_an_impossible_recipient_ends_the_task_without_retries(sandbox, sandbox_connection):
    with pytest.raises(AirflowFailException, match=r"`to` …3456"):
        run(text_task(to="123456"))
    assert sandbox.messages() == []


@pytest.fixture
def keys_of(monkeypatch, connection):
    """Return the idempotency key under which a task's text is delivered."""
    connection(extra={"from_numbers": FROM_NUMBERS[0]})
    keys: list[str] = []

    class Delivered(Exception):
        pass

    def send(self: SmsSender, message: object, *, key: str, **options: object) -> None:
        keys.append(key)
        raise Delivered

    monkeypatch.setattr(SmsSender, "send", send)

    def key_of(**arguments: object) -> str:
        with pytest.raises(Delivered):
            run(text_task(**arguments))
        return keys[-1]

    return key_of


def test_a_tasks_key_does_not_depend_on_its_text_or_on_how_its_number_is_written(keys_of):
    assert keys_of() == keys_of(message="written at another time") == keys_of(to="+1 (555) 666-7777")
    assert keys_of() == given_key(task_key("dag", "run", "text", -1, "5556667777"))


def test_another_recipient_and_a_key_of_ones_own_are_other_texts(keys_of):
    assert len({keys_of(), keys_of(to="5556667778"), keys_of(idempotency_key="again"), keys_of(idempotency_key=1)}) == 4


def test_files_templates_native_rendering_and_mapping_reach_the_recipient(metadata_db, sandbox, sandbox_connection):
    done = run_dag(DAGS / "dialogtech_rendering.py", "dialogtech_rendering")
    assert done.states == {
        "by_hand": ["success"],
        "from_a_file": ["success"],
        "mapped": ["success", "success"],
    }, done.output
    arrivals = {arrival["to"]: (arrival["from"], arrival["message"]) for arrival in sandbox.messages()}
    # The new line at the end of the file is the file's, not the text's.
    assert arrivals["5556667771"] == (
        "5554332112",
        "Hi Ada,\nthe load of dialogtech_rendering is done & 100% right.",
    )
    assert arrivals["5556667772"][1] == arrivals["5556667773"][1] == "42"
    # A task may text somebody twice, but not twice the same.
    assert done.results["by_hand"] == [["sent", "sent", "already_sent"]]
    assert [text["message"] for text in sandbox.accepted() if text["to"] == "5556667774"] == ["one", "two"]


def test_a_tasks_own_processes_send_once_and_mapped_ones_once_each(metadata_db, sandbox, sandbox_connection):
    done = run_dag(DAGS / "dialogtech_processes.py", "dialogtech_processes")
    assert {state for states in done.states.values() for state in states} == {"success"}, done.output
    assert Counter(text["to"] for text in sandbox.accepted()) == {
        "5556667771": 1,
        "5556667772": 1,
        "5556667773": 2,
    }


@pytest.mark.parametrize("key", [0, "0"])
def test_a_given_key_counts_also_when_it_is_nought(sandbox, sandbox_connection, key):
    for task in ("first", "second"):
        run(text_task(task_id=task, idempotency_key=key))
    assert len(sandbox.messages()) == 1


def test_an_empty_key_ends_the_task_without_retries(sandbox, sandbox_connection):
    with pytest.raises(AirflowFailException, match="`idempotency_key` must be text"):
        run(text_task(idempotency_key=""))
    assert sandbox.messages() == []


def test_a_journal_that_other_machines_do_not_see_ends_the_task_without_retries(
    sandbox, sandbox_connection, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    with pytest.raises(AirflowFailException, match="CeleryExecutor may run tasks on several machines"):
        run(text_task())
    assert sandbox.messages() == []


def test_what_the_hook_returns_can_be_returned_by_a_task_and_read_by_others(metadata_db, sandbox, sandbox_connection):
    done = run_dag(DAGS / "dialogtech_returned.py", "dialogtech_returned")
    assert set(map(tuple, done.states.values())) == {("success",)}, done.output
    assert done.results["read"] == [["sent", "…2111", "…7778", "…7779"]]
    assert done.results["read_a_template"] == [["…7777 sent"]]


def test_no_failure_leaves_the_secret_the_text_or_a_number_in_a_log(metadata_db, sandbox, connect_sandbox, unused_port):
    numbers = {"from_numbers": FROM_NUMBERS[0]}
    closed = f"http://127.0.0.1:{unused_port}/ibp_api.php"
    connect_sandbox("unreachable", host=closed, extra=numbers)
    connect_sandbox("in_doubt", extra=numbers)
    connect_sandbox("refused", password=SECRET, extra=numbers)
    connect_sandbox("wrong_setting", extra=numbers | {"timeout": "soon"})
    sandbox.fault("reset_after_accept", to="5556667772")
    done = run_dag(DAGS / "dialogtech_leaks.py", "dialogtech_leaks", AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG")

    assert list(done.states.values()) == [["failed"]] * 4, done.output
    logged = done.output + "".join(file.read_text() for file in HOME.glob("logs/**/*.log"))
    logged = "\n".join(line for line in logged.splitlines() if not OF_AIRFLOW.search(line))
    for words in ("could not be reached", "may have been sent", "did not accept", "extra.timeout must be"):
        assert words in logged
    for secret in (*encodings_of(sandbox.secret_access_key), *encodings_of(SECRET)):
        assert secret not in logged
    # On its console, but not in a task's log, Airflow 3.0 shows the local variables of a traceback in a box.
    logged = "\n".join(line for line in logged.splitlines() if not line.startswith("│ │"))
    for private in ("555666777", "a very private text"):
        assert private not in logged
