"""Who is texted, and who is asked: the example DAGs of contacts, `only_to`, `resolved`, `alert_on` and questions."""

import re
from importlib.metadata import version

import pytest
import requests

from tests.programs import require
from tests.sandbox.browser import running_chromium
from tests.system.conftest import ANY_TIME, CONTACTS, EVERY_DAG_TO

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ALERT_TO = "5556667790"
QUESTION = "dialogtech_question"
RUN = "by_hand"
# How the runs of the example DAGs end; that of the question waits for its answer.
ENDS = {
    "dialogtech_contacts": "failed",
    "dialogtech_works_again": "failed",
    "dialogtech_only_to": "success",
    "dialogtech_every_dag": "failed",
    QUESTION: None,
}
ASKED = rf"Airflow asks: Load 2 million rows\?; Approve or Reject; until {ANY_TIME} (http\S+)"
asks_people = pytest.mark.skipif(
    tuple(map(int, version("apache-airflow").split(".")[:2])) < (3, 1), reason="Airflow asks people from 3.1 on"
)


def in_digits(number):
    return re.sub(r"\D", "", number)


ONCALL, ADA = in_digits(CONTACTS["oncall"]), in_digits(CONTACTS["ada"])
FINANCE = [in_digits(number) for number in CONTACTS["finance"]]


@pytest.fixture(scope="module")
def runs(system):
    """The runs of all these DAGs, side by side."""
    for dag_id in ENDS:
        system.trigger(dag_id, RUN)
    for dag_id, end in ENDS.items():
        if end:
            assert system.airflow.wait_for_run(dag_id, RUN) == end, system.airflow.task_logs(dag_id)
    return RUN


def words_to(system, number):
    return [text["message"] for text in system.texts_to(number)]


def wait_for(system, number, words):
    """Return the one message to a number that holds these words, as soon as it is there."""

    def found():
        return [text for text in words_to(system, number) if words in text]

    system.airflow.processes.wait_until(f"{number} reads {words!r}", lambda: bool(found()), seconds=300)
    (text,) = found()
    return text


def test_a_name_a_list_of_names_and_the_owner_of_the_dag_are_texted(system, runs):
    assert words_to(system, ONCALL).count("The books are being closed.") == 1
    for number in (ONCALL, *FINANCE):
        assert wait_for(system, number, "The books are closed.") == "The books are closed."
    failed = rf"Airflow: dialogtech_contacts.write_the_report failed at {ANY_TIME}, try 1 of 1, run by_hand: .*"
    assert re.fullmatch(failed, system.text_to(ADA))


def test_no_number_of_a_contact_is_kept_by_airflow(system, runs):
    for table in ("rendered_task_instance_fields", "serialized_dag", "dag_run"):
        kept = [str(tuple(row)) for row in system.airflow.metadata.rows(f"SELECT * FROM {table}")]  # noqa: S608
        assert any("dialogtech_contacts" in row for row in kept)
        for number in (ONCALL, ADA, *FINANCE):
            as_written = f"({number[:3]}) {number[3:6]}-{number[6:]}"
            # The example's own description, which shows how contacts are written, is no data of a run.
            rows = [re.sub(r"doc_md.*?\}\}", "", row, flags=re.DOTALL) for row in kept]
            assert [row for row in rows if number in row or as_written in row] == []


def test_who_is_not_in_only_to_gets_no_message_and_the_task_says_so(system, runs):
    assert words_to(system, ONCALL).count("Your order comes today.") == 1
    assert words_to(system, "5556667869") == []
    results = system.airflow.metadata.results_of_run("dialogtech_only_to", RUN)
    told = {task: (result["status"], result["to"]) for (task, _), result in results.items()}
    assert told == {"send_to_a_tester": ("sent", "…7861"), "send_to_a_customer": ("held_back", "…7869")}
    assert "Held back, so nothing was sent" in system.airflow.task_logs("dialogtech_only_to")


