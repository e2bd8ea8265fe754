import json
import re
import traceback
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
from airflow_provider_dialogtech.operators.base import WIDTH
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator
from airflow_provider_dialogtech.settings.identity import task_key
from tests.conftest import FROM_NUMBERS

TI = SimpleNamespace(dag_id="dag", run_id="run", task_id="send", map_index=-1)


def text_task(**arguments: object) -> DialogTechSendSmsOperator:
    return DialogTechSendSmsOperator(**{"task_id": "send", "to": "5556667777", "message": "hi", **arguments})


def run(task: DialogTechSendSmsOperator) -> dict:
    return task.execute({"ti": TI})


def test_a_task_returns_the_outcome_of_its_message_as_plain_json(sandbox, sandbox_connection):
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
        ({"smart_encoding": "no"}, "smart_encoding must be True or False, not 'no'"),
        ({"deferrable": "{{ params.defer }}"}, "deferrable must be True or False"),
    ],
)
def test_an_invalid_argument_raises_when_the_dag_is_parsed(wrong, words):
    with pytest.raises(ValueError, match=words):
        text_task(**wrong)


def test_what_a_template_will_render_is_not_judged_when_the_dag_is_parsed():
    text_task(to="{{ params.to }}", message="{{ params.text }}", from_="{{ params.sender }}")


def test_no_connection_is_read_when_the_dag_is_parsed():
    assert text_task(dialogtech_conn_id="nowhere").dialogtech_conn_id == "nowhere"


@pytest.fixture
def failing(monkeypatch, connection):
    """Let the message of a task come to this end."""
    connection(extra={"from_numbers": FROM_NUMBERS[0]})

    def with_error(error: Exception) -> DialogTechSendSmsOperator:
        def fail(self: DialogTechHook, **arguments: object) -> None:
            raise error

        monkeypatch.setattr(DialogTechHook, "send_sms", fail)
        return text_task()

    return with_error


FINAL = [InvalidMessage("too long"), InvalidConnection("no login"), Refused("not registered"), InDoubt("may be out")]


@pytest.mark.parametrize("error", FINAL)
def test_what_a_retry_could_not_send_or_could_send_twice_ends_the_task_without_retries(failing, error):
    with pytest.raises(AirflowFailException, match=f"{re.escape(str(error))} Then clear the task.$"):
        run(failing(error))


@pytest.mark.parametrize("error", [Unreachable("down"), Throttled("slow"), JournalUnavailable("away")])
def test_what_may_go_later_fails_so_that_airflow_retries(failing, error):
    with pytest.raises(type(error), match=re.escape(str(error))):
        run(failing(error))


LONG = InDoubt(
    "The message may have been sent: its request left, and then no reply came. " + "Look in DialogTech's log. " * 6
)


@pytest.mark.parametrize("error", [*FINAL, Unreachable("down"), LONG])
def test_the_outcome_is_logged_as_one_error_of_short_lines_above_one_short_traceback(failing, error, caplog):
    error.__cause__ = ConnectionError("the library's own")
    with pytest.raises(Exception, match=re.escape(str(error))) as ended:
        run(failing(error))
    # Airflow 2 logs another warning, because no task runs here.
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider_dialogtech")]
    ((level, message),) = [(record.levelname, record.getMessage()) for record in ours]
    assert (level, message.split()) == ("ERROR", str(ended.value).split())
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
    """Return the idempotency key under which a task's message is delivered."""
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


def test_a_tasks_key_does_not_depend_on_its_message_or_on_how_its_number_is_written(keys_of):
    assert keys_of() == keys_of(message="written at another time") == keys_of(to="+1 (555) 666-7777")
    assert keys_of() == task_key("dag", "run", "send", -1, "5556667777")


def test_another_recipient_and_a_key_of_ones_own_are_other_messages(keys_of):
    assert len({keys_of(), keys_of(to="5556667778"), keys_of(idempotency_key="again"), keys_of(idempotency_key=1)}) == 4


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
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    with pytest.raises(AirflowFailException, match="CeleryExecutor may run tasks on several machines"):
        run(text_task())
    assert sandbox.messages() == []


def test_a_refusal_names_the_number_that_it_was_sent_from(sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": "5554332999"})
    with pytest.raises(AirflowFailException, match=r"DialogTech refused it: .* \(from …2999\)"):
        run(text_task())
