import importlib.util
import warnings
from pathlib import Path

import pytest

from tests.running import run_dag

EXAMPLES = Path(__file__).parent.parent / "example_dags"
XCOM_KEYS = {
    "status",
    "result",
    "result_description",
    "xml",
    "to",
    "from",
    "segments",
    "encoding",
    "sent_at",
    "waited_seconds",
    "attempts",
}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_parses_without_a_deprecation_warning(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert [str(warning.message) for warning in caught if warning.filename == str(path)] == []


def test_the_daily_notification_messages_its_recipient_once(metadata_db, sandbox, sandbox_connection):
    run = run_dag(EXAMPLES / "dialogtech_daily_notification.py")
    assert run.states == {"good_morning": ["success"]}, run.output
    (arrival,) = sandbox.messages()
    assert arrival["to"] == "5556667777"
    assert arrival["message"].startswith("Good morning! The numbers of 20")
    (result,) = run.results["good_morning"]
    assert set(result) == XCOM_KEYS
    assert (result["to"], result["status"], result["result_description"]) == ("…7777", "sent", "[1] Message Sent")


ATTACKS = ("{{ conn.dialogtech_default.password }}", "Mallory.sms")


@pytest.fixture
def with_hostile_names(tmp_path):
    """Copy an example, with customers who call themselves templates and template files."""

    def copied(name: str, *customers: str) -> Path:
        for file in EXAMPLES.glob(f"{name}.*"):
            content = file.read_text(encoding="utf-8")
            for customer, attack in zip(customers, ATTACKS, strict=False):
                content = content.replace(customer, attack)
            (tmp_path / file.name).write_text(content, encoding="utf-8")
        return tmp_path / f"{name}.py"

    return copied


def test_every_row_gets_its_own_message_and_no_name_is_a_template(
    metadata_db, sandbox, sandbox_connection, with_hostile_names
):
    run = run_dag(with_hostile_names("dialogtech_message_per_row", "Grace", "Mary"))
    assert run.states["send_to_each_customer"] == ["success"] * 3, run.output
    arrivals = {arrival["to"]: arrival["message"] for arrival in sandbox.messages()}
    assert arrivals == {
        "5556667771": "Hi Ada, your delivery comes today from 9 to 11.",
        "5556667772": f"Hi {ATTACKS[0]}, your delivery comes today from 11 to 1.",
        "5556667773": f"Hi {ATTACKS[1]}, your delivery comes today from 2 to 4.",
    }
    assert [result["to"] for result in run.results["send_to_each_customer"]] == ["…7771", "…7772", "…7773"]


def test_each_customer_of_the_file_gets_a_message_for_each_order_and_no_name_is_a_template(
    metadata_db, sandbox, sandbox_connection, with_hostile_names
):
    run = run_dag(with_hostile_names("dialogtech_customers", "Grace", "Mary"))
    assert run.states == {"read_customers": ["success"], "send_to_customers": ["success"]}, run.output
    assert sorted((text["to"], text["message"]) for text in sandbox.accepted()) == [
        ("5556667781", "Hi Ada, your order A-1001 comes today from 9 to 11."),
        ("5556667781", "Hi Ada, your order A-1004 comes today from 4 to 6."),
        ("5556667782", f"Hi {ATTACKS[0]}, your order A-1002 comes today from 11 to 1."),
        ("5556667783", f"Hi {ATTACKS[1]}, your order A-1003 comes today from 2 to 4."),
    ]
    (summary,) = run.results["send_to_customers"]
    assert (summary["recipients"], summary["sent"], summary["failures"]) == (4, 4, [])


def test_what_a_decorated_function_returns_is_texted_also_by_a_mapped_one(metadata_db, sandbox, sandbox_connection):
    run = run_dag(EXAMPLES / "dialogtech_decorated.py")
    assert run.states == {
        "load": ["success"],
        "notify_the_owner": ["success"],
        "notify_a_customer": ["success", "success"],
    }, run.output
    assert {arrival["to"]: arrival["message"] for arrival in sandbox.accepted()} == {
        "5556667777": "4711 rows were loaded.",
        "5556667771": "Hi Ada, your delivery comes today.",
        "5556667772": "Hi Grace, your delivery comes today.",
    }
    (result,) = run.results["notify_the_owner"]
    assert set(result) == XCOM_KEYS