def test_a_dag_that_works_again_is_told_once(system, runs):
    assert wait_for(system, ALERT_TO, "dialogtech_works_again.load failed")
    for run in ("works", "works_too"):
        system.trigger("dialogtech_works_again", run, works=True)
        assert system.airflow.wait_for_run("dialogtech_works_again", run) == "success"
    expected = r"Airflow: dialogtech_works_again.load works again, after 1 failure in \d+ (s|min)"
    assert re.fullmatch(expected, wait_for(system, ALERT_TO, "works again"))


@pytest.mark.parametrize(
    ("dag_id", "which"),
    [
        ("dialogtech_every_dag", "extract: ConnectionError: The shop does not answer"),
        ("dialogtech_contacts", "write_the_report: ConnectionError: The printer does not answer"),
    ],
)
def test_the_failure_of_any_run_is_texted_with_its_task_and_error(system, runs, dag_id, which):
    """The second DAG has a notifier, which tells another person of the task."""
    known = "a task failed" if version("apache-airflow").startswith("3.0.") else which
    expected = rf"Airflow: DAG {dag_id} failed at {ANY_TIME}, run by_hand: {known}"
    assert re.fullmatch(expected, wait_for(system, EVERY_DAG_TO, dag_id))


def test_what_is_texted_without_a_notifier_is_said_when_airflow_starts(system):
    logs = [log.read_text(errors="replace") for log in (system.airflow.folder / "output").glob("*.log")]
    words = "alerts about dag_failed and import_error go to alert_to of the connection dialogtech_oncall"
    assert any(words in log for log in logs)


@pytest.fixture(scope="module")
def link(system, runs):
    """The link in the message that asks."""
    text = wait_for(system, ONCALL, "Airflow asks")
    return re.fullmatch(ASKED, text)[1]


def question_of(system, method="GET", body=None):
    """Ask Airflow's API what the task asks, or answer it."""
    task = f"dags/{QUESTION}/dagRuns/{RUN}/taskInstances/approve/-1"
    return system.airflow.api.call(method, f"{task}/hitlDetails", body)


@asks_people
def test_a_question_is_texted_with_a_link_to_airflow(system, link):
    page = f"{system.airflow.url}/dags/{QUESTION}/runs/{RUN}/tasks/approve/required_actions"
    assert link == f"{page}?map_index=-1"
    answer = requests.get(link, timeout=300)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    asked = question_of(system)
    assert (asked["subject"], asked["options"]) == ("Load 2 million rows?", ["Approve", "Reject"])
    assert not asked["response_received"]


@asks_people
def test_its_link_opens_the_form_with_the_options(system, link, tmp_path):
    require("chromium")
    with running_chromium(tmp_path) as browser:
        # Logged in first: Airflow 3.1 without passwords leads from its login to its home page.
        browser.open(system.airflow.url)
        browser.wait_for("document.body?.innerText.includes('Dags')", seconds=300)
        browser.open(link)
        buttons = "[...document.querySelectorAll('button')].map((button) => button.innerText.trim())"
        for option in ("Approve", "Reject"):
            browser.wait_for(f"{buttons}.includes({option!r})", seconds=300)
        assert "Load 2 million rows?" in browser.text()


@asks_people
def test_the_task_goes_on_once_it_is_answered(system, link):
    question_of(system, "PATCH", {"chosen_options": ["Approve"], "params_input": {}})
    assert system.airflow.wait_for_run(QUESTION, RUN) == "success"
    assert len([text for text in words_to(system, ONCALL) if "Airflow asks" in text]) == 1


@pytest.mark.skipif(not asks_people.args[0], reason="this Airflow asks people")
def test_before_airflow_asks_people_the_example_says_why_it_is_skipped(system, runs):
    assert system.airflow.wait_for_run(QUESTION, RUN) == "success"
    (task,) = system.airflow.metadata.tasks_of_run(QUESTION, RUN)
    assert task["state"] == "skipped"
    assert "need Airflow 3.1, and this one is older" in system.airflow.task_logs(QUESTION)
