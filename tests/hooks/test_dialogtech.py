import asyncio
import logging
import traceback
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_dialogtech.exceptions import InDoubt, InvalidConnection, InvalidMessage, NotSent, Refused
from airflow_provider_dialogtech.hooks import dialogtech as hooks
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.masking import encodings_of
from tests.conftest import FROM_NUMBERS, SECRET

# Where Airflow's masker lives: 3.2 and newer, 3.0, 2.11.
MASKERS = (
    "airflow.sdk._shared.secrets_masker",
    "airflow.sdk.execution_time.secrets_masker",
    "airflow.utils.log.secrets_masker",
)
BODY = "Load done: 50% & more + “quotes” 👍\nsecond line"


def is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture
def hook(sandbox_connection):
    return DialogTechHook()


def test_a_message_arrives_letter_for_letter(hook, sandbox):
    result = hook.send_sms(to="(555) 666-7777", message=BODY)
    (arrival,) = sandbox.messages()
    assert (arrival["to"], arrival["from"], arrival["message"]) == ("5556667777", FROM_NUMBERS[0], BODY)
    assert result.status == "sent"
    assert result.result == "success"
    assert result.result_description == "[1] Message Sent"


def test_the_result_shows_shortened_numbers(hook):
    result = hook.send_sms(to="5556667777", message="hi")
    assert (result.to, result.from_) == ("…7777", "…2111")
    assert "5556667777" not in str(result.as_xcom())


def test_a_sender_beats_the_connections_numbers(hook, sandbox):
    hook.send_sms(to="5556667777", message="hi", from_="555-433-2112")
    assert [arrival["from"] for arrival in sandbox.messages()] == ["5554332112"]


def test_a_sender_that_is_not_listed_is_warned_of(connect_sandbox, caplog):
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0]})
    DialogTechHook().send_sms(to="5556667777", message="hi", from_=FROM_NUMBERS[1])
    assert "…2112 is not among the from_numbers" in caplog.text
    assert not [number for number in FROM_NUMBERS if number in caplog.text]


def test_a_listed_sender_and_a_connection_without_a_list_raise_no_warning(hook, connect_sandbox, caplog):
    hook.send_sms(to="5556667777", message="hi", from_="(555) 433-2112")
    connect_sandbox()
    DialogTechHook().send_sms(to="5556667778", message="hi", from_=FROM_NUMBERS[0])
    assert "not among" not in caplog.text


def test_a_missing_sender_is_refused(sandbox, connect_sandbox):
    connect_sandbox()
    with pytest.raises(InvalidMessage):
        DialogTechHook().send_sms(to="5556667777", message="hi")
    assert sandbox.messages() == []


@pytest.mark.parametrize(
    "wrong", [{"in_doubt": "again"}, {"on_too_long": "split"}, {"max_wait": -1}, {"max_wait": timedelta(seconds=-1)}]
)
def test_a_wrong_argument_sends_nothing(hook, sandbox, wrong):
    with pytest.raises(InvalidMessage, match=next(iter(wrong))):
        hook.send_sms(to="5556667777", message="hi", **wrong)
    assert sandbox.messages() == []


def test_numbers_and_messages_of_native_rendering_are_taken(hook, sandbox):
    hook.send_sms(to=5556667777, message=42)
    assert [(arrival["to"], arrival["message"]) for arrival in sandbox.messages()] == [("5556667777", "42")]


def test_too_long_fails_or_is_cut_as_asked(hook, sandbox):
    with pytest.raises(InvalidMessage):
        hook.send_sms(to="5556667777", message="x" * 257)
    hook.send_sms(to="5556667777", message="x" * 257, on_too_long="truncate")
    assert [len(arrival["message"]) for arrival in sandbox.messages()] == [256]


def test_a_refusal_has_its_reason_and_is_not_retried(hook, sandbox):
    sandbox.fault("refused", description="Number is not registered")
    with pytest.raises(Refused) as refused:
        hook.send_sms(to="5556667777", message="hi")
    assert refused.value.description == "Number is not registered"
    assert len(sandbox.messages()) == 1


def test_a_throttled_message_goes_out_in_the_end(hook, sandbox):
    sandbox.fault("throttled", times=1, retry_after=0)
    result = hook.send_sms(to="5556667777", message="hi")
    assert result.attempts == 2
    assert [arrival["outcome"] for arrival in sandbox.messages()] == ["throttled", "accepted"]


