import copy
import json
import logging
import threading
import time
import traceback
from collections import UserDict
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.exceptions import AirflowException

from airflow_provider_dialogtech._compat import AirflowFailException
from airflow_provider_dialogtech.bulk.failure_policy import REFUSED_IN_A_ROW
from airflow_provider_dialogtech.delivery import attempts as tries
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.operators.base import WIDTH
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator
from airflow_provider_dialogtech.settings.identity import task_key
from airflow_provider_dialogtech.settings.journal import journal_store
from tests.conftest import FROM_NUMBERS

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

ADA = {"to": "(555) 666-7777", "name": "Ada"}
GRACE = {"to": "555-666-8888", "name": "Grace"}


@pytest.fixture
def context():
    pushed = {}
    ti = SimpleNamespace(
        dag_id="dag",
        run_id="run",
        task_id="send",
        map_index=-1,
        xcom_push=lambda key, value: pushed.update({key: value}),
    )
    return {"ti": ti, "ds": "2026-11-23", "pushed": pushed}


@pytest.fixture
def eight_numbers(connect_sandbox):
    """A connection whose limits are so high that tests need not wait for slots."""
    limits = {"account_per_second": 100, "number_per_second": 50, "number_per_minute": 1000}
    return connect_sandbox(extra={"from_numbers": "5554332111, 5554332112", **limits})


def bulk_task(recipients, **arguments) -> DialogTechSendBulkSmsOperator:
    return DialogTechSendBulkSmsOperator(
        **{"task_id": "send", "recipients": recipients, "message": "Hi {{ recipient.name }}", **arguments}
    )


def messages(sandbox):
    return sorted((sms["to"], sms["message"]) for sms in sandbox.accepted())


def test_each_gets_the_message_rendered_with_their_own_values(sandbox, sandbox_connection, context):
    summary = bulk_task([ADA, GRACE], message="Hi {{ recipient.name }}, today is {{ ds }}").execute(context)
    assert messages(sandbox) == [
        ("5556667777", "Hi Ada, today is 2026-11-23"),
        ("5556668888", "Hi Grace, today is 2026-11-23"),
    ]
    assert json.loads(json.dumps(summary)) == summary
    assert {name: summary[name] for name in ("recipients", "sent", "segments", "not_tried", "failures")} == {
        "recipients": 2,
        "sent": 2,
        "segments": 2,
        "not_tried": 0,
        "failures": [],
    }


@pytest.mark.parametrize(
    "recipients",
    [
        ["5556667777", 5556668888],
        iter(["5556667777", "5556668888"]),
        '["5556667777", "5556668888"]',
        ({"to": number} for number in ("5556667777", "5556668888")),
    ],
)
def test_a_list_may_come_in_any_form_that_airflow_hands_it_over(sandbox, sandbox_connection, context, recipients):
    bulk_task(recipients, message="Hi {{ recipient.to }}").execute(context)
    assert [to for to, _ in messages(sandbox)] == ["5556667777", "5556668888"]


@pytest.mark.parametrize("recipients", ["{{ ti }}", {"to": "5556667777"}, 7, None])
def test_a_value_that_is_not_a_list_is_refused(sandbox_connection, context, recipients):
    with pytest.raises(AirflowFailException, match="recipients must be a list of numbers or mappings"):
        bulk_task(recipients).execute(context)


def test_every_bad_row_is_named_in_one_error_before_anything_is_sent(sandbox, sandbox_connection, context):
    rows = [ADA, {"to": "12", "name": "x"}, {"name": "nobody"}, {"to": "5556669999"}, {**GRACE, "name": "G" * 300}]
    with pytest.raises(AirflowFailException) as raised:
        bulk_task(rows).execute(context)
    words = str(raised.value)
    assert "4 of 5 rows cannot be sent" in words
    assert all(f"row {index} " in words for index in (2, 3, 4, 5))
    assert "it has no `name`; its columns are to" in words
    assert sandbox.messages() == []


