import asyncio
import inspect
import json
import logging
import re
from copy import deepcopy
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.notifications.sms import (
    DialogTechSmsNotifier,
    _identity,
    _Rendered,
    send_dialogtech_sms_notification,
)
from tests.alerts.conftest import ALICE, BOB, bodies, context_of, failure
from tests.conftest import FROM_NUMBERS, SECRET
from tests.hostile.looking import soon

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG


@pytest.fixture(autouse=True)
def _at_every_level(caplog):
    caplog.set_level(logging.INFO)


def test_the_built_in_message_goes_to_the_connections_alert_to(sandbox, alerting, caplog):
    DialogTechSmsNotifier()(failure())
    (body,) = bodies(sandbox, to=ALICE)
    assert body.startswith("Airflow: etl.load failed at ")
    assert body.endswith(", try 2 of 3, run manual 2026-01-02 03:04: RuntimeError: no such table")
    assert "Alert for etl.load (failed): the message to …7777 was sent." in caplog.text


def test_the_alias_is_the_notifier():
    assert send_dialogtech_sms_notification is DialogTechSmsNotifier


@pytest.mark.parametrize(
    "to",
    [
        "(555) 666-7777, 555 666 8888",
        [ALICE, BOB],
        (5556667777, 5556668888),
        [f"{ALICE},{BOB}", "+1 555 666 7777"],
        "{{ ['5556667777', '5556668888'] }}",
        "{{ ti.dag_id and '5556667777' }},5556668888",
    ],
)
def test_recipients_have_many_forms_and_each_gets_one_message(sandbox, alerting, to):
    DialogTechSmsNotifier("hello", to)(failure())
    assert sorted(sms["to"] for sms in sandbox.accepted()) == [ALICE, BOB]


@pytest.mark.parametrize("wrong", ["12", Path("/data/people.csv")], ids=repr)
def test_an_invalid_recipient_does_not_affect_the_others(sandbox, alerting, caplog, wrong):
    DialogTechSmsNotifier("hello", [wrong, ALICE])(failure())
    assert bodies(sandbox) == ["hello"]
    assert "one recipient gets no message" in caplog.text


def test_without_any_recipient_the_log_says_what_to_set(sandbox, connect_sandbox, caplog):
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0]})
    DialogTechSmsNotifier()(failure())
    assert sandbox.messages() == []
    assert "Give `to`, or set alert_to" in caplog.text
    assert "no message was sent" in caplog.text


def test_one_instance_shared_by_many_tasks_sends_each_its_own_message(sandbox, alerting):
    shared = DialogTechSmsNotifier("{{ ti.task_id }} broke", dedup_key="{{ ti.task_id }}")
    for task_id in ("load", "clean", "report"):
        shared(failure(task_id=task_id))
    assert bodies(sandbox) == ["load broke", "clean broke", "report broke"]
    assert (shared.message, shared.dedup_key) == ("{{ ti.task_id }} broke", "{{ ti.task_id }}")


def test_the_context_is_not_changed(sandbox, alerting):
    context = failure() | {"message": "mine", "to": "mine too"}
    before = dict(context)
    DialogTechSmsNotifier("{{ message }} {{ to }}", ALICE, dedup_key="k")(context)
    assert context == before
    assert bodies(sandbox) == ["mine mine too"]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("message", ["{{ 100000 }}", "1e5", "+15556667777", "'quoted'", "[1, 2]", "None", "007"])
def test_native_rendering_changes_nothing(sandbox, alerting, native, message):
    dag = DAG("etl", schedule=None, render_template_as_native_obj=native)
    DialogTechSmsNotifier(message, "{{ '+1' + '5556667777' }}")(failure() | {"dag": dag})
    assert bodies(sandbox, to=ALICE) == [message.replace("{{ 100000 }}", "100000")]


def test_a_macro_of_the_dag_is_known(sandbox, alerting):
    dag = DAG("etl", schedule=None, user_defined_macros={"team": "warehouse"})
    DialogTechSmsNotifier("Dear {{ team }}")(failure() | {"dag": dag})
    assert bodies(sandbox) == ["Dear warehouse"]


def test_a_dag_without_a_template_environment_is_supported(sandbox, alerting):
    DialogTechSmsNotifier("{{ ti.task_id }}")(failure() | {"dag": SimpleNamespace(dag_id="etl")})
    assert bodies(sandbox) == ["load"]


