"""Callbacks with a faulty API or journal. Their times are shortened: 45 s are 4.5 s here."""

import logging
import threading
import time

import pytest

from airflow_provider_dialogtech.alerts import deadline, deliver
from airflow_provider_dialogtech.alerts import deliver as recipient
from airflow_provider_dialogtech.alerts import journals as fallback
from airflow_provider_dialogtech.exceptions import JournalUnavailable, WaitTooLong
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal import sqlite
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.sandbox.faults import NAMES
from tests.alerts.conftest import ALICE, BOB, bodies, failure
from tests.conftest import FROM_NUMBERS

HELD = 4.5
# The time that the machine may take besides the waits. The faults last a minute.
SLACK = 20.0
CERTAINLY_NOT_SENT = {"refused", "throttled"}


@pytest.fixture(autouse=True)
def _short_times(monkeypatch, caplog):
    monkeypatch.setattr(deliver, "LONGEST_CALLBACK", HELD)
    monkeypatch.setattr(deadline, "LONGEST_WAIT", 3.0)
    for module in (deadline, recipient):
        monkeypatch.setattr(module, "LONGEST_CALL", 1.4)
    caplog.set_level(logging.INFO)


def alert(**arguments):
    """Call the callback and return how long it took."""
    begun = time.monotonic()
    DialogTechSmsNotifier("hello", **arguments)(failure())
    return time.monotonic() - begun


@pytest.mark.parametrize("fault", sorted(NAMES))
def test_a_fault_neither_blocks_a_callback_nor_raises(sandbox, alerting, fault, caplog):
    sandbox.fault(fault, seconds=60, retry_after=60)
    assert alert() < HELD + SLACK
    assert (
        "the message to …7777 was not sent"
        if fault in CERTAINLY_NOT_SENT
        else "the message to …7777 may have been sent"
    ) in caplog.text
    assert ("no message was sent" in caplog.text) == (fault in CERTAINLY_NOT_SENT)


@pytest.mark.parametrize("fault", sorted(NAMES))
def test_after_a_fault_the_next_alert_is_sent_unless_the_last_may_have_been(sandbox, alerting, fault):
    sandbox.fault(fault, seconds=60)
    alert()
    sandbox.clear_faults()
    sandbox.forget()
    time.sleep(1.2 if fault == "throttled" else 0)  # the pause that a throttled message asks of the account
    alert()
    sent = bodies(sandbox)
    if fault in CERTAINLY_NOT_SENT:
        assert len(sent) == 1
        assert sent[0].startswith("hello (+1 more since ")
    else:
        assert sent == []


def test_with_the_api_down_the_log_says_that_no_message_was_sent(connection, unused_port, caplog):
    connection(host=f"http://127.0.0.1:{unused_port}/", extra={"from_numbers": FROM_NUMBERS[0], "alert_to": ALICE})
    assert alert() < HELD + SLACK
    assert "the message to …7777 was not sent" in caplog.text
    assert "Alert for etl.load (failed): no message was sent." in caplog.text


def test_an_alert_without_a_slot_in_its_time_is_an_error_and_counts_in_the_next_message(
    sandbox, connect_sandbox, caplog
):
    def connect_with(number):
        limits = {"number_per_minute": 1, "account_per_second": 9}
        connect_sandbox(extra={"from_numbers": number, "alert_to": ALICE, **limits})

    connect_with(FROM_NUMBERS[0])
    DialogTechSmsNotifier("first", dedup_key="first")(failure())
    for _ in range(2):
        assert alert() < HELD + SLACK
    assert bodies(sandbox) == ["first"]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert sum("the message to …7777 was not sent" in line and "later than max_wait" in line for line in errors) == 2
    connect_with(FROM_NUMBERS[1])
    alert()
    assert bodies(sandbox)[1].startswith("hello (+2 more since ")


def test_one_recipients_fault_does_not_affect_the_others(sandbox, alerting, caplog):
    sandbox.fault("refused", to=ALICE)
    alert(to=[ALICE, BOB])
    assert bodies(sandbox, to=BOB) == ["hello"]
    assert "the message to …7777 was not sent" in caplog.text
    assert "the message to …8888 was sent" in caplog.text
    assert "no message was sent" not in caplog.text


def test_many_recipients_of_a_hanging_api_block_a_callback_as_long_as_one(sandbox, alerting):
    sandbox.fault("hang_before_accept")
    assert alert(to=[f"55566677{number:02}" for number in range(20)]) < HELD + SLACK