def test_bad_rows_may_be_skipped_and_are_reported(sandbox, sandbox_connection, context):
    summary = bulk_task([{"to": "12", "name": "x"}, ADA], invalid="skip").execute(context)
    assert (summary["sent"], summary["invalid"]) == (1, 1)
    assert summary["failures"][0]["row"] == 1
    assert summary["failures"][0]["to"] == "…12"


def test_the_same_message_to_the_same_person_is_sent_once_and_counted(sandbox, sandbox_connection, context):
    summary = bulk_task([ADA, GRACE, {**ADA, "to": "+1 555 666 7777"}]).execute(context)
    assert (summary["sent"], summary["duplicates"]) == (2, 1)
    assert len(sandbox.messages()) == 2


def test_different_messages_to_the_same_recipient_need_an_id(sandbox, sandbox_connection, context):
    rows = [{**ADA, "name": "your order 1"}, {**ADA, "name": "your order 2"}]
    with pytest.raises(AirflowFailException, match=r"row 2 .*give both rows an `id`"):
        bulk_task(rows).execute(context)
    bulk_task([{**row, "id": n} for n, row in enumerate(rows)]).execute(context)
    assert messages(sandbox) == [("5556667777", "Hi your order 1"), ("5556667777", "Hi your order 2")]


def test_a_second_try_goes_on_with_those_who_have_not_got_it(sandbox, sandbox_connection, context):
    sandbox.fault("refused", to="5556668888", times=1)
    with pytest.raises(AirflowFailException, match=r"1 sent, 1 refused, in .*\nrow 2 \(to …8888\): DialogTech refused"):
        bulk_task([ADA, GRACE]).execute(context)
    summary = bulk_task([ADA, GRACE]).execute(context)
    assert (summary["sent"], summary["already_sent"]) == (1, 1)


def test_the_summary_is_in_xcom_also_when_the_task_fails(sandbox, sandbox_connection, context):
    sandbox.fault("refused", to="5556668888")
    with pytest.raises(AirflowFailException):
        bulk_task([ADA, GRACE], detailed=True).execute(context)
    summary = context["pushed"]["return_value"]
    assert (summary["sent"], summary["refused"]) == (1, 1)
    assert [row["outcome"] for row in summary["rows"]] == ["sent", "refused"]


def test_some_failures_may_be_allowed(sandbox, sandbox_connection, context):
    sandbox.fault("refused", to="5556668888")
    assert bulk_task([ADA, GRACE], max_failures=1).execute(context)["refused"] == 1


def test_what_is_in_doubt_is_reported_and_resent_only_when_a_person_says_so(sandbox, sandbox_connection, context):
    sandbox.fault("reset_after_accept", to="5556668888", times=1)
    with pytest.raises(AirflowFailException, match="1 sent, 1 in doubt"):
        bulk_task([ADA, GRACE]).execute(context)
    with pytest.raises(AirflowFailException, match="1 already sent, 1 in doubt"):
        bulk_task([ADA, GRACE]).execute(context)
    assert len(sandbox.messages()) == 2
    assert bulk_task([ADA, GRACE], in_doubt="resend").execute(context)["sent"] == 1


def test_wrong_keys_end_it_at_once_and_for_good(sandbox, connection, context):
    connection(host=sandbox.url, extra={"from_numbers": "5554332111"})
    with pytest.raises(AirflowFailException, match="Stopped early"):
        bulk_task([f"55566{n:05}" for n in range(200)], message="Hi").execute(context)
    assert len(sandbox.messages()) < 50
    assert context["pushed"]["return_value"]["not_tried"] > 100


@pytest.mark.parametrize("fault", ["refused", "reset_after_accept", "throttled"])
def test_how_the_list_ended_is_one_error_above_one_short_traceback(  # noqa: PLR0917
    sandbox, sandbox_connection, context, monkeypatch, caplog, fault
):
    monkeypatch.setattr(tries, "TRIES", 1)
    sandbox.fault(fault, to="5556668888")
    with pytest.raises(AirflowException) as ended:
        bulk_task([ADA, GRACE]).execute(context)
    assert_one_error_above_one_short_traceback(caplog, ended.value, "1 sent, 1 ")


