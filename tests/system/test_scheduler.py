"""The example DAGs, run by a real scheduler: the messages, XCom, the pool, and what no log or file may hold."""

from datetime import datetime, timedelta

import pytest

from airflow_provider_dialogtech.masking import encodings_of
from tests.conftest import ACCESS_KEY, FROM_NUMBERS, SECRET

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DAILY = "dialogtech_daily_notification"
PER_ROW = "dialogtech_message_per_row"
CUSTOMERS = {
    "5556667771": "Hi Ada, your delivery comes today from 9 to 11.",
    "5556667772": "Hi Grace, your delivery comes today from 11 to 1.",
    "5556667773": "Hi Mary, your delivery comes today from 2 to 4.",
}


@pytest.fixture(scope="module")
def daily_run(system):
    """The run that the scheduler starts by itself."""
    run = system.airflow.wait_for_scheduled_run(DAILY)
    assert system.airflow.wait_for_run(DAILY, run) == "success"
    return run


@pytest.fixture(scope="module")
def per_row_run(system):
    """A run started by hand."""
    system.trigger(PER_ROW, "by_hand")
    assert system.airflow.wait_for_run(PER_ROW, "by_hand") == "success"
    return "by_hand"


def test_a_scheduled_run_messages_its_recipient_once(system, daily_run):
    date = daily_run.removeprefix("scheduled__")[: len("2026-01-01")]
    texts = [text["message"] for text in system.texts_to("5556667777")]
    assert texts == [
        f"Good morning! The numbers of {date} are ready: https://example.com/reports/{date.replace('-', '')}"
    ]


def test_each_row_of_a_result_becomes_one_message(system, per_row_run):
    texts = {number: [text["message"] for text in system.texts_to(number)] for number in CUSTOMERS}
    assert texts == {number: [text] for number, text in CUSTOMERS.items()}


def test_xcom_holds_what_became_of_the_message_and_nothing_else(system, daily_run):
    [text] = system.texts_to("5556667777")
    result = system.airflow.metadata.results_of_run(DAILY, daily_run)["good_morning", -1]
    assert result == {
        "status": "sent",
        "result": "success",
        "result_description": "[1] Message Sent",
        "xml": result["xml"],
        "to": "…7777",
        "from": f"…{text['from'][-4:]}",
        "segments": 1,
        "encoding": "GSM-7",
        "sent_at": result["sent_at"],
        "waited_seconds": result["waited_seconds"],
        "attempts": 1,
    }
    assert result["xml"].startswith("<?xml ")
    assert "<result_description>[1] Message Sent</result_description>" in result["xml"]
    sent_at = datetime.fromisoformat(result["sent_at"])
    assert sent_at.utcoffset() == timedelta(0)
    assert abs(sent_at.timestamp() - text["at"]) < 30
    assert 0 <= result["waited_seconds"] < 60


def test_every_mapped_task_has_its_own_result(system, per_row_run):
    results = system.airflow.metadata.results_of_run(PER_ROW, per_row_run)
    told = [
        (results["send_to_each_customer", index]["status"], results["send_to_each_customer", index]["to"])
        for index in range(3)
    ]
    assert told == [("sent", "…7771"), ("sent", "…7772"), ("sent", "…7773")]


def test_the_tasks_run_in_a_pool_that_nobody_created_by_hand(system, daily_run, per_row_run):
    tasks = [
        *system.airflow.metadata.tasks_of_run(DAILY, daily_run),
        *system.airflow.metadata.tasks_of_run(PER_ROW, per_row_run),
    ]
    assert {(task["task_id"], task["pool"]) for task in tasks} == {
        ("good_morning", "dialogtech_default"),
        ("prepare_messages", "default_pool"),
        ("send_to_each_customer", "dialogtech_default"),
    }
    assert system.airflow.metadata.slots_of_pools()["dialogtech_default"] == 4


def test_the_secret_is_in_no_file_of_airflow_in_any_encoding(system, daily_run, per_row_run):
    files = {
        file.relative_to(system.airflow.folder): file.read_bytes().lower()
        for file in system.airflow.folder.rglob("*")
        if file.is_file()
    }

    def holding(text: str) -> list[str]:
        return [str(file) for file, content in files.items() if text.lower().encode() in content]

    assert any(name.startswith("airflow.db") for name in holding(ACCESS_KEY))  # so a search finds what is there
    assert {form: holding(form) for form in encodings_of(SECRET)} == {form: [] for form in encodings_of(SECRET)}


def test_no_log_of_a_sending_task_or_of_a_component_shows_a_full_number(system, daily_run, per_row_run):
    logs = [
        *system.airflow.folder.glob("logs/*/*/task_id=good_morning/**/*.log"),
        *system.airflow.folder.glob("logs/*/*/task_id=send_to_each_customer/**/*.log"),
        *system.airflow.folder.glob("output/*.log"),
    ]
    content = {log: _without_debug_of_airflow_3_0(log.read_text(errors="replace")) for log in logs}
    assert sum("…777" in log for log in content.values()) >= 4
    for number in (*CUSTOMERS, "5556667777", *FROM_NUMBERS):
        as_written = f"({number[:3]}) {number[3:6]}-{number[6:]}"
        assert [str(log) for log, text in content.items() if number in text or as_written in text] == []


def _without_debug_of_airflow_3_0(log: str) -> str:
    # Its scheduler prints every message between a task and its supervisor, the rendered fields of all operators too.
    return "\n".join(line for line in log.splitlines() if "Received message from task runner" not in line)


def test_a_run_that_is_triggered_without_a_date_messages_too(system, daily_run):
    before = len(system.texts_to("5556667777"))
    system.trigger(DAILY, "by_hand")
    assert system.airflow.wait_for_run(DAILY, "by_hand") == "success", system.airflow.task_logs(DAILY)
    assert len(system.texts_to("5556667777")) == before + 1
