"""A message that holds a key of its own connection, in any encoding, is refused before anything is reserved.

A customer whose name Airflow renders as a template gets it that way.
"""

import base64
import html
import json
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from airflow_provider_dialogtech import cli
from airflow_provider_dialogtech._compat import AirflowFailException
from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.decorators.sms import dialogtech_sms_task
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.masking import holds_secret
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator
from tests.alerts.conftest import failure
from tests.conftest import FROM_NUMBERS
from tests.hostile.test_replies import ECHOES

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

TO = "5556667777"
LONG, SHORT = "9f8A7b6c5d+e3f/2a1b=c9 d8&7e", "q7-Xk2p"
ENCODINGS = ECHOES | {
    "base64 in lines": lambda text: base64.encodebytes(f"login:{text}:".encode() * 2).decode(),
    "hex in words": lambda text: text.encode().hex(" ", 2),
    "hex in lines": lambda text: "\n".join(text.encode().hex()[at : at + 16] for at in range(0, 2 * len(text), 16)),
    "a URI": lambda text: f"dialogtech://login:{quote(text, safe='')}@host/",
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16")).decode(),
    "hex of UTF-16": lambda text: text.encode("utf-16-be").hex(),
    "html of html of percent": lambda text: html.escape(html.escape(quote(text))),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("keys", [(LONG, "an access key"), ("a secret key", LONG)], ids=["access key", "secret key"])
def test_a_client_refuses_both_keys_in_every_encoding(encode, keys):
    client = DialogTechClient(*keys)
    with pytest.raises(InvalidMessage) as refused:
        client.refuse_own_secret(f"Hi {encode(LONG)}, your order comes today.")
    assert LONG not in str(refused.value)


@pytest.mark.parametrize("apart", ["\n", "\r\n    ", " ", "\t", "\u200b", "%0A", "&#10;", "\\u000a"], ids=ascii)
@pytest.mark.parametrize("key", ["0123456789abcdef0123456789abcdef", "AKIAIOSFODNN7EXAMPLE", LONG])
def test_a_key_that_is_broken_into_pieces_is_refused(key, apart):
    with pytest.raises(InvalidMessage):
        DialogTechClient("an access key", key).refuse_own_secret(
            f"Hi {key[:9]}{apart}{key[9:]}, your order comes today."
        )


def test_a_key_that_is_short_without_its_space_is_refused():
    with pytest.raises(InvalidMessage):
        DialogTechClient("an access key", "ab3 d5f7h9k1").refuse_own_secret("Hi ab3 d5f7h9k1, your order comes today.")


@pytest.mark.parametrize("encode", [str, quote, html.escape, lambda text: text.encode().hex()])
def test_a_short_key_is_refused_too(encode):
    with pytest.raises(InvalidMessage, match="contains the secret access key"):
        DialogTechClient("an access key", SHORT).refuse_own_secret(f"Hi {encode(SHORT)}, your order comes today.")


@pytest.mark.parametrize(
    ("secret", "body"),
    [
        ("secret", "The secret is that there is no secret."),
        ("room12", "It is in classroom12."),
        ("room12", "It is in Room12."),
        ("123456", "Your order 123456 comes today."),
        ("room12", "Room 12 room 12"),
        ("room12", "room 12"),
        ("notification", "This is a notification."),
        ("Confirmation", "Confirmation: see you."),
        ("SUBSCRIPTION", "Your subscription ends."),
        ("k", "Thank you."),
        ("a1", "Seat a1"),
        ("s3cr3t", "A message without it."),
        (LONG, f"Hi {LONG[:-1]}, your order comes today."),
        (LONG, "Hi Ada, your order comes today."),
    ],
)
def test_an_ordinary_message_is_no_false_alarm(secret, body):
    assert not holds_secret(body, secret)


@pytest.fixture
def body(sandbox, sandbox_connection, monkeypatch, tmp_path):
    """A message that holds the secret of its connection; afterwards neither a request nor a journal was made."""
    journal = tmp_path / "journal.db"
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{journal}")
    yield f"Hi {sandbox.secret_access_key}, your order comes today."
    assert sandbox.messages() == []
    assert not journal.exists()


CONTEXT = {"ti": SimpleNamespace(dag_id="dag", run_id="run", task_id="send", map_index=-1, xcom_push=lambda **_: None)}
refused = pytest.raises((InvalidMessage, AirflowFailException), match="contains the secret access key")


def test_the_hook_refuses_it(body):
    with refused:
        DialogTechHook().send_sms(to=TO, message=body)


def test_a_truncated_secret_is_refused(body):
    with refused:
        DialogTechHook().send_sms(to=TO, message="x" * 225 + " " + body, on_too_long="truncate")


def test_the_operator_refuses_it(body):
    with refused:
        DialogTechSendSmsOperator(task_id="send", to=TO, message=body).execute(CONTEXT)


def test_a_list_refuses_it_before_anybody_gets_a_message(body):
    rows = [{"to": "5556667778", "body": "Hi Ada"}, {"to": TO, "body": body}]
    operator = DialogTechSendBulkSmsOperator(task_id="send", recipients=rows, message="{{ recipient.body }}")
    with refused:
        operator.execute(CONTEXT)


def test_the_decorator_refuses_it(body):
    def send():
        return body

    with DAG("dag", schedule=None):
        operator = dialogtech_sms_task(send, to=TO)().operator
    with refused:
        operator.execute(CONTEXT)


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_the_command_line_refuses_it(body, capsys, more):
    with pytest.raises(SystemExit) as ended:
        cli.main(["send", TO, body, *more])
    assert ended.value.code == 1
    shown = "".join(capsys.readouterr())
    assert "contains the secret access key" in shown
    assert body not in shown


@pytest.mark.parametrize("encode", [str, lambda text: base64.encodebytes(text.encode() * 4).decode()])
def test_an_alert_goes_out_without_it(sandbox, connect_sandbox, encode, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{tmp_path / 'journal.db'}")
    connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS), "alert_to": TO})
    DialogTechSmsNotifier(f"etl failed: {encode(sandbox.secret_access_key)}")(failure())
    (arrived,) = sandbox.accepted()
    assert arrived["message"].startswith("etl failed: ***")
    assert not holds_secret(arrived["message"], sandbox.secret_access_key)