def test_a_list_that_cannot_be_started_fails_the_same_way(sandbox, connection, context, caplog):
    connection(extra={"from_numbers": "5554332111", "timeout": "soon"})
    with pytest.raises(AirflowFailException) as ended:
        bulk_task([ADA, GRACE]).execute(context)
    assert_one_error_above_one_short_traceback(caplog, ended.value, "extra.timeout must be")


def assert_one_error_above_one_short_traceback(caplog, error, words):
    (logged,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert words in " ".join(logged.split())
    assert max(map(len, logged.splitlines())) <= WIDTH
    assert "".join(traceback.format_exception(error)).count("Traceback") == 1
    assert len(traceback.extract_tb(error.__traceback__)) <= 6


def test_refusals_in_a_row_end_it_and_a_retry_may_go_on(sandbox, eight_numbers, context, monkeypatch):
    sandbox.fault("refused")
    with pytest.raises(AirflowException, match="Stopped early") as raised:
        bulk_task([f"55566{n:05}" for n in range(400)], message="Hi").execute(context)
    assert not isinstance(raised.value, AirflowFailException)
    assert REFUSED_IN_A_ROW <= len(sandbox.messages()) < 400


def test_a_stopped_list_ends_soon_and_marks_no_unsent_message_in_doubt(sandbox, connect_sandbox, context):
    connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS), "timeout": 120})
    sandbox.fault("late", seconds=120, times=1)
    task = bulk_task([f"55566{n:05}" for n in range(50)], message="Hi")
    threading.Timer(2, task.on_kill).start()
    begun = time.monotonic()
    with pytest.raises(AirflowException, match="Stopped"):
        task.execute(context)
    assert time.monotonic() - begun < 60  # the answer comes after two minutes
    journal = MessageJournal(journal_store(), DialogTechHook().settings.account, RateLimits())
    keys = [task_key("dag", "run", "send", -1, f"55566{n:05}") for n in range(50)]
    states = [record.state for record in map(journal.find, keys) if record is not None]
    assert set(states) <= {"sent", "released", "throttled", "in_doubt"}
    assert states.count("in_doubt") <= 1
    arrived = len(sandbox.accepted())
    assert states.count("sent") + states.count("in_doubt") == arrived


def test_progress_is_logged(sandbox, sandbox_connection, context, caplog, monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.operators.bulk.PROGRESS_SECONDS", 0.5)
    caplog.set_level(logging.INFO)
    bulk_task([f"55566{n:05}" for n in range(6)], message="Hi").execute(context)
    assert "of 6 done, 0 refused, 0 in doubt; about" in caplog.text
    assert "Of 6 recipients: 6 sent" in caplog.text
    assert "5556600" not in caplog.text


def test_an_empty_list_is_nothing_to_do(sandbox_connection, context):
    assert bulk_task([]).execute(context)["recipients"] == 0


def test_an_invalid_template_is_refused_before_anything_is_sent(sandbox_connection, context):
    with pytest.raises(AirflowFailException, match="not a valid template"):
        bulk_task([ADA], message="Hi {{ recipient.name").execute(context)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"invalid": "ignore"}, "invalid must be"),
        ({"in_doubt": "again"}, "in_doubt must be"),
        ({"on_too_long": "split"}, "on_too_long must be"),
        ({"max_wait": -1}, "max_wait must be"),
        ({"detailed": "false"}, "detailed must be True or False, not 'false'"),
        ({"smart_encoding": 1}, "smart_encoding must be True or False, not 1"),
        ({"max_failures": "3"}, "max_failures must be"),
        ({"max_failures": -1}, "max_failures must be"),
        ({"message": None}, "message must be a string"),
        ({"message": ["Hi"]}, "message must be a string"),
    ],
)
def test_an_invalid_argument_raises_when_the_dag_is_parsed(wrong, words):
    with pytest.raises(ValueError, match=words):
        bulk_task([], **wrong)


@pytest.fixture
def asked():
    """Return which threads asked for Airflow's variables."""

    threads = set()

    class Variables(dict):
        def __getitem__(self, name):
            threads.add(threading.current_thread())
            return super().__getitem__(name)

    Variables.threads = threads
    return Variables