def test_a_template_error_sends_the_built_in_message_with_the_errors_name_alone(sandbox, alerting, caplog):
    DialogTechSmsNotifier("{{ 'the secret of ' + ti }}")(failure("x" * 200))
    (body,) = bodies(sandbox)
    assert body.startswith("Airflow: etl.load failed at ")
    assert body.endswith(" (message template: TypeError)")
    assert "the secret of" not in body + caplog.text


def test_a_template_that_renders_to_nothing_sends_the_built_in_message(sandbox, alerting):
    DialogTechSmsNotifier("{{ '' }} ")(failure())
    assert bodies(sandbox)[0].startswith("Airflow: etl.load failed")


@pytest.mark.parametrize("nothing", ["{{ none }}", "{{ params.x }}", lambda context: "nan"])
def test_a_message_that_is_none_sends_the_built_in_message(sandbox, alerting, nothing):
    DialogTechSmsNotifier(nothing)(failure() | {"params": {"x": None}})
    assert bodies(sandbox)[0].startswith("Airflow: etl.load failed")


@pytest.mark.parametrize("conn_id", [None, "", "{{ none }}", "{{ params.x }}"])
def test_no_connection_is_the_default_one(sandbox, alerting, conn_id):
    DialogTechSmsNotifier("hello", dialogtech_conn_id=conn_id)(failure() | {"params": {"x": None}})
    assert bodies(sandbox) == ["hello"]


@pytest.mark.parametrize(
    "call",
    [lambda notify, context: notify(), lambda notify, context: notify(**context), lambda notify, c: notify(context=c)],
)
def test_a_function_may_pass_the_context_on_in_any_way(sandbox, alerting, call):
    call(DialogTechSmsNotifier("hello"), failure())
    assert bodies(sandbox) == ["hello"]


def test_with_a_broken_template_of_the_recipient_alert_to_gets_the_alert(sandbox, alerting):
    DialogTechSmsNotifier("hello", "{{ nobody.at.all }}")(failure())
    assert bodies(sandbox, to=ALICE) == ["hello"]


def test_a_broken_template_of_the_dedup_key_falls_back_to_the_default_one(sandbox, alerting):
    for _ in range(2):
        DialogTechSmsNotifier("hello", dedup_key="{{ nobody.at.all }}")(failure())
    assert bodies(sandbox) == ["hello"]


def test_a_long_message_is_cut_at_a_word(sandbox, alerting):
    DialogTechSmsNotifier("a pipeline " * 50)(failure())
    (body,) = bodies(sandbox)
    assert len(body) <= 256
    assert body.endswith(("pipeline...", "a..."))


def test_the_keys_of_the_account_stay_out_of_the_message(sandbox, alerting):
    DialogTechSmsNotifier("{{ exception }}")(failure(f"?secret_access_key={sandbox.secret_access_key}&x"))
    (body,) = bodies(sandbox)
    assert sandbox.secret_access_key not in body
    assert "***" in body


def test_failed_does_not_silence_recovered_nor_one_dag_another(sandbox, alerting):
    notifier = DialogTechSmsNotifier()
    for context in (failure(), context_of("success"), failure(dag_id="other"), failure(), context_of("success")):
        notifier(context)
    assert [" ".join(body.split()[1:3]) for body in bodies(sandbox)] == [
        "etl.load failed",
        "etl.load succeeded",
        "other.load failed",
    ]


def test_an_explicit_event_wins_over_the_context(sandbox, alerting):
    DialogTechSmsNotifier(event="success")(failure())
    assert bodies(sandbox)[0].startswith("Airflow: etl.load succeeded at ")


def test_without_a_cooldown_every_alert_messages(sandbox, alerting):
    for number in range(3):
        DialogTechSmsNotifier(f"{number}", dedup_key="k", cooldown=None)(failure())
    assert bodies(sandbox) == ["0", "1", "2"]


