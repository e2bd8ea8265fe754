import time

import pytest

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.sandbox.vendor import SHAPES
from tests.conftest import FROM_NUMBERS
from tests.journal.looking import edit

BODY = "It’s done & <dusted>, Ada"
SEND = ("send", "5556667777", BODY)


@pytest.fixture(params=SHAPES)
def sandbox_of_a_shape(request, connection):
    """A DialogTech that lists messages in each of the shapes in turn."""
    with running_sandbox(numbers=FROM_NUMBERS, arguments=[f"--listing={request.param}"]) as running:
        connection(
            host=running.url,
            login=running.access_key,
            password=running.secret_access_key,
            extra={"from_numbers": ",".join(FROM_NUMBERS)},
        )
        yield running


@pytest.fixture
def journal(monkeypatch, tmp_path):
    url = f"sqlite:///{tmp_path / 'cli.db'}"
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
    return url


@pytest.fixture
def look_up(run):
    def looking(id_, *arguments):
        ran = run("messages", "look-up", id_, "--output", "json", *arguments)
        return ran.code, ran.rows[0]

    return looking


@pytest.fixture
def in_doubt(run, rows_of):
    """Send a message whose outcome stays unknown, and return its id."""

    def sending(sandbox, fault="reset_after_accept"):
        sandbox.fault(fault, times=1)
        assert run(*SEND).code == 3
        return rows_of("messages", "list", "--state", "in_doubt")[0]["id"]

    return sending


def test_a_sent_message_is_found_in_every_shape(in_doubt, rows_of, look_up, sandbox_of_a_shape):
    for body in ("Something else", BODY + "!"):
        rows_of("send", "5556667777", body)
    rows_of("send", "5556668888", BODY)
    id_ = in_doubt(sandbox_of_a_shape)
    code, found = look_up(id_)
    assert (code, found["listed like it"], found["sent, says the journal"]) == (0, "1", "0")
    assert found["what it means"].startswith("It was probably sent")
    assert found["state"] == "in_doubt"
    assert rows_of("messages", "list", "--state", "in_doubt")[0]["id"] == id_


def test_a_message_that_never_arrived_is_not_found_which_proves_nothing(in_doubt, rows_of, look_up, sandbox_of_a_shape):
    rows_of("send", "5556667777", "Something else")
    id_ = in_doubt(sandbox_of_a_shape, "reset_before_accept")
    code, found = look_up(id_)
    assert (code, found["listed like it"]) == (3, "0")
    assert "proves nothing" in found["what it means"]


def test_a_message_sent_under_another_key_is_not_proof(in_doubt, rows_of, look_up, sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": "5554332111"})
    rows_of(*SEND)
    id_ = in_doubt(sandbox, "reset_before_accept")
    code, found = look_up(id_)
    assert (code, found["listed like it"], found["sent, says the journal"]) == (3, "1", "1")
    assert "may be the ones that were sent" in found["what it means"]


def test_a_message_from_another_number_is_neither_listed_nor_counted(
    in_doubt, rows_of, look_up, sandbox, connect_sandbox
):
    connect_sandbox(extra={"from_numbers": "5554332111"})
    rows_of(*SEND)
    connect_sandbox(extra={"from_numbers": "5554332112"})
    code, found = look_up(in_doubt(sandbox))
    assert (code, found["listed like it"], found["sent, says the journal"]) == (0, "1", "0")


def test_two_messages_in_doubt_cannot_be_distinguished(in_doubt, look_up, sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": "5554332111"})
    in_doubt(sandbox, "reset_before_accept")
    id_ = in_doubt(sandbox)
    code, found = look_up(id_)
    assert (code, found["in doubt, says the journal"]) == (0, "2")
    assert found["what it means"].startswith("Of the 2 in doubt, 1 were sent, but the list does not say which")


def test_only_the_day_and_the_number_are_requested(in_doubt, look_up, sandbox, sandbox_connection, journal):
    id_ = in_doubt(sandbox)
    before = len(sandbox.messages())
    _, found = look_up(id_)
    assert [arrival["action"] for arrival in sandbox.messages()][before:] == ["sms.get_messages"]
    assert found["asked for"].endswith(f", …{sandbox.accepted()[0]['from'][-4:]}")
    edit(journal, at=time.time() - 10 * 86400)
    _, found = look_up(id_)
    assert found["listed"] == "0"


def test_a_number_outside_of_the_connection_is_recognised(in_doubt, look_up, sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": "5554332111"})
    id_ = in_doubt(sandbox)
    connect_sandbox(extra={"from_numbers": "5554332112"})
    _, found = look_up(id_)
    assert found["asked for"].endswith("…2111")


def test_a_message_of_another_account_is_not_looked_up(in_doubt, run, sandbox, connect_sandbox, connection):
    connect_sandbox(extra={"from_numbers": "5554332111"})
    id_ = in_doubt(sandbox)
    connection("other", login="other", extra={"from_numbers": "5554332111"})
    ran = run("messages", "look-up", id_, "--conn-id", "other")
    assert (ran.code, "another account" in ran.err) == (1, True)
    assert "Give it the `account` that sent it" in ran.err
    assert "--conn-id" not in ran.err.splitlines()[-1]
    connection(login="rotated", extra={"from_numbers": "5554332111"})
    ran = run("messages", "look-up", id_)
    assert (ran.code, "Name the connection: --conn-id" in ran.err) == (1, True)


def test_an_unknown_message_is_reported(run, metadata_db):
    ran = run("messages", "look-up", "4711")
    assert (ran.code, ran.err.splitlines()[-1]) == (1, "The journal has no message 4711. See `messages list`.")


def test_a_refusal_ends_with_exit_code_1(in_doubt, run, sandbox, connect_sandbox, connection):
    connect_sandbox(extra={"from_numbers": "5554332111", "account": "one"})
    id_ = in_doubt(sandbox)
    connection(host=sandbox.url, extra={"from_numbers": "5554332111", "account": "one"})
    ran = run("messages", "look-up", id_)
    assert ran.code == 1
    assert "did not accept the access keys" in ran.err
    # Its own sentence would speak of a message that was not sent.
    assert "This says nothing about the message." in ran.err
    assert "was not sent" not in ran.err


def test_no_key_number_or_body_is_printed(in_doubt, run, sandbox, sandbox_connection):
    id_ = in_doubt(sandbox)
    ran = run("messages", "look-up", id_)
    shown = ran.out + ran.err
    for secret in (sandbox.secret_access_key, sandbox.access_key, "5556667777", "dusted"):
        assert secret not in shown