def test_airflows_context_is_used_by_one_thread_only(sandbox, sandbox_connection, context, asked):
    bulk_task([ADA, GRACE], message="Hi {{ recipient.name }} {{ ds }}").execute(asked(context))
    assert asked.threads == {threading.current_thread()}


def test_the_rows_of_another_sort_of_mapping_will_do(sandbox, sandbox_connection, context):
    bulk_task([UserDict(ADA)]).execute(context)
    assert messages(sandbox) == [("5556667777", "Hi Ada")]


def test_a_sender_that_the_connection_does_not_list_is_logged_once(sandbox, sandbox_connection, context, caplog):
    sandbox_numbers = ["5554332119"]
    bulk_task([ADA, GRACE], from_="(555) 433-2119", max_failures=2).execute(context)
    assert {arrival["from"] for arrival in sandbox.messages()} == set(sandbox_numbers)
    assert caplog.text.count("The sender …2119 is not among the from_numbers") == 1


def test_an_avoidable_segment_is_logged(sandbox, sandbox_connection, context, caplog):
    caplog.set_level(logging.INFO)
    bulk_task([ADA, GRACE], message="“" + "x" * 80).execute(context)
    assert "Row 1 (to …7777): The character “" in caplog.text
    assert "2 rows: 2 messages (4 segments) to send" in caplog.text
    assert "2 messages with remarks" in caplog.text


def test_typography_may_be_replaced_and_long_messages_cut(sandbox, sandbox_connection, context):
    message = "“{{ recipient.name }}” " + "x" * 300
    bulk_task([ADA], message=message, smart_encoding=True, on_too_long="truncate").execute(context)
    ((_, body),) = messages(sandbox)
    assert body.startswith('"Ada" xxx')
    assert len(body) <= 256


def test_the_summary_is_in_xcom_also_when_a_row_is_bad(sandbox, sandbox_connection, context):
    with pytest.raises(AirflowFailException):
        bulk_task([ADA, {"to": "12", "name": "x"}]).execute(context)
    summary = context["pushed"]["return_value"]
    assert (summary["invalid"], summary["not_tried"], summary["failures"][0]["row"]) == (1, 1, 2)
    assert sandbox.messages() == []


def test_a_task_without_xcom_pushes_none(sandbox, sandbox_connection, context):
    with pytest.raises(AirflowFailException):
        bulk_task([{"to": "12"}], do_xcom_push=False).execute(context)
    assert context["pushed"] == {}


def test_an_xcom_that_cannot_be_pushed_hides_no_failure(sandbox, sandbox_connection, context, caplog):
    def refuse(key, value):
        raise RuntimeError("the task is not running")

    context["ti"].xcom_push = refuse
    with pytest.raises(AirflowFailException, match="1 of 1 row cannot be sent"):
        bulk_task([{"to": "12"}]).execute(context)
    assert "The summary could not be pushed to XCom. Of 1 recipient: 1 invalid" in caplog.text


def test_stopped_while_it_checks_it_sends_nothing(sandbox, sandbox_connection, context):
    def rows():
        for number in range(1000):
            if number == 500:
                task.on_kill()
            yield {"to": f"555666{1000 + number}", "name": "x"}

    task = bulk_task(rows())
    with pytest.raises(AirflowException, match=r"Stopped\. Of 1,000 recipients: 1,000 not tried"):
        task.execute(context)
    assert sandbox.messages() == []
    assert context["pushed"]["return_value"]["not_tried"] == 1000


def test_a_kill_before_the_start_is_ignored():
    bulk_task([]).on_kill()


def test_a_template_that_renders_another_message_later_may_turn_out_bad_later(sandbox, sandbox_connection, context):
    """Rows are rendered twice: to be checked, and to be sent."""
    context["lengths"] = iter([1, 1, 300, 1])
    message = "{{ 'x' * (lengths | next) }}"
    with pytest.raises(AirflowFailException, match=r"1 sent, 1 invalid.*\nrow 1 \(to …7777\): .*300 characters"):
        bulk_task([ADA, GRACE], message=message, dag=dag_with(next=next)).execute(context)