def test_an_sla_callback_of_airflow_2_is_understood(sandbox, alerting):
    dag = SimpleNamespace(dag_id="etl")
    DialogTechSmsNotifier()(dag, "load on 2026-01-02", "", [], [])
    assert bodies(sandbox)[0].startswith("Airflow: DAG etl missed an SLA")


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "failure"},
        {"event": 10**5000},
        {"event": ["failed"]},
        {"cooldown": "15"},
        {"cooldown": timedelta(-1)},
        {"cooldown": -1e-300},
        {"cooldown": True},
        {"cooldown": float("inf")},
        {"cooldown": float("-inf")},
        {"cooldown": float("nan")},
        {"cooldown": 1e300},
        {"cooldown": 10**5000},
        {"cooldown": timedelta.max},
        {"cooldown": timedelta(days=3651)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_invalid_argument_raises_when_the_dag_is_parsed(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DialogTechSmsNotifier(**wrong)


def test_a_cooldown_may_be_as_long_as_ten_years():
    assert DialogTechSmsNotifier(cooldown=timedelta(days=3650)).cooldown == timedelta(days=3650)


def nested(depth):
    core = ALICE
    for _ in range(depth):
        core = [core]
    return core


@pytest.mark.parametrize("to", ["12", "nobody", "mistaken", ["12", "nobody"], "{{ 'mistaken' }}"])
def test_where_every_recipient_is_wrong_alert_to_hears_of_it(sandbox, connect_sandbox, caplog, to):
    contacts = {"oncall": ALICE, "mistaken": "12"}
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "alert_to": "oncall", "contacts": contacts})
    DialogTechSmsNotifier("hello", to)(failure())
    assert [sms["to"] for sms in sandbox.accepted()] == [ALICE]
    assert "so alert_to gets it instead. Correct `to`." in caplog.text


def test_a_contact_with_one_invalid_number_gets_the_message_at_the_others(sandbox, connect_sandbox, caplog):
    extra = {"from_numbers": FROM_NUMBERS[0], "alert_to": ALICE, "contacts": {"team": ["12", BOB]}}
    connect_sandbox(extra=extra)
    DialogTechSmsNotifier("hello", "team")(failure())
    assert sorted(sms["to"] for sms in sandbox.accepted()) == [ALICE, BOB]
    assert caplog.text.count("one recipient gets no message") == 1


def test_a_wrong_alert_to_is_an_error_that_names_it(connect_sandbox, caplog):
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "alert_to": ["12", "nobody"]})
    DialogTechSmsNotifier("hello")(failure())
    assert caplog.text.count("Correct alert_to in the connection.") == 2
    assert "no message was sent" in caplog.text


def test_a_recipient_of_another_type_does_not_affect_the_others(sandbox, alerting, caplog):
    odd = [10**5000, True, 555666888.8, -5556668888, "-5556668888", "5" * 1_000_000]
    DialogTechSmsNotifier("hello", [*odd, ALICE])(failure())
    assert [sms["to"] for sms in sandbox.messages()] == [ALICE]
    assert "hello" in bodies(sandbox)
    assert caplog.text.count("gets no message") == len(odd)
    assert BOB not in caplog.text


def test_with_endlessly_nested_recipients_alert_to_gets_the_alert(sandbox, alerting, caplog):
    DialogTechSmsNotifier("hello", nested(100_000))(failure())
    assert bodies(sandbox, to=ALICE) == ["hello"]
    assert "the alert goes to the connection's alert_to" in caplog.text


def test_more_recipients_than_an_alert_can_reach_are_left_out_and_the_log_says_so(sandbox, alerting, caplog):
    rendered = _Rendered(DialogTechSmsNotifier("hello", [f"555666{last:04}" for last in range(150)]), failure())
    assert len(rendered.recipients) == 100
    assert "50 recipients" in caplog.text


def test_an_error_whose_str_raises_does_not_stop_the_alert(sandbox, alerting):
    class Mute(Exception):
        def __str__(self):
            raise ZeroDivisionError

    DialogTechSmsNotifier()(failure() | {"exception": Mute()})
    DialogTechSmsNotifier("{{ exception }}", dedup_key="{{ exception }}")(failure() | {"exception": Mute()})
    built_in, from_template = bodies(sandbox)
    assert built_in.endswith(": Mute")
    assert from_template.endswith(": Mute (message template: ZeroDivisionError)")


def test_a_template_nested_without_end_sends_the_built_in_message(sandbox, alerting):
    DialogTechSmsNotifier("{{ " + "(" * 50_000 + " }}")(failure())
    assert bodies(sandbox)[0].startswith("Airflow: etl.load failed")


def test_a_message_of_any_length_is_cut_at_once(sandbox, alerting):
    with soon():
        DialogTechSmsNotifier("{{ exception }}")(failure("e" + "\u0301\u0323" * 80_000))
    assert len(bodies(sandbox)[0]) <= 256


