"""Callbacks that Airflow gives little time: each recipient has a line in the log, and who got nothing is counted."""

import json
import logging
import os
import re
import signal
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_dialogtech.alerts import deadline, deliver
from airflow_provider_dialogtech.alerts.alert import Alert
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.settings import host
from airflow_provider_dialogtech.settings.host import TASK_RUNNER
from tests.alerts.conftest import ALICE, failure
from tests.conftest import FROM_NUMBERS

PEOPLE = [f"55566670{n:02}" for n in range(12)]
OUTCOME = re.compile(r"the message to …(\d{4}) (was sent|was not sent|may have been sent|is suppressed)")


@pytest.fixture(autouse=True)
def _at_every_level(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("AIRFLOW__CORE__TASK_SUCCESS_OVERTIME", "20")
    monkeypatch.setattr(host.HOST, "_terminated_at", None)


@pytest.fixture
def one_number(connect_sandbox):
    """A connection to the sandbox with one number, so that a message leaves each second."""
    return connect_sandbox(extra={"from_numbers": FROM_NUMBERS[0], "alert_to": ALICE, "timeout": 30})


def call(to=PEOPLE, *, seconds_left=20.0, dedup_key="key", **arguments):
    """Call a callback as a task of Airflow 3 does that has so many seconds left for all its callbacks."""
    context = failure(end_date=datetime.now(timezone.utc) - timedelta(seconds=20 - seconds_left))
    notifier = DialogTechSmsNotifier("hello", to, dedup_key=dedup_key, **arguments)
    exec("notifier(context)", {"__name__": TASK_RUNNER, "notifier": notifier, "context": context})  # noqa: S102


def terminate_once(condition):
    """Send SIGTERM to this process while its callback waits for slots, once a condition is true."""
    before = signal.getsignal(signal.SIGTERM)

    def wait():
        while not (condition() and signal.getsignal(signal.SIGTERM) is not before):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def outcomes(caplog):
    """Return the outcome of each recipient's message, of which there is one line."""
    lines = OUTCOME.findall(caplog.text)
    assert len(lines) == len(dict(lines)), lines
    return dict(lines)


def test_where_many_wait_for_one_number_each_has_a_line_and_the_next_alert_counts_who_got_none(
    sandbox, one_number, caplog
):
    call(seconds_left=9.0)
    told = outcomes(caplog)
    assert told.keys() == {number[-4:] for number in PEOPLE}
    unsent = [number for number in PEOPLE if told[number[-4:]] == "was not sent"]
    assert unsent  # one number sends nine messages in this time, or fewer on a busy machine
    arrived = {sms["to"] for sms in sandbox.accepted()}
    assert {number for number in PEOPLE if told[number[-4:]] == "was sent"} <= arrived
    assert arrived.isdisjoint(unsent)
    counted = [
        number
        for number in unsent
        if re.search(rf"…{number[-4:]} was not sent: .* The next alert about the same counts this one\.", caplog.text)
    ]
    # Who did not even get to its claim cannot be counted, and its line says so.
    assert caplog.text.count("The next alert does not count this one.") == len(unsent) - len(counted)
    for number in counted[:1]:
        call([number])
        assert "hello (+1 more since" in sandbox.accepted()[-1]["message"]


def test_a_second_notifier_has_the_time_that_the_first_one_left(sandbox, one_number, monkeypatch, caplog):
    monkeypatch.setattr(deliver, "LEAST_BOOKKEEPING", 60.0)
    call(seconds_left=1.0)
    assert outcomes(caplog) == {number[-4:]: "was not sent" for number in PEOPLE}
    assert sandbox.messages() == []
    call([PEOPLE[0]])
    assert "hello (+1 more since" in sandbox.accepted()[-1]["message"]


def test_the_timeout_of_the_connection_is_shortened(sandbox, one_number, monkeypatch, caplog):
    for module in (deadline, deliver):
        monkeypatch.setattr(module, "LONGEST_CALL", 1.4)
    sandbox.fault("hang_after_accept", seconds=60)
    call([ALICE], seconds_left=5.0)
    assert outcomes(caplog) == {ALICE[-4:]: "may have been sent"}
    assert re.search(r"no reply came within [01](\.\d+)? s", caplog.text)


def test_a_signal_while_the_alert_ends_leaves_the_handler_that_was_there():
    def terminated():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            handlers.append(signal.getsignal(signal.SIGTERM))

    handlers = [signal.getsignal(signal.SIGTERM)]
    with pytest.raises(deliver._Terminated), deliver._raising_on_sigterm():
        terminated()
    assert handlers[0] is handlers[1]


def test_on_sigterm_each_recipient_has_a_line_and_the_signal_goes_on(sandbox, one_number, caplog):
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    terminate_once(lambda: "was sent." in caplog.text)
    begun = time.monotonic()
    try:
        call()
    finally:
        handler = signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - begun < 15
    assert received == [signal.SIGTERM]
    assert handler is not before
    told = dict(OUTCOME.findall(caplog.text))
    assert told.keys() == {number[-4:] for number in PEOPLE}
    assert {"was sent", "was not sent"} <= set(told.values())
    assert caplog.text.count("was not sent: Airflow ends this process") == list(told.values()).count("was not sent")


def test_what_another_handler_of_sigterm_raises_goes_up_after_the_lines(sandbox, one_number, caplog):
    """As in a task of Airflow 2."""

    class AirflowTaskTerminated(BaseException):
        pass

    def end(*_):
        raise AirflowTaskTerminated

    before = signal.signal(signal.SIGTERM, end)
    terminate_once(lambda: True)
    try:
        with pytest.raises(AirflowTaskTerminated):
            call()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert dict(OUTCOME.findall(caplog.text)).keys() == {number[-4:] for number in PEOPLE}


def test_a_message_whose_turn_comes_after_its_callback_ended_claims_nothing(sandbox, alerting, caplog):
    arguments = {"subject": "etl", "body": "hello", "built_in": False, "note": "", "cooldown": timedelta(minutes=15)}
    hook = DialogTechHook(alerting)
    message = deliver.RecipientAlert(
        Alert(dedup_key=json.dumps(["given", "key"]), **arguments), ALICE, hook, deadline.AlertDeadline(45)
    )
    message.give_up("the callback's time is over")
    message.run()
    assert outcomes(caplog) == {ALICE[-4:]: "was not sent"}
    assert "The next alert does not count this one." in caplog.text
    call([ALICE])
    assert [sms["message"] for sms in sandbox.accepted()] == ["hello"]
