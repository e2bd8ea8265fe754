"""Deliver an alert to everybody, several at once, within the time that a callback may take, and without raising."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence

from airflow_provider_dialogtech.alerts.alert import Alert
from airflow_provider_dialogtech.alerts.deadline import HELD, AlertDeadline
from airflow_provider_dialogtech.alerts.recipient import RecipientAlert
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.settings.connection import ConnectionSettings
from airflow_provider_dialogtech.settings.contacts import Contacts

log = logging.getLogger(__name__)

AT_ONCE = 8


def deliver(alert: Alert, recipients: Sequence[object], hook: DialogTechHook) -> bool:
    """Text everybody, and write to the log what became of it.

    :param alert: the alert.
    :param recipients: the numbers and contacts it goes to, as people write them. One that is wrong hinders no other.
    :param hook: the account it leaves from. Its settings have been read.
    :return: False where certainly nobody got a text and none was suppressed.
    """
    deadline = AlertDeadline(HELD)
    numbers = _numbers(alert, recipients, hook.settings)
    texts = [RecipientAlert(alert, number, hook, deadline) for number in numbers]
    _run_all(texts, deadline)
    if all(text.failed for text in texts):
        log.error("Alert for %s: no text was sent.", alert.subject)
        return False
    if not all(text.ended for text in texts):
        log.error("Alert for %s: the callback's time is over, so some texts may not have been sent.", alert.subject)
    return True


def _numbers(alert: Alert, recipients: Sequence[object], settings: ConnectionSettings) -> list[str]:
    """Return the numbers of all; where one is wrong, those of `alert_to`, too: somebody must hear of it."""
    if not recipients:
        log.error("Alert for %s: no recipients. Give `to`, or set alert_to in the connection's extra.", alert.subject)
    is_alert_to = tuple(recipients) == settings.alert_to
    instead = ". Correct alert_to in the connection." if is_alert_to else ", so alert_to gets it instead. Correct `to`."
    numbers: list[str] = []
    problems: list[str] = []
    for recipient in recipients:
        numbers += _numbers_of(recipient, settings.contacts, problems)
    for problem in problems:
        log.error("Alert for %s: one recipient gets no text: %s%s", alert.subject, problem, instead)
    if problems and not is_alert_to:
        numbers += _numbers(alert, settings.alert_to, settings)
    return list(dict.fromkeys(numbers))


def _numbers_of(recipient: object, contacts: Contacts, problems: list[str]) -> list[str]:
    from airflow_provider_dialogtech.sms.message import normalize_number

    numbers = []
    try:
        written = contacts.numbers_of(recipient)
    except InvalidMessage as error:
        problems.append(error.reason)
        return []
    for number in written:
        try:
            numbers.append(str(normalize_number(number, "to")))
        except InvalidMessage as error:
            problems.append(error.reason)
    return numbers


def _run_all(texts: Sequence[RecipientAlert], deadline: AlertDeadline) -> None:
    """Send the texts, several at once, in threads that a callback can abandon: nothing that hangs may hold it."""
    waiting: queue.SimpleQueue[RecipientAlert] = queue.SimpleQueue()
    for text in texts:
        waiting.put(text)
    workers = [
        threading.Thread(target=_run_waiting, args=(waiting,), daemon=True) for _ in range(min(len(texts), AT_ONCE))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(0.0, deadline.left()))


def _run_waiting(waiting: queue.SimpleQueue[RecipientAlert]) -> None:
    while True:
        try:
            text = waiting.get_nowait()
        except queue.Empty:
            return
        text.run()