def test_a_missing_connection_does_not_raise_and_is_logged(caplog):
    DialogTechSmsNotifier(dialogtech_conn_id="not_there")(failure())
    assert "no message was sent" in caplog.text


def test_missing_keys_do_not_raise_and_the_log_names_the_field(connection, caplog):
    connection(login=None)
    DialogTechSmsNotifier()(failure())
    assert "no message was sent" in caplog.text
    assert "the access key (login) is missing" in caplog.text


def test_a_context_that_is_none_of_airflows_does_not_raise(sandbox, alerting, caplog):
    DialogTechSmsNotifier()({})
    DialogTechSmsNotifier()(None)
    assert "the alert is sent without details" in caplog.text
    assert bodies(sandbox)[1:] == [
        "Airflow: a task or DAG called for an alert, but its details cannot be read (AttributeError)"
    ]


def test_a_termination_passes(monkeypatch, alerting):
    class Terminated(BaseException):
        pass

    def terminate(*_):
        raise Terminated

    monkeypatch.setattr("airflow_provider_dialogtech.alerts.deliver.deliver", terminate)
    with pytest.raises(Terminated):
        DialogTechSmsNotifier()(failure())


def test_neither_log_nor_message_shows_a_full_number_or_the_secret(sandbox, alerting, caplog):
    DialogTechSmsNotifier(to=[ALICE, "555666"])(failure(f"call {BOB}"))
    shown = caplog.text + "".join(bodies(sandbox))
    assert not [secret for secret in (ALICE, BOB, *FROM_NUMBERS, SECRET, sandbox.secret_access_key) if secret in shown]


def deadline_context():
    run = {"dag_id": "etl", "dag_run_id": "manual__1", "state": "running"}
    return {"dag_run": run, "deadline": {"id": "1", "deadline_time": "2026-01-02T03:04:05Z"}}


def awaited(notifier, context):
    async def run():
        await notifier.async_notify(context)

    asyncio.run(run())


def test_a_deadline_alert_is_sent_from_an_event_loop(sandbox, alerting):
    awaited(DialogTechSmsNotifier(), deadline_context())
    assert bodies(sandbox, to=ALICE) == [
        "Airflow: DAG etl missed its deadline of 01-02 03:04 UTC, run manual__1: still running"
    ]


def test_a_message_for_a_deadline_is_rendered_from_the_dictionaries_it_has(sandbox, alerting):
    awaited(DialogTechSmsNotifier("{{ dag_run.dag_id }} is late"), deadline_context())
    awaited(DialogTechSmsNotifier("{{ ti.task_id }} is late"), deadline_context())
    assert bodies(sandbox)[0] == "etl is late"
    assert bodies(sandbox)[1].endswith(" (message template: UndefinedError)")


def test_the_event_loop_goes_on_while_an_alert_waits(sandbox, alerting):
    sandbox.fault("late", seconds=2)

    async def run():
        alert = asyncio.create_task(DialogTechSmsNotifier("hello").async_notify(deadline_context()))
        while not await asyncio.to_thread(sandbox.messages):
            await asyncio.sleep(0.01)
        # The message has arrived, its answer has not: the loop was free while the alert waits for it.
        assert not alert.done()
        await alert

    asyncio.run(run())
    assert bodies(sandbox) == ["hello"]


def test_nothing_raises_into_an_event_loop(caplog):
    awaited(DialogTechSmsNotifier(dialogtech_conn_id="not_there"), deadline_context())
    awaited(DialogTechSmsNotifier(), None)
    assert caplog.text.count("no message was sent") == 2


def test_an_awaited_notifier_takes_the_context_of_its_constructor(sandbox, alerting):
    from airflow_provider_dialogtech._compat import BaseNotifier

    if not hasattr(BaseNotifier, "async_notify"):
        pytest.skip("Airflow awaits notifiers from 3.1 on")

    async def run():
        await DialogTechSmsNotifier("hello", context=deadline_context())

    asyncio.run(run())
    assert bodies(sandbox) == ["hello"]


def test_airflow_stores_no_number_of_a_deadline_alert_without_to():
    deadline = pytest.importorskip("airflow.sdk.definitions.deadline")
    if not hasattr(deadline, "AsyncCallback"):
        pytest.skip("Airflow has deadline alerts from 3.1 on")
    stored = deadline.AsyncCallback(DialogTechSmsNotifier, kwargs={"message": "late"}).serialize()
    stored.pop("queue", None)  # Airflow 3.4
    assert json.loads(json.dumps(stored)) == {
        "path": "airflow_provider_dialogtech.notifications.sms.DialogTechSmsNotifier",
        "kwargs": {"message": "late"},
    }