def test_without_any_journal_the_message_is_sent_from_the_first_number(sandbox, alerting, monkeypatch, caplog):
    def fail():
        raise JournalUnavailable

    journals = [journal._replace(open=fail) for journal in fallback.JOURNALS]
    monkeypatch.setattr(fallback, "JOURNALS", journals)
    alert()
    assert [sms["from"] for sms in sandbox.accepted()] == [FROM_NUMBERS[0]]
    assert "without a journal, so without rate limits and without suppression" in caplog.text


def test_an_alert_is_sent_from_a_process_that_was_forked_while_files_were_in_use(
    sandbox, alerting, monkeypatch, caplog
):
    monkeypatch.setattr(sqlite, "_forks", sqlite._Forks(is_safe=False))
    alert()
    assert bodies(sandbox) == ["hello"]
    assert "the shared journal failed (this process was forked while a thread of its parent used" in caplog.text


def test_a_journal_that_cannot_even_be_opened_is_followed_by_the_next_one(sandbox, alerting, monkeypatch, caplog):
    def fail():
        raise RuntimeError("of a library")

    shared, *others = fallback.JOURNALS
    monkeypatch.setattr(fallback, "JOURNALS", (shared._replace(open=fail), *others))
    alert()
    assert bodies(sandbox) == ["hello"]
    assert "the shared journal failed (the delivery journal cannot be used (RuntimeError))" in caplog.text


def test_the_time_that_airflow_takes_to_say_where_the_journal_is_is_not_the_journals(
    sandbox, alerting, monkeypatch, caplog
):
    def slowly():
        time.sleep(3.0)
        return shared.open()

    monkeypatch.setattr(deliver, "LONGEST_CALLBACK", 45.0)
    shared, *others = fallback.JOURNALS
    monkeypatch.setattr(fallback, "JOURNALS", (shared._replace(open=slowly, seconds=2.5), *others))
    alert()
    assert bodies(sandbox) == ["hello"]
    assert "through the file" not in caplog.text


def test_an_airflow_that_does_not_say_where_the_journal_is_is_not_waited_for_long(
    sandbox, alerting, monkeypatch, caplog
):
    monkeypatch.setattr(fallback, "OPENING_SECONDS", 0.2)
    released = threading.Event()
    shared, *others = fallback.JOURNALS
    hangs = shared._replace(open=lambda: released.wait(60))
    monkeypatch.setattr(fallback, "JOURNALS", (hangs, *others))
    alert()
    released.set()
    assert bodies(sandbox) == ["hello"]
    assert "the shared journal failed (the delivery journal has taken longer than the 0.2 s" in caplog.text


def test_a_thread_that_hangs_is_abandoned(alerting, monkeypatch, caplog):
    monkeypatch.setattr(deliver, "LONGEST_CALLBACK", 0.2)
    released = threading.Event()
    attached_by = fallback.Journal("a journal that hangs", lambda: released.wait(60), 60.0)
    monkeypatch.setattr(fallback, "JOURNALS", (attached_by,))
    begun = time.monotonic()
    alert()
    assert time.monotonic() - begun < 30
    assert "time is over" in caplog.text
    released.set()


def test_a_pause_that_would_use_up_the_time_to_send_is_not_begun():
    end = deadline.AlertDeadline(HELD)
    begun = time.monotonic()
    with pytest.raises(WaitTooLong):
        end.sleep(HELD)
    assert time.monotonic() - begun < HELD
    end.sleep(0)


def test_an_unexpected_error_is_logged_by_its_type_only(sandbox, alerting, monkeypatch, caplog):
    def fail(*_args, **_kwargs):
        raise RuntimeError(f"about {ALICE}")

    monkeypatch.setattr(recipient, "fit", fail)
    alert()
    assert "RuntimeError" in caplog.text
    assert ALICE not in caplog.text


def test_a_pause_that_dialogtech_asks_of_a_list_holds_up_no_alert(sandbox, alerting, caplog):
    """Seen: the alerts of the next half minute were all lost."""
    sandbox.fault("throttled", times=1, status=429, retry_after=60)
    with pytest.raises(WaitTooLong):
        DialogTechHook().send_sms(to=BOB, message="of a list", max_wait=5)
    for n in range(2):
        assert alert(dedup_key=str(n)) < HELD + SLACK
    assert bodies(sandbox, to=ALICE) == ["hello"] * 2
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    with pytest.raises(WaitTooLong):  # the list heeds the pause
        DialogTechHook().send_sms(to=BOB, message="another", max_wait=5)


def test_an_alert_that_is_throttled_to_the_end_is_an_error_and_counts_in_the_next(sandbox, alerting, caplog):
    sandbox.fault("throttled", status=429, retry_after=60)
    alert()
    assert bodies(sandbox) == []
    assert "the message to …7777 was not sent" in caplog.text
    sandbox.clear_faults()
    alert()
    (told,) = bodies(sandbox)
    assert told.startswith("hello (+1 more since ")