@pytest.mark.parametrize("encode", [lambda key: f"{key[:5]}\n{key[5:]}", lambda key: key.encode("utf-16").hex()])
def test_an_alert_goes_out_without_a_key_that_cannot_be_cut_out(
    sandbox, connect_sandbox, encode, monkeypatch, tmp_path
):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{tmp_path / 'journal.db'}")
    connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS), "alert_to": TO})
    DialogTechSmsNotifier(f"etl failed: {encode(sandbox.secret_access_key)}")(failure())
    (arrived,) = sandbox.accepted()
    assert arrived["message"].startswith("Airflow: etl.load (failed) ***")


@pytest.mark.parametrize("key", ["load", "etl", "f", "notification"])
def test_an_alert_keeps_a_word_that_is_an_access_key(sandbox, connect_sandbox, key, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{tmp_path / 'journal.db'}")
    connect_sandbox(login=key, extra={"from_numbers": ",".join(FROM_NUMBERS), "alert_to": TO})
    DialogTechSmsNotifier("The notification of etl.load failed")(failure())
    assert [arrived["message"] for arrived in sandbox.messages()] == ["The notification of etl.load failed"]


@pytest.mark.parametrize(
    "operator",
    [
        lambda: DialogTechSendSmsOperator(task_id="send", to=TO, message="Hi"),
        lambda: DialogTechSendBulkSmsOperator(task_id="send", recipients=[{"to": TO}], message="Hi"),
    ],
)
def test_the_attributes_of_a_task_show_no_key(sandbox, sandbox_connection, monkeypatch, tmp_path, operator):
    """OpenLineage sends them with `include_full_task_info`."""
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{tmp_path / 'journal.db'}")
    task = operator()
    task.execute(CONTEXT)
    shown = json.dumps(vars(task), default=repr, skipkeys=True) + json.dumps(vars(task.hook), default=repr)
    assert not holds_secret(shown, sandbox.secret_access_key, sandbox.access_key)