@pytest.mark.parametrize("fault", ["reset_after_accept", "error_after_accept", "garbage_after_accept"])
def test_a_message_that_may_be_out_is_not_sent_again(hook, sandbox, fault):
    sandbox.fault(fault, times=1)
    with pytest.raises(InDoubt):
        hook.send_sms(to="5556667777", message="hi")
    assert len(sandbox.messages()) == 1


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("sales",), {}),
        ((), {"dialogtech_conn_id": "sales"}),
        ((), {"conn_id": "sales"}),
        (("sales",), {"conn_id": "sales"}),
        ((None,), {"conn_id": "sales"}),
    ],
)
def test_a_connection_is_given_as_to_other_hooks(args, kwargs):
    assert DialogTechHook(*args, **kwargs).dialogtech_conn_id == "sales"


@pytest.mark.parametrize("args", [(), (None,), ("",)])
def test_without_a_connection_the_default_one_is_used(args):
    assert DialogTechHook(*args).dialogtech_conn_id == "dialogtech_default"


def test_two_connections_are_refused():
    with pytest.raises(InvalidConnection, match="dialogtech_conn_id is 'sales' and conn_id is 'oncall'"):
        DialogTechHook("sales", conn_id="oncall")


def test_a_program_outside_of_airflow_3_is_told_how_to_give_the_connection(monkeypatch):
    monkeypatch.setattr(hooks, "reads_stored_connections", lambda: False)
    for read in (lambda hook: hook.settings, lambda hook: asyncio.run(hook.aload())):
        with pytest.raises(InvalidConnection) as refused:
            read(DialogTechHook("nowhere"))
        assert "set the environment variable AIRFLOW_CONN_NOWHERE, or use" in refused.value.advice
    monkeypatch.setattr(hooks, "reads_stored_connections", lambda: True)
    with pytest.raises(InvalidConnection) as refused:
        DialogTechHook("nowhere").get_conn()
    assert refused.value.advice == "Create it, or check the secrets backend."


def test_the_connection_is_read_only_when_it_is_needed():
    hook = DialogTechHook("nowhere")
    with pytest.raises(Exception, match="nowhere"):
        hook.get_conn()


def test_a_sender_of_another_type_is_refused(connection):
    class Array:
        def __bool__(self):
            raise ValueError

    connection(extra={"from_numbers": FROM_NUMBERS[0]})
    with pytest.raises(InvalidMessage, match="`from_` must be a phone number as text, not a Array"):
        DialogTechHook().senders(Array())


@pytest.mark.parametrize("written", [None, '{"conn_type": "dialogtech", "password": "a secret'])
def test_a_missing_or_unreadable_connection_raises_a_named_error(monkeypatch, written):
    if written:
        monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", written)
    with pytest.raises(InvalidConnection, match=r"Nothing was sent: Airflow has no connection 'nowhere'") as raised:
        DialogTechHook("nowhere").send_sms(to="5556667777", message="hi")
    assert ("AIRFLOW_CONN_NOWHERE is set, but is neither a URI nor JSON" in str(raised.value)) == bool(written)
    assert "".join(traceback.format_exception(raised.value)).count("Traceback") == 1
    with pytest.raises(InvalidConnection, match="nowhere"):
        asyncio.run(DialogTechHook("nowhere").aload())


def test_an_id_of_another_type_is_named():
    with pytest.raises(InvalidConnection, match="Airflow has no connection '5'"):
        DialogTechHook(5).get_conn()


def test_a_uri_in_place_of_an_id_is_refused_without_its_keys():
    with pytest.raises(InvalidConnection, match="is the URI of a connection, not its id") as raised:
        DialogTechHook("dialogtech://access:hidden@/?from_numbers=5554332111")
    assert "hidden" not in str(raised.value)


def test_a_connection_that_airflow_cannot_read_now_may_be_retried(monkeypatch):
    def fail(self, conn_id):
        raise RuntimeError("postgresql://airflow:hidden@metadata")

    monkeypatch.setattr(DialogTechHook, "get_connection", fail)
    with pytest.raises(NotSent, match=r"was not sent: .*'dialogtech_default'.*RuntimeError") as raised:
        DialogTechHook().send_sms(to="5556667777", message="hi")
    assert not isinstance(raised.value, ValueError)
    assert "hidden" not in "".join(traceback.format_exception(raised.value))


def test_a_traceback_shows_the_callers_line_and_not_the_packages_frames(hook, sandbox):
    sandbox.fault("reset_after_accept")
    with pytest.raises(InDoubt) as raised:
        hook.send_sms(to="5556667777", message="hi")
    assert "".join(traceback.format_exception(raised.value)).count("Traceback") == 1
    assert [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)][1:] == ["send_sms"]


def test_an_invalid_connection_is_reported_with_its_field(connection):
    connection(extra={"timeout": "soon"})
    with pytest.raises(InvalidConnection, match=r"extra\.timeout must be"):
        DialogTechHook().get_conn()


