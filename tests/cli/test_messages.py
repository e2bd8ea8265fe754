import json
import os
import pwd
import time

import pytest

from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.records import Origin
from airflow_provider_dialogtech.sms.message import SmsMessage
from tests.journal.looking import edit

pytestmark = pytest.mark.usefixtures("metadata_db")  # it holds Airflow's audit log
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


def test_settling_names_the_user_of_the_system_in_the_row_and_in_airflow_s_audit_log(
    rows_of, sandbox_connection, journal, monkeypatch
):
    import sqlalchemy as sa
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "the-boss")
    send_in_task(map_index=3)
    edit(journal, state="in_doubt")
    id_ = rows_of("messages", "list")[0]["id"]
    user = pwd.getpwuid(os.getuid()).pw_name
    (settled,) = rows_of("messages", "resolve", id_, "--unsent")
    assert settled["reason"] == f"settled by {user} on the command line"
    with create_session() as session:
        found = sa.select(Log).where(Log.event == "dialogtech_message_settled").order_by(Log.id.desc())
        log = session.scalars(found).first()
        assert (log.owner, log.dag_id, log.run_id, log.task_id, log.map_index) == (
            user,
            "etl",
            "manual__1",
            "notify",
            3,
        )
        assert json.loads(log.extra) == {"message_id": int(id_), "outcome": "unsent", "through": "the command line"}


def test_a_command_shows_and_settles_the_messages_of_its_own_airflow(
    run, rows_of, sandbox, sandbox_connection, monkeypatch
):
    id_ = in_doubt(run, rows_of, sandbox)
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__NAMESPACE", "production")
    assert rows_of("messages", "list") == []
    for command in (("resolve", id_, "--sent"), ("look-up", id_)):
        assert run("messages", *command).code == 1
    send_in_task()
    assert [row["dag"] for row in rows_of("messages", "list")] == ["etl"]
    monkeypatch.delenv("AIRFLOW__DIALOGTECH__NAMESPACE")
    assert [row["id"] for row in rows_of("messages", "list")] == [id_]


def test_without_airflow_s_audit_log_nothing_is_settled(run, rows_of, sandbox, sandbox_connection, monkeypatch):
    from sqlalchemy.orm import Session

    id_ = in_doubt(run, rows_of, sandbox)

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(Session, "flush", fail)
    ran = run("messages", "resolve", id_, "--sent")
    assert (ran.code, ran.out) == (1, "")
    assert f"The message {id_} was not settled: Airflow's audit log could not be written (OSError)." in ran.err
    assert rows_of("messages", "list", "--state", "in_doubt")[0]["id"] == id_


@pytest.mark.parametrize("output", ["table", "plain", "json", "yaml"])
def test_no_name_reaches_the_terminal_with_its_control_characters(run, sandbox, sandbox_connection, journal, output):
    send_in_task("etl\x1b]0;owned\x07\x9b2J\u202e")
    detail = json.dumps({"settled_by": "eve\x1b[31m\x07\r\u2066"})
    edit(journal, detail=detail)
    ran = run("messages", "list", "--output", output)
    assert ran.code == 0
    assert "owned" in ran.out
    assert "eve" in ran.out
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\r"} & set(ran.out + ran.err)


def test_no_name_makes_a_second_line_for_scripts(run, sandbox, sandbox_connection, journal):
    send_in_task("etl\n4711 sent")
    ran = run("messages", "list", "--output", "plain")
    assert len(ran.out.splitlines()) == 2
    assert "etl\\n4711" in ran.out


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