def test_parsing_a_dag_with_an_alert_imports_nothing_heavy(python):
    import subprocess

    code = (
        "import sys; from airflow_provider_dialogtech import _compat; before = set(sys.modules)\n"
        "from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier; DialogTechSmsNotifier()\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}"
        " & {'requests', 'sqlalchemy', 'phonenumbers', 'defusedxml', 'tenacity'}))"
    )
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_contacts_get_the_alert_and_for_an_unknown_one_alert_to_gets_it(sandbox, connect_sandbox, caplog):
    contacts = {"oncall": ["(555) 666-7777", "555-666-8888"]}
    extra = {"from_numbers": ",".join(FROM_NUMBERS), "contacts": contacts, "alert_to": "5556669999"}
    connect_sandbox(extra=extra)
    DialogTechSmsNotifier(to="{{ 'OnCall' }}", dedup_key="1").notify(failure())
    assert {sms["to"] for sms in sandbox.accepted()} == {"5556667777", "5556668888"}
    sandbox.forget()
    DialogTechSmsNotifier(to="oncal, 5556667777", dedup_key="2").notify(failure())
    assert {sms["to"] for sms in sandbox.accepted()} == {"5556667777", "5556669999"}
    assert "there is no contact 'oncal' (the connection has oncall)" in caplog.text


def test_alert_to_may_name_contacts(sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "contacts": {"oncall": ALICE}, "alert_to": "oncall"})
    DialogTechSmsNotifier().notify(failure())
    assert [sms["to"] for sms in sandbox.accepted()] == [ALICE]


@pytest.mark.parametrize("journal", ["", "mysql://nowhere"])
def test_an_alert_to_anybody_whom_only_to_does_not_name_is_held_back(
    sandbox, connect_sandbox, caplog, monkeypatch, journal
):
    if journal:
        monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", journal)
    connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "only_to": BOB})
    with caplog.at_level(logging.INFO):
        DialogTechSmsNotifier(to=f"{ALICE}, {BOB}").notify(failure())
    assert [sms["to"] for sms in sandbox.accepted()] == [BOB]
    assert "the message to …7777 is held back and was not sent: the connection's only_to does not name" in caplog.text


CLASS = DialogTechSmsNotifier


@pytest.mark.parametrize(
    ("callback", "body"),
    [
        (CLASS, "Airflow: etl.load failed at"),
        (send_dialogtech_sms_notification, "Airflow: etl.load failed at"),
        (partial(CLASS), "Airflow: etl.load failed at"),
        (partial(CLASS, to=ALICE), "Airflow: etl.load failed at"),
        (partial(CLASS, message="{{ ti.task_id }} broke", cooldown=None), "load broke"),
        (partial(CLASS, "{{ ti.task_id }} broke"), "load broke"),
        (partial(CLASS, "{{ ti.task_id }} broke", ALICE), "load broke"),
        (partial(partial(CLASS, "broke"), to=ALICE), "broke"),
        (partial(CLASS("broke")), "broke"),
        (CLASS("broke").notify, "broke"),
        (type("OnCall", (CLASS,), {}), "Airflow: etl.load failed at"),
    ],
)
def test_the_class_without_parentheses_sends_the_alert(sandbox, alerting, callback, body):
    assert callback(failure()) is None
    assert [sent.startswith(body) for sent in bodies(sandbox, to=ALICE)] == [True]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("on_failure_callback", "failed at"),
        ("on_retry_callback", "is up for retry since"),
        ("on_success_callback", "succeeded at"),
        ("on_skipped_callback", "was skipped at"),
        ("on_execute_callback", "started at"),
    ],
)
@pytest.mark.parametrize("callback", [CLASS, partial(CLASS, to=ALICE)], ids=["class", "partial"])
def test_the_argument_that_has_the_class_names_the_event(sandbox, alerting, argument, words, callback):
    task = SimpleNamespace(**{argument: [print, callback]})
    callback(context_of(None) | {"task": task, "exception": None})
    assert words in bodies(sandbox)[0]


