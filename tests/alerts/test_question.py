"""Airflow's human-in-the-loop operators, 3.1 and newer."""

import importlib
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from types import SimpleNamespace
from uuid import uuid4

import pytest

from airflow_provider_dialogtech._compat import mask_secret
from airflow_provider_dialogtech.alerts.event import event_of
from airflow_provider_dialogtech.alerts.question import LONGEST_LINK, answer_link, asks, question_body
from airflow_provider_dialogtech.alerts.text import clock_time
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from tests.alerts.conftest import context_of

if tuple(map(int, version("apache-airflow").split(".")[:2])) < (3, 1):
    pytest.skip("this Airflow asks nobody", allow_module_level=True)
hitl = importlib.import_module("airflow.providers.standard.operators.hitl")

BASE_URL = "https://airflow.example.com"


@pytest.fixture
def asking(monkeypatch):
    """The context of a task that asks whether to go on, as its notifiers meet it."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", BASE_URL)
    task = hitl.HITLOperator(
        task_id="ask",
        subject="Load 2 million rows?",
        options=["Yes", "No"],
        response_timeout=timedelta(hours=2),
    )
    context = context_of("running", dag_id="etl", task_id="ask", run_id="manual__1")
    task_instance = SimpleNamespace(dag_id="etl", task_id="ask", run_id="manual__1", map_index=-1)
    return context | {"task": task, "task_instance": task_instance}


def test_the_message_has_the_question_its_options_its_deadline_and_its_link(asking, sandbox, alerting):
    DialogTechSmsNotifier().notify(asking)
    (body,) = [sms["message"] for sms in sandbox.accepted()]
    assert body.startswith("Airflow asks: Load 2 million rows?; Yes or No; until ")
    assert f" {BASE_URL}/" in body
    assert body.endswith(answer_link(asking).strip())


def test_the_body_has_the_deadline_of_the_question(asking):
    earliest = clock_time(datetime.now(timezone.utc) + timedelta(hours=2))
    body = question_body(asking)
    assert body.endswith((f"until {earliest}", f"until {clock_time(datetime.now(timezone.utc) + timedelta(hours=2))}"))


def test_each_question_is_sent_even_within_the_cooldown(asking, sandbox, alerting):
    for run_id in ("one", "two", "two"):
        asking["ti"].run_id = run_id
        DialogTechSmsNotifier().notify(asking)
    assert len(sandbox.accepted()) == 2
    # A retry, after a question without an answer, and a cleared task ask anew.
    asking["ti"].try_number += 1
    DialogTechSmsNotifier().notify(asking)
    assert len(sandbox.accepted()) == 3


def test_a_link_that_is_too_long_is_left_out(asking, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://" + "a" * LONGEST_LINK + ".example.com")
    assert answer_link(asking) == ""


def test_a_link_leads_to_an_airflow_behind_a_path(asking, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"{BASE_URL}/team/")
    assert answer_link(asking).startswith(f" {BASE_URL}/team/dags/etl/runs/manual__1/tasks/ask/required_actions")


def test_a_link_is_whole_whatever_the_dag_is_called(asking, sandbox, alerting):
    asking["task_instance"].dag_id = "übermorgen"
    DialogTechSmsNotifier().notify(asking)
    (body,) = [sms["message"] for sms in sandbox.accepted()]
    assert body.endswith(f" {BASE_URL}/dags/%C3%BCbermorgen/runs/manual__1/tasks/ask/required_actions?map_index=-1")


def test_a_question_in_a_loop_is_sent_in_each_iteration_with_a_link_to_it(asking, sandbox, alerting):
    region = uuid4()
    for index in range(2):
        asking["loop"] = SimpleNamespace(index=index)
        asking["ti"].region_id, asking["ti"].region_index = region, index
        DialogTechSmsNotifier().notify(asking)
    ends = [sms["message"].rsplit("?", 1)[1] for sms in sandbox.accepted()]
    assert ends == [f"map_index=-1&region_id={region}&region_index={index}" for index in range(2)]


def test_a_question_shows_no_secret_and_keeps_its_numbers(asking):
    asking["task"].subject = "Pay 5556667777 with password=hunter2?"
    assert question_body(asking).startswith("Airflow asks: Pay 5556667777 with password=***")


def test_a_cut_does_not_expose_half_of_a_secret(asking):
    mask_secret("a very secret word")
    asking["task"].subject = "x" * 113 + " a very secret word"
    asking["task"].options = ["x" * 25 + " a very secret word", "No"]
    assert question_body(asking).split("; until")[0].endswith("x ***; " + "x" * 25 + " *** or No")


@pytest.mark.parametrize(
    "subject",
    [lambda: "x" * 10_000_000, lambda: "password=" * 1_000_000, lambda: "\n \n".join("?" * 1_000_000)],
    ids=["a word", "passwords", "lines"],
)
def test_a_huge_question_is_short(asking, subject):
    asking["task"].subject = subject()
    assert len(question_body(asking)) < 300


def test_a_long_question_is_cut_and_its_link_is_not(asking, sandbox, alerting):
    asking["task"].subject = "Really? " * 100
    DialogTechSmsNotifier().notify(asking)
    (body,) = [sms["message"] for sms in sandbox.accepted()]
    assert len(body) <= 256
    assert body.endswith(answer_link(asking).strip())


def test_other_tasks_do_not_ask(asking):
    assert asks(asking)
    assert not any(asks({"task": task}) for task in (SimpleNamespace(), object(), None))


def test_a_question_that_failed_is_a_failure(asking):
    assert event_of(asking, DialogTechSmsNotifier()) == "asked"
    failed = asking | {"exception": ValueError()}
    failed["ti"].state = "failed"
    assert event_of(failed, DialogTechSmsNotifier()) == "failed"


def test_a_question_with_unreadable_fields_is_sent():
    class HITLOperator:
        subject = 7
        options = "Yes"
        response_timeout = "soon"

        @property
        def params(self):
            raise ValueError

    assert question_body({"task": HITLOperator()}) == "Airflow asks: 7"
    assert answer_link({"task": HITLOperator()}) == ""


class Asking:
    """A task that asks, with a link of a given length."""

    response_timeout = None
    link = "http://x"

    def __init__(self, subject="Go on?", options=("Yes",)):
        self.subject, self.options = subject, options

    def generate_link_to_ui_from_context(self, context):
        return self.link


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "Go on?"), (1, "Go on?; 0"), (8, "6 or 7"), (9, "6, 7, …"), (20, "6, 7, …")]
)
def test_the_body_has_the_first_eight_options(count, expected):
    assert question_body({"task": Asking(options=[str(n) for n in range(count)])}).endswith(expected)


def test_a_subject_has_up_to_120_characters_and_an_option_30():
    assert question_body({"task": Asking("s" * 200, ["o" * 90])}) == f"Airflow asks: {'s' * 117}...; {'o' * 27}..."


def test_a_link_in_a_subject_is_kept_whole_or_left_out():
    subject = f"Load it? {'x' * 80} https://example.com/{'y' * 40}"
    assert question_body({"task": Asking(subject, [])}) == f"Airflow asks: Load it? {'x' * 80}..."


@pytest.mark.parametrize(
    ("scheme", "length", "is_included"), [("http", 180, True), ("http", 181, False), ("ftp", 90, False)]
)
def test_a_link_has_up_to_180_characters_and_is_of_http(scheme, length, is_included, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://x")
    task = Asking()
    task.link = f"{scheme}://x/".ljust(length, "a")
    assert answer_link({"task": task}) == (f" {task.link}" if is_included else "")
