import time

import pytest

from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.records import Origin
from airflow_provider_dialogtech.sms.message import SmsMessage
from tests.journal.looking import edit

KEY = ("--idempotency-key", "nightly")
SEND = ("send", "5556667777", "The load is done.")


@pytest.fixture
def journal(monkeypatch, tmp_path):
    url = f"sqlite:///{tmp_path / 'cli.db'}"
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
    return url


def send_in_task(dag_id="etl", map_index=-1, loop_index=-1):
    """Send as a task of a DAG does."""
    message = SmsMessage.create(to="5556668888", message="Hi", from_numbers=["5554332112"])
    origin = Origin(dag_id, "manual__1", "notify", map_index, loop_index)
    DialogTechHook().make_sender().send(message, key=f"{dag_id} {map_index}", origin=origin)


def test_messages_are_listed_with_their_outcomes(rows_of, run, sandbox, sandbox_connection):
    rows_of(*SEND)
    sandbox.fault("refused", description="Invalid destination number")
    run(*SEND)
    sandbox.clear_faults()
    send_in_task(map_index=3, loop_index=2)
    newest, refused, sent = rows_of("messages", "list")
    assert (newest["dag"], newest["run"], newest["task"], newest["from"]) == (
        "etl",
        "manual__1",
        "notify[3] (iteration 2)",
        "…2112",
    )
    assert (refused["state"], refused["reason"]) == ("refused", "Invalid destination number")
    assert (sent["state"], sent["to"]) == ("sent", "…7777")
    assert sent["from"] in {"…2111", "…2112"}
    assert [row["dag"] for row in rows_of("messages", "list", "--dag-id", "etl")] == ["etl"]
    assert [row["state"] for row in rows_of("messages", "list", "--state", "refused")] == ["refused"]


def test_old_messages_are_left_out_and_a_cut_list_is_reported(rows_of, run, sandbox, sandbox_connection, journal):
    rows_of(*SEND)
    rows_of(*SEND)
    ran = run("messages", "list", "--limit", "1", "--output", "json")
    assert len(ran.rows) == 1
    assert "There may be more" in ran.err
    edit(journal, at=time.time() - 7201)
    assert rows_of("messages", "list", "--since", "2h") == []
    assert len(rows_of("messages", "list")) == 2


def test_old_messages_are_pruned(rows_of, run, sandbox, sandbox_connection, journal):
    rows_of(*SEND)
    edit(journal, at=time.time() - 91 * 86400)
    ran = run("messages", "prune")
    assert (ran.code, ran.err.strip()) == (0, "The journal has no message older than 90 days.")
    assert rows_of("messages", "list", "--since", "100d") == []


def test_an_empty_list_is_not_an_error(rows_of, metadata_db):
    assert rows_of("messages", "list") == []


def in_doubt(run, rows_of, sandbox):
    sandbox.fault("reset_after_accept")
    assert run(*SEND, *KEY).code == 3
    sandbox.clear_faults()
    (row,) = rows_of("messages", "list", "--state", "in_doubt")
    return row["id"]


def test_a_message_settled_as_sent_is_not_sent_again(run, rows_of, sandbox, sandbox_connection):
    id_ = in_doubt(run, rows_of, sandbox)
    (settled,) = rows_of("messages", "resolve", id_, "--sent")
    assert (settled["state"], settled["next"]) == ("sent", "the next call with its idempotency key sends nothing")
    assert settled["reason"].endswith("on the command line")
    (again,) = rows_of(*SEND, *KEY)
    assert (again["status"], again["result_description"]) == ("already_sent", "Settled as sent by a person")
    assert len(sandbox.accepted()) == 1


def test_a_message_settled_as_unsent_is_sent(run, rows_of, sandbox, sandbox_connection):
    id_ = in_doubt(run, rows_of, sandbox)
    (settled,) = rows_of("messages", "resolve", id_, "--unsent")
    assert (settled["state"], settled["next"]) == ("unsent", "the next call with its idempotency key sends")
    assert rows_of(*SEND, *KEY)[0]["status"] == "sent"
    assert len(sandbox.accepted()) == 2


def test_a_settled_message_of_a_task_advises_to_clear_it(run, rows_of, sandbox, sandbox_connection, journal):
    send_in_task()
    edit(journal, state="in_doubt")
    (settled,) = rows_of("messages", "resolve", rows_of("messages", "list")[0]["id"], "--sent")
    assert settled["next"] == "clear the task: it succeeds without sending"


def test_a_message_that_is_not_in_doubt_is_unchanged_with_exit_code_1(run, rows_of, sandbox, sandbox_connection):
    rows_of(*SEND)
    id_ = rows_of("messages", "list")[0]["id"]
    ran = run("messages", "resolve", id_, "--unsent")
    assert (ran.code, ran.err.splitlines()[-1]) == (
        1,
        f"The message {id_} is not in doubt but sent; nothing was changed.",
    )
    ran = run("messages", "resolve", "4711", "--sent")
    assert ran.code == 1
    assert ran.err.endswith("The journal has no message 4711. See `messages list --state in_doubt`.\n")


def test_exactly_one_outcome_must_be_named(run):
    for outcome in ([], ["--sent", "--unsent"]):
        ran = run("messages", "resolve", "1", *outcome)
        assert (ran.code, ran.err) == (2, "Give the outcome of the message: either --sent or --unsent.\n")


def test_an_unavailable_journal_is_reported(run, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{tmp_path}/no/such/folder.db")
    ran = run("messages", "list")
    assert ran.code == 1
    assert "journal" in ran.err
    assert "Traceback" not in ran.err


def test_a_name_that_looks_like_a_style_is_printed_unchanged(run, sandbox, sandbox_connection):
    send_in_task("[red]etl[/]")
    assert "[red]etl[/]" in run("messages", "list").out