def test_the_class_is_a_callback_of_a_dag_as_airflow_3_calls_it(sandbox, alerting):
    CLASS({"dag": SimpleNamespace(dag_id="etl"), "run_id": "manual__x", "reason": "task_failure"})
    assert bodies(sandbox)[0].startswith("Airflow: DAG etl failed at ")


@pytest.mark.parametrize("callback", [CLASS, partial(CLASS, to=ALICE), CLASS()], ids=["class", "partial", "instance"])
def test_the_class_is_a_callback_of_a_missed_sla(sandbox, alerting, callback):
    callback(SimpleNamespace(dag_id="etl"), "load on 2026-01-02", "", [], [])
    assert bodies(sandbox)[0].startswith("Airflow: DAG etl missed an SLA")


def test_a_notifier_is_copied_with_the_default_args_of_a_dag():
    assert deepcopy(CLASS("hello", ALICE)).message == "hello"


def test_its_signature_is_that_of_its_arguments():
    assert list(inspect.signature(CLASS).parameters)[:3] == ["message", "to", "dialogtech_conn_id"]


def words(context):
    return f"{context['ti'].task_id} broke"


def airflows(context, jinja_env):
    return jinja_env.from_string("{{ ti.task_id }} broke").render(context)


class Words:
    def __call__(self, **kwargs):
        return f"{kwargs['context']['ti'].task_id} broke"


@pytest.mark.parametrize(
    "function",
    [words, airflows, Words(), lambda anything: anything["ti"].task_id + " broke",
     lambda *, context, **_: words(context), lambda: "load broke",
     partial("{1} {0}".format, "broke", "load")],
)  # fmt: skip
def test_a_message_may_be_a_function_of_the_context(sandbox, alerting, function):
    DialogTechSmsNotifier(function)(failure())
    assert bodies(sandbox) == ["load broke"]


@pytest.mark.parametrize("returned", [None, b"bytes", ["a list"], {"a": 1}, True])
def test_a_function_that_returns_no_text_sends_the_built_in_message(sandbox, alerting, caplog, returned):
    DialogTechSmsNotifier(lambda _: returned)(failure())
    name = type(returned).__name__
    assert bodies(sandbox)[0].startswith("Airflow: etl.load failed at ")
    assert bodies(sandbox)[0].endswith(f" (message function: {name})")
    assert f"The function of the alert's message returned a {name}, not text" in caplog.text


def test_a_function_that_fails_sends_the_built_in_message(sandbox, alerting, caplog):
    DialogTechSmsNotifier(lambda context: context["nobody"])(failure())
    assert bodies(sandbox)[0].endswith(" (message function: KeyError)")
    assert "The function of the alert's message failed (KeyError in <lambda>, notifications/test_sms.py" in caplog.text


def test_a_function_that_returns_a_number_sends_it(sandbox, alerting):
    DialogTechSmsNotifier(lambda _: 42)(failure())
    assert bodies(sandbox) == ["42"]


def test_the_recipients_and_the_dedup_key_may_be_functions(sandbox, alerting):
    for task_id in ("load", "clean", "load"):
        notifier = DialogTechSmsNotifier("hello", lambda _: [BOB], dedup_key=lambda context: context["ti"].task_id)
        notifier(failure(task_id=task_id))
    assert bodies(sandbox, to=BOB) == ["hello", "hello"]


def test_alerts_with_the_same_function_are_counted_together_in_every_process():
    first, second = (_identity(partial(words)) for _ in range(2))
    assert first == second
    assert "0x" not in first
    assert _identity(words) != _identity(airflows)


def test_a_suppressed_alert_names_the_cooldown_and_its_end(sandbox, alerting, caplog):
    for _ in range(2):
        DialogTechSmsNotifier("hello")(failure())
    assert len(bodies(sandbox)) == 1
    assert re.search(r"to …7777 is suppressed by its cooldown until (\d\d-\d\d )?\d\d:\d\d UTC", caplog.text)


@pytest.mark.parametrize("message", [b"bytes", ["a list"], {"a": 1}, True, object()], ids=type)
def test_a_message_of_another_type_fails_when_the_dag_is_parsed(message):
    with pytest.raises(InvalidMessage, match="message must be text, a template or a function that returns text, not a"):
        DialogTechSmsNotifier(message)


def test_a_flag_is_true_or_false():
    with pytest.raises(InvalidMessage, match="resolved must be True or False, not 'no'"):
        DialogTechSmsNotifier(resolved="no")