def dag_with(**filters):
    return DAG(
        "messages", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), user_defined_filters=filters
    )


def test_after_max_wait_a_retry_sends_the_rest(sandbox, sandbox_connection, context):
    rows = [f"55566{n:05}" for n in range(40)]
    with pytest.raises(AirflowException, match="max_wait") as raised:
        bulk_task(rows, message="Hi", max_wait=timedelta(seconds=1), max_failures=40).execute(context)
    assert not isinstance(raised.value, AirflowFailException)
    summary = context["pushed"]["return_value"]
    assert summary["sent"] == len(sandbox.accepted())
    assert summary["not_tried"] > 20
    assert summary["not_tried"] + summary["not_sent"] == 40 - summary["sent"]


def test_an_unavailable_api_ends_it_early_and_a_retry_goes_on(connect_sandbox, unused_port, context, monkeypatch):
    monkeypatch.setattr(tries, "TRIES", 1)
    connect_sandbox(host=f"http://127.0.0.1:{unused_port}/", extra={"from_numbers": "5554332111, 5554332112"})
    with pytest.raises(AirflowException, match="Stopped early: 3 messages in a row failed") as raised:
        bulk_task([f"55566{n:05}" for n in range(200)], message="Hi").execute(context)
    assert not isinstance(raised.value, AirflowFailException)
    assert "could not be reached" in str(raised.value)
    assert context["pushed"]["return_value"]["not_tried"] > 150


def test_where_a_retry_could_still_send_something_airflow_retries(sandbox, sandbox_connection, context, monkeypatch):
    monkeypatch.setattr(tries, "TRIES", 1)
    sandbox.fault("refused", to="5556667777")
    sandbox.fault("throttled", to="5556668888")
    with pytest.raises(AirflowException, match="1 refused, 1 not sent") as raised:
        bulk_task([ADA, GRACE]).execute(context)
    assert not isinstance(raised.value, AirflowFailException)


def test_its_pool_is_that_of_its_connection():
    with DAG("messages", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
        bulk_task([])
        mapped = DialogTechSendBulkSmsOperator.partial(task_id="mapped", message="Hi").expand(recipients=[[], []])
        assert mapped.pool == bulk_task([], task_id="another").pool == "dialogtech_default"
        assert bulk_task([], task_id="elsewhere", dialogtech_conn_id="unlisted").pool == "default_pool"


def test_a_task_can_be_copied_as_airflow_does():
    assert copy.deepcopy(bulk_task([ADA])).recipients == [ADA]


def test_a_row_may_name_a_contact_and_only_to_holds_back_the_others(sandbox, connect_sandbox, context):
    contacts = {"ada": "(555) 666-7771", "team": ["5556667772", "5556667773"]}
    connect_sandbox(extra={"from_numbers": "5554332111", "contacts": contacts, "only_to": "ada"})
    task = bulk_task(["Ada", {"to": "5556667774"}, "team", "nobody"], message="Hi", invalid="skip")
    summary = task.execute(context)
    assert (summary["sent"], summary["held_back"], summary["invalid"]) == (1, 1, 2)
    assert [sms["to"] for sms in sandbox.accepted()] == ["5556667771"]
    reasons = [failure["reason"] for failure in summary["failures"]]
    assert "the contact 'team' has 2 numbers" in reasons[0]
    assert "there is no contact 'nobody' (the connection has ada, team)" in reasons[1]


def test_a_refusal_names_the_number_that_it_was_sent_from(sandbox, connect_sandbox, context):
    limits = {"account_per_second": 100, "number_per_second": 50, "number_per_minute": 1000}
    connect_sandbox(extra={"from_numbers": "5554332111, 5554332999", **limits})
    with pytest.raises(AirflowFailException, match=r"\(from …2999\): rows \d") as raised:
        bulk_task([f"55566{n:05}" for n in range(8)], message="Hi").execute(context)
    assert "DialogTech refused it: " in str(raised.value)
    assert "…2111" not in str(raised.value)
    assert context["pushed"]["return_value"]["sent"] == len(sandbox.accepted()) > 0
