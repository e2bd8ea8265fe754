import io
import sys
from datetime import datetime, timezone

import pytest

from tests.journal.looking import rows

SEND = ("send", "(555) 666-7777", "The load is done.")


@pytest.fixture
def journal(monkeypatch, tmp_path):
    url = f"sqlite:///{tmp_path / 'cli.db'}"
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
    return url


def test_a_message_is_sent_through_the_journal(rows_of, sandbox, sandbox_connection, journal):
    (sent,) = rows_of(*SEND)
    assert (sent["status"], sent["to"], sent["result_description"]) == ("sent", "…7777", "[1] Message Sent")
    assert [(message["to"], message["message"]) for message in sandbox.accepted()] == [
        ("5556667777", "The load is done.")
    ]
    assert rows(journal)[-1].state == "sent"


@pytest.mark.usefixtures("sandbox_connection")
@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("-", "-"), "(555) 666-7777\nThe load is done.\n"),
        (("-", "-"), "(555) 666-7777\r\nThe load is done."),
        (("(555) 666-7777", "-"), "The load is done.\n"),
        (("-", "The load is done."), "(555) 666-7777\n"),
    ],
)
def test_number_and_body_come_from_standard_input(rows_of, sandbox, stdin, arguments, given):
    stdin(given.encode())
    rows_of("send", *arguments)
    assert [(message["to"], message["message"]) for message in sandbox.accepted()] == [
        ("5556667777", "The load is done.")
    ]


def test_further_lines_of_standard_input_belong_to_the_body(rows_of, sandbox, sandbox_connection, stdin):
    stdin("5556667777\nDone.\n\nSee the report – all of it.\n".encode())
    rows_of("send", "-", "-")
    assert sandbox.accepted()[0]["message"] == "Done.\n\nSee the report – all of it."


@pytest.mark.usefixtures("sandbox_connection")
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (None, "`to` is empty"),
        (b"", "`to` is empty"),
        (b"5556667777", "`message` is empty"),
        (b"5556667777\nna\xefve", "not text in this terminal's encoding"),
        (b"5556667777\n" + b"x" * 5_000_000, "DialogTech accepts at most 256"),
        (b"5" * 5_000_000, "`to`"),
    ],
)
def test_standard_input_that_is_no_message_is_refused(run, sandbox, stdin, given, problem):
    stdin(given)
    ran = run("send", "-", "-")
    assert ran.code == 1
    assert problem in ran.err
    assert "Traceback" not in ran.err
    assert "5556667777" not in ran.err
    assert sandbox.messages() == []


@pytest.fixture
def stdin(monkeypatch):
    """Give a command its standard input; None where it is closed."""

    def give(content):
        read = None if content is None else io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", read)

    return give


def test_each_call_sends_and_under_one_key_only_the_first(rows_of, sandbox, sandbox_connection):
    assert [rows_of(*SEND)[0]["status"] for _ in range(2)] == ["sent", "sent"]
    keyed = [rows_of(*SEND, "--idempotency-key", "nightly")[0]["status"] for _ in range(2)]
    assert keyed == ["sent", "already_sent"]
    assert len(sandbox.accepted()) == 3


def test_a_dry_run_shows_the_message_and_reserves_and_sends_nothing(rows_of, sandbox, sandbox_connection, journal):
    (shown,) = rows_of("send", "5556667777", "It’s done", "--dry-run")
    slot = datetime.fromisoformat(shown.pop("slot").replace("Z", "+00:00"))
    assert abs((slot - datetime.now(timezone.utc)).total_seconds()) < 30
    assert shown == {
        "status": "would be sent",
        "to": "…7777",
        "from": "…2111",
        "message": "It’s done",
        "characters": "9",
        "segments": "1",
        "encoding": "UCS-2",
    }
    assert sandbox.messages() == []
    assert rows(journal) == []


def test_a_dry_run_reports_an_earlier_message_with_its_key(rows_of, sandbox, sandbox_connection):
    rows_of(*SEND, "--idempotency-key", "nightly")
    (shown,) = rows_of(*SEND, "--idempotency-key", "nightly", "--dry-run")
    assert shown["status"] == "nothing would be sent: sent before"


def test_a_dry_run_reports_a_message_that_would_be_held_back(rows_of, sandbox, connect_sandbox, journal):
    connect_sandbox(extra={"from_numbers": "5554332111", "only_to": "5556668888"})
    (shown,) = rows_of(*SEND, "--dry-run")
    assert shown["status"].startswith("would be held back")
    assert rows(journal) == []
    assert rows_of(*SEND)[0]["status"] == "held_back"
    (listed,) = rows_of("messages", "list")
    assert (listed["state"], listed["from"]) == ("held_back", "")
    assert sandbox.messages() == []


def test_a_dry_run_takes_a_slot_behind_reserved_ones(rows_of, run, sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": "5554332111"})
    rows_of(*SEND)
    sent_at = datetime.fromisoformat(
        sandbox.accepted() and rows_of("messages", "list")[0]["time"].replace("Z", "+00:00")
    )
    (shown,) = rows_of(*SEND, "--dry-run")
    slot = datetime.fromisoformat(shown["slot"].replace("Z", "+00:00"))
    assert (slot - sent_at).total_seconds() >= 1


def test_an_error_is_one_line_with_exit_code_1(run, sandbox_connection):
    ran = run("send", "12", "Hi")
    assert ran.code == 1
    assert ran.err.startswith("The message was not sent: ")
    assert "…12" in ran.err
    assert "Traceback" not in ran.err


def test_a_missing_connection_is_named(run, metadata_db):
    ran = run(*SEND, "--conn-id", "nobody")
    assert ran.code == 1
    assert "Airflow has no connection 'nobody'" in ran.err


def test_a_message_in_doubt_ends_with_exit_code_3(run, sandbox, sandbox_connection):
    sandbox.fault("reset_after_accept")
    ran = run(*SEND)
    assert ran.code == 3
    last = ran.err.splitlines()[-1]
    assert last.startswith("The message to …7777 may have been sent")
    assert last.endswith("`messages resolve` settles it. Or, to send it again in any case, run this command again.")


def test_a_message_in_doubt_under_a_key_is_sent_again_under_another(run, sandbox, sandbox_connection):
    sandbox.fault("reset_after_accept")
    for nothing_now in (False, True):
        ran = run(*SEND, "--idempotency-key", "nightly")
        assert ran.code == 3
        last = ran.err.splitlines()[-1]
        assert last.endswith("run this command again with another --idempotency-key.")
        assert ("Nothing was sent now." in last) is nothing_now
        assert "in_doubt=" not in last


def test_remarks_go_to_stderr(run, sandbox_connection, sandbox):
    ran = run("send", "5556667777", "It’s " + "x" * 100, "--output", "json")
    assert "WARNING: The character ’" in ran.err
    assert len(ran.rows) == 1


def test_no_key_and_no_number_is_printed(run, sandbox, sandbox_connection):
    for fault in (None, "refused", "reset_after_accept"):
        if fault:
            sandbox.fault(fault)
        ran = run(*SEND)
        shown = ran.out + ran.err
        assert sandbox.secret_access_key not in shown
        assert sandbox.access_key not in shown
        assert "5556667777" not in shown
