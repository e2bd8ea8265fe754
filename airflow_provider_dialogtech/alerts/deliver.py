"""Tell people of an alert: each on their own, within the time that a callback may take, and without raising."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_dialogtech.alerts import fallback
from airflow_provider_dialogtech.alerts.text import fit, suffix_of
from airflow_provider_dialogtech.delivery.origin import NO_TASK, Origin
from airflow_provider_dialogtech.exceptions import (
    DialogTechError,
    InDoubt,
    InvalidMessage,
    JournalUnavailable,
    NotSent,
    WaitTooLong,
)
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.masking import mask_number, scrub

if TYPE_CHECKING:
    from airflow_provider_dialogtech.alerts.attempt import Attempt
    from airflow_provider_dialogtech.alerts.dedup import AlertGate, Claim
    from airflow_provider_dialogtech.delivery.store import Store
    from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

# A callback is held so many seconds at most: the dag-processor kills one that takes 50.
HELD = 45.0
# It waits so long for a slot, and so long for one call of the API.
WAIT = 30.0
CALL = 14.0
# Between a slot that was found and the request that leaves in it.
SPARE = 1.0
AT_ONCE = 8

# One that is away and one that does not answer are the same to an alert. So many seconds may all answers of one take
# together; waiting for a slot is not counted.
SHARED_SECONDS = 3.0
# A storm of this machine's own callbacks may keep its file busy for a while; that is no reason to text once more.
LOCAL_SECONDS = 10.0
_JOURNALS = (
    (fallback.shared_journal, SHARED_SECONDS),
    (fallback.journal_in_airflow_home, LOCAL_SECONDS),
    (fallback.journal_in_temporary_directory, LOCAL_SECONDS),
)


@dataclass(frozen=True)
class Alert:
    """An alert, ready to be told.

    :param subject: what it is about, for the log.
    :param text: what it says.
    :param built_in: whether the text is ours, which fits one segment.
    :param note: what is to stand behind it in any case.
    :param dedup_key: alerts with the same key are one alert.
    :param cooldown: how long a recipient is not told again; None tells each time.
    :param origin: the task that it is about.
    """

    subject: str
    text: str = field(repr=False)
    built_in: bool
    note: str
    dedup_key: str
    cooldown: timedelta | None
    origin: Origin = NO_TASK


def tell(alert: Alert, recipients: Sequence[object], hook: DialogTechHook) -> None:
    """Tell everybody, several at once, and write to the log what became of it.

    :param alert: the alert.
    :param recipients: the numbers it goes to, as people write them. One that is wrong hinders no other.
    :param hook: the account it leaves from. Its settings have been read.
    """
    deadline = Deadline(HELD)
    tellings = [_Telling(alert, number, hook, deadline) for number in _numbers(alert, recipients)]
    waiting: queue.SimpleQueue[_Telling] = queue.SimpleQueue()
    for telling in tellings:
        waiting.put(telling)
    # Threads that a callback can leave behind: nothing that hangs may hold it.
    workers = [
        threading.Thread(target=_run_waiting, args=(waiting,), daemon=True) for _ in range(min(len(tellings), AT_ONCE))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(0.0, deadline.left()))
    if all(telling.failed for telling in tellings):
        log.error("Alert for %s: nobody was told.", alert.subject)
    elif not all(telling.ended for telling in tellings):
        log.error("Alert for %s: the callback waits no longer, so not all may have been told.", alert.subject)


class Deadline:
    """The end of the time that a callback may take.

    :param seconds: when it comes.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return self._end - time.monotonic()

    def pause(self, seconds: float) -> None:
        """Sleep, unless there would be no time left to send.

        :raises WaitTooLong: instead of sleeping.
        """
        if seconds > self.left() - CALL:
            raise WaitTooLong("a callback may take no longer")
        time.sleep(seconds)


def _numbers(alert: Alert, recipients: Sequence[object]) -> list[str]:
    from airflow_provider_dialogtech.sms.message import normalize_number

    numbers = []
    for recipient in recipients:
        try:
            numbers.append(str(normalize_number(recipient, "to")))
        except InvalidMessage as error:
            log.error("Alert for %s: one recipient was not told. %s", alert.subject, error)  # noqa: TRY400
    if not recipients:
        log.error("Alert for %s: no recipients. Give `to`, or set alert_to in the connection's extra.", alert.subject)
    return list(dict.fromkeys(numbers))


def _run_waiting(waiting: queue.SimpleQueue[_Telling]) -> None:
    while True:
        try:
            telling = waiting.get_nowait()
        except queue.Empty:
            return
        telling.run()