def test_the_log_reports_the_outcome_without_the_message_or_a_number(hook, sandbox, caplog):
    with caplog.at_level(logging.DEBUG):
        hook.send_sms(to="5556667777", message="a very private message")
    assert "Sent: the message to …7777 from …2111 (1 segment, GSM-7, 1 try)" in caplog.text
    for secret in ("private", "5556667777", *FROM_NUMBERS, *encodings_of(sandbox.secret_access_key)):
        assert secret not in caplog.text


def test_the_secret_is_masked_in_every_encoding(connection):
    connection()
    DialogTechHook().get_conn()
    redact = import_module(next(filter(is_there, MASKERS))).redact
    for form in (SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET)):
        assert redact(f"before {form} after") == "before *** after"


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": 5556667777, "max_wait": -1},
        {"to": "555666777788889999", "from_": FROM_NUMBERS[1]},
        {"message": "a very private message", "in_doubt": "again"},
        {"message": "a very private message", "idempotency_key": ""},
    ],
    ids=lambda wrong: list(wrong)[-1],
)
def test_no_local_variable_of_the_hook_shows_a_number_or_the_message(connection, wrong):
    connection(extra={"from_numbers": FROM_NUMBERS[0]})
    with pytest.raises(InvalidMessage) as raised:
        DialogTechHook().send_sms(**{"to": "5556667777", "message": "hi", **wrong})
    error = raised.value.with_traceback(raised.value.__traceback__.tb_next)
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    shown = "".join(str(frame.locals) for frame in frames if "/hooks/" in frame.filename)
    assert shown
    assert not [private for private in ("5556667", "private", *FROM_NUMBERS) if private in shown], shown


def test_a_contact_gets_the_message(sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "contacts": {"oncall": "(555) 666-7777"}})
    assert DialogTechHook().send_sms(to="OnCall", message="hi")["to"] == "…7777"
    assert [sms["to"] for sms in sandbox.accepted()] == ["5556667777"]


def test_only_to_holds_back_other_messages(sandbox, connect_sandbox, caplog):
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "only_to": "5556667777"})
    with caplog.at_level("INFO"):
        held_back = DialogTechHook().send_sms(to="5556668888", message="hi", idempotency_key="one")
        again = DialogTechHook().send_sms(to="5556668888", message="hi", idempotency_key="one")
    sent = DialogTechHook().send_sms(to="5556667777", message="hi")
    assert (held_back["status"], again["status"], sent["status"]) == ("held_back", "held_back", "sent")
    assert [sms["to"] for sms in sandbox.accepted()] == ["5556667777"]
    assert "Held back, so nothing was sent: the connection's only_to does not name …8888." in caplog.text


def test_a_held_back_message_is_sent_once_only_to_allows_it(sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "only_to": []})
    assert DialogTechHook().send_sms(to="5556668888", message="hi", idempotency_key="one")["status"] == "held_back"
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0]})
    assert DialogTechHook().send_sms(to="5556668888", message="hi", idempotency_key="one")["status"] == "sent"
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "only_to": []})
    again = DialogTechHook().send_sms(to="5556668888", message="hi", idempotency_key="one")
    assert again["status"] == "already_sent", "a sent message is reported as sent"


@pytest.mark.parametrize(
    ("changes", "beginning", "end"),
    [
        (
            {"password": "another secret key"},
            "The message to …7777 was not sent: DialogTech did not accept the access keys",
            "Check the access key and the secret access key in the connection 'sales', and correct them.",
        ),
        (
            {"host": "http://127.0.0.1:{port}/ibp_api.php"},
            "The message to …7777 was not sent: DialogTech could not be reached at 127.0.0.1:",
            "Check the network, the proxy and the API URL in the connection 'sales'. Sending it again is safe.",
        ),
        (
            {"extra": {}},
            "The message was not sent: no number to send from is set. ",
            "Give `from_`, or set `from_numbers` in the connection 'sales'.",
        ),
        (
            {"extra": {"only_too": "5556667777"}},
            "Nothing was sent: the extra has an unknown key 'only_too' (nearest: only_to). ",
            "Correct the connection 'sales'.",
        ),
    ],
)
def test_an_error_names_the_recipient_and_the_connection(connect_sandbox, unused_port, changes, beginning, end):
    fields = {"extra": {"from_numbers": FROM_NUMBERS[0]}} | changes
    if "host" in fields:
        fields["host"] = fields["host"].format(port=unused_port)
    connect_sandbox("sales", **fields)
    with pytest.raises(NotSent) as refused:
        DialogTechHook("sales").send_sms(to="5556667777", message="hi")
    assert str(refused.value).startswith(beginning)
    assert str(refused.value).endswith(end)