@dataclass
class _Telling:
    """One recipient's text of an alert."""

    alert: Alert
    number: str
    hook: DialogTechHook
    deadline: Deadline
    ended: bool = False
    failed: bool = False

    def run(self) -> None:
        """Tell, and never raise."""
        try:
            self._tell_by_any_journal()
        except InDoubt:
            self._log(logging.WARNING, "may have been told; DialogTech's message log knows.")
        except DialogTechError as error:
            self._log(logging.ERROR, "was not told. %s", error)
            self.failed = True
        except Exception as error:
            # Its words could hold anything.
            self._log(logging.ERROR, "may not have been told (%s).", type(error).__name__)
        self.ended = True

    def _tell_by_any_journal(self) -> None:
        # Imported before the journal's time begins: on a busy machine that takes as long.
        from airflow_provider_dialogtech.alerts.attempt import Attempt

        for open_journal, seconds in _JOURNALS:
            attempt = Attempt(seconds)
            try:
                return attempt.run(partial(self._tell_by, open_journal, attempt))
            except JournalUnavailable as error:
                self._log(logging.WARNING, "is told by another journal, for this one failed: %s", error.reason)
        self._log(logging.WARNING, "is told without a journal: no limit is kept and no storm is stopped.")
        return self._tell_unpaced()

    def _tell_by(self, open_journal: Callable[[], Store], attempt: Attempt) -> None:
        with attempt.asking():
            store = open_journal()
            gate, claim = self._claim(store)
        if claim is None:
            attempt.check()
            self._log(logging.INFO, "has just been told, so this one is only counted.")
            return
        try:
            attempt.check()
            self._send(store, claim, attempt)
        except (JournalUnavailable, InDoubt):
            raise
        except NotSent:
            with attempt.asking():
                self._release(gate, claim)
            raise
        self._log(logging.INFO, "was told.")

    def _claim(self, store: Store) -> tuple[AlertGate, Claim | None]:
        from airflow_provider_dialogtech.alerts.dedup import AlertGate

        settings = self.hook.settings
        gate = AlertGate(store, settings.account, budget=settings.alert_budget)
        try:
            return gate, gate.claim(self.alert.dedup_key, self.number, self.alert.cooldown)
        except JournalUnavailable:
            raise
        except Exception as error:  # a driver that is not installed, say
            problem = type(error).__name__
        raise JournalUnavailable(f"the delivery journal cannot be used ({problem})")

    def _release(self, gate: AlertGate, claim: Claim) -> None:
        try:
            gate.release(claim)
        except JournalUnavailable:
            self._log(logging.WARNING, "keeps a claim that could not be given back; it ends by itself in a minute.")

    def _send(self, store: Store, claim: Claim, attempt: Attempt) -> None:
        from airflow_provider_dialogtech.alerts.attempt import AlertJournal
        from airflow_provider_dialogtech.delivery.sender import SmsSender

        def sleep(seconds: float) -> None:
            attempt.check()
            self.deadline.pause(seconds)

        settings = self.hook.settings
        journal = AlertJournal(
            attempt, self.deadline, store, settings.account, settings.limits, retention=fallback.retention()
        )
        sender = SmsSender(self.hook.make_client(self._call_seconds()), journal, sleep=sleep)
        max_wait = max(0.0, min(WAIT, self.deadline.left() - CALL - SPARE))
        message = self._message(suffix_of(claim))
        sender.send(message, key=claim.id, max_wait=max_wait, is_alert=True, origin=self.alert.origin)

    def _tell_unpaced(self) -> None:
        message = self._message("")
        client = self.hook.make_client(self._call_seconds())
        client.send(to=message.to, from_=message.from_numbers[0], message=message.text)
        self._log(logging.INFO, "was told.")

    def _call_seconds(self) -> float:
        return min(self.hook.settings.timeout, CALL)

    def _message(self, suffix: str) -> SmsMessage:
        from airflow_provider_dialogtech.sms.message import SmsMessage

        settings = self.hook.settings
        text = scrub(self.alert.text, settings.secret_access_key, settings.access_key)
        return SmsMessage.create(
            to=self.number,
            message=fit(text, self.alert.note + suffix, one_segment=self.alert.built_in),
            from_numbers=settings.from_numbers,
            on_too_long="truncate",
            smart_encoding=True,
        )

    def _log(self, level: int, words: str, *args: object) -> None:
        log.log(level, f"Alert for %s: %s {words}", self.alert.subject, mask_number(self.number), *args)
