"""Deliver an alert to all its recipients, several at once, within the time that Airflow allows a callback.

Never raises, unless the process is ended.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn, TypeVar

from airflow_provider_dialogtech.alerts import journals
from airflow_provider_dialogtech.alerts.alert import Alert
from airflow_provider_dialogtech.alerts.deadline import (
    LONGEST_CALL,
    LONGEST_CALLBACK,
    AlertDeadline,
    Departure,
    JournalAttempt,
)
from airflow_provider_dialogtech.alerts.journals import AlertJournal
from airflow_provider_dialogtech.alerts.text import clock_time, fit, suffix_of
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.exceptions import (
    DialogTechError,
    InDoubt,
    InvalidMessage,
    JournalUnavailable,
    NotSent,
    WaitTooLong,
)
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.dedup import AlertGate, Claim, Decision
from airflow_provider_dialogtech.journal.metrics import ALERTS
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import holds_secret, mask_number, place_of, scrub
from airflow_provider_dialogtech.settings.connection import ConnectionSettings
from airflow_provider_dialogtech.settings.contacts import Contacts
from airflow_provider_dialogtech.settings.host import HOST
from airflow_provider_dialogtech.settings.journal import AirflowRecorder
from airflow_provider_dialogtech.sms.message import SmsMessage, normalize_number

log = logging.getLogger(__name__)
T = TypeVar("T")

AT_ONCE = 8
# The callback ends this many seconds before Airflow ends it. In the first half, what was not sent is written into the
# journal; in the second, each message's outcome into the log.
MARGIN = 1.5
# A callback whose time is used up by earlier ones takes this long all the same, to have its alert counted.
LEAST_BOOKKEEPING = 0.75

_TIME_IS_OVER = "the callback's time is over"
_IS_TERMINATED = "Airflow ends this process"


def deliver(
    alert: Alert, recipients: Sequence[object], hook: DialogTechHook, context: Mapping[str, Any] | None = None
) -> bool:
    """Send an alert to all its recipients, and log the outcome of each message.

    :param recipients: its numbers and contacts, as users write them. An invalid one does not affect the others.
    :param hook: the hook of the sending account, with its settings already read.
    :param context: the context of the callback; None outside one.
    :return: whether any recipient got a message, from this alert or from an earlier one with the same dedup key.
    """
    allowed = HOST.remaining_seconds(context or {})
    deadline = AlertDeadline(LONGEST_CALLBACK if allowed is None else min(LONGEST_CALLBACK, allowed - MARGIN))
    numbers = _numbers(alert, recipients, hook.settings)
    messages = [RecipientAlert(alert, number, hook, deadline) for number in numbers]
    try:
        with _raising_on_sigterm():
            _run_all(messages, deadline)
    except _Terminated:
        _give_up(messages, _IS_TERMINATED)
        HOST.note_termination()
        signal.raise_signal(signal.SIGTERM)
    _give_up(messages, _TIME_IS_OVER)
    if all(message.failed for message in messages):
        log.error("Alert for %s: no message was sent.", alert.subject)
        return False
    return any(message.is_dealt_with for message in messages)


class _Terminated(BaseException):
    """The process was sent SIGTERM."""


@contextmanager
def _raising_on_sigterm() -> Iterator[None]:
    """Raise `_Terminated` inside the block on SIGTERM. After the block, the signal is handled as before."""
    before = signal.getsignal(signal.SIGTERM)
    # Only the main thread may handle signals. The handler of a library written in C could not be restored.
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return

    def terminate(*_: object) -> NoReturn:
        # Already here: the signal may come while the block ends.
        signal.signal(signal.SIGTERM, before)
        raise _Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _numbers(alert: Alert, recipients: Sequence[object], settings: ConnectionSettings) -> list[str]:
    """Return the numbers of all recipients, and where one is invalid also those of `alert_to`."""
    if not recipients:
        log.error("Alert for %s: no recipients. Give `to`, or set alert_to in the connection's extra.", alert.subject)
    is_alert_to = tuple(recipients) == settings.alert_to
    instead = ". Correct alert_to in the connection." if is_alert_to else ", so alert_to gets it instead. Correct `to`."
    numbers: list[str] = []
    problems: list[str] = []
    for recipient in recipients:
        numbers += _numbers_of(recipient, settings.contacts, problems)
    for problem in problems:
        log.error("Alert for %s: one recipient gets no message: %s%s", alert.subject, problem, instead)
    if problems and not is_alert_to:
        numbers += _numbers(alert, settings.alert_to, settings)
    return list(dict.fromkeys(numbers))


def _numbers_of(recipient: object, contacts: Contacts, problems: list[str]) -> list[str]:
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


def _run_all(messages: Sequence[RecipientAlert], deadline: AlertDeadline) -> None:
    """Send the messages, several at once, in daemon threads, which the callback abandons soon after its deadline."""
    waiting: queue.SimpleQueue[RecipientAlert] = queue.SimpleQueue()
    for message in messages:
        waiting.put(message)
    workers = [
        threading.Thread(target=_run_waiting, args=(waiting,), daemon=True) for _ in range(min(len(messages), AT_ONCE))
    ]
    for worker in workers:
        worker.start()
    bookkeeping = AlertDeadline(max(LEAST_BOOKKEEPING, deadline.remaining() + MARGIN / 2))
    for worker in workers:
        worker.join(max(0.0, bookkeeping.remaining()))


def _run_waiting(waiting: queue.SimpleQueue[RecipientAlert]) -> None:
    while True:
        try:
            message = waiting.get_nowait()
        except queue.Empty:
            return
        message.run()


def _give_up(messages: Sequence[RecipientAlert], why: str) -> None:
    for message in messages:
        message.give_up(why)


RECORDER = AirflowRecorder()
_SUPPRESSED = "is suppressed by its cooldown until %s, because a similar one was sent. The next one counts it."
_USED_UP = "is suppressed, because alert_budget is used up for 10 minutes at most. The next one counts it."
_NOTHING_TO_RESOLVE = "is not needed: the journal has no earlier alert about a failure, or alert_budget is used up."
_UNCOUNTED = "The next alert does not count this one."
_COUNTED = "The next alert about the same counts this one."
_TOLD_BEFORE = "is not needed: another alert about this run was sent to it."
_DECIDED_BY_NEXT = "is sent or suppressed %s, because %s failed (%s)."


@dataclass
class RecipientAlert:
    """One recipient's message of an alert.

    :param departure: decides whether the message may still leave.
    :param ended: whether the message has an outcome.
    :param failed: whether the message was certainly not sent.
    :param outcome: the metric that counts it.
    :param decision: why it was suppressed, if it was.
    """

    alert: Alert
    number: str
    hook: DialogTechHook
    deadline: AlertDeadline
    departure: Departure = field(default_factory=Departure)
    ended: bool = False
    failed: bool = False
    outcome: str = "failed"
    decision: Decision | None = None

    def run(self) -> None:
        """Send the message. Never raises."""
        try:
            self._send()
        except InDoubt as error:
            self._log_in_doubt(error.reason)
        except DialogTechError as error:
            self._log_not_sent(error)
        except Exception as error:
            # Without the error's message, which may hold a secret.
            self._log(logging.ERROR, "may not have been sent (%s).", place_of(error))
        self._end()

    def give_up(self, why: str) -> None:
        """Log the outcome of a message that is under way, and let it not leave any more."""
        if self.ended:
            return
        if self.departure.give_up(why):
            self._log_in_doubt(f"{why}, and no reply has come")
        else:
            self._log_not_sent(WaitTooLong(why, advice=_UNCOUNTED))
        self._end()

    def _log_in_doubt(self, reason: str) -> None:
        self._log(logging.WARNING, "may have been sent: %s. Look for it in DialogTech's message log.", reason)
        self.outcome = "in_doubt"

    def _log_not_sent(self, error: DialogTechError) -> None:
        if self.ended:
            return  # the callback has given up on it before
        is_claimed = self.decision is not None and self.decision.claim is not None
        advice = _COUNTED if is_claimed and isinstance(error, WaitTooLong) else error.advice
        self._log(logging.ERROR, "was not sent: %s. %s", error.reason, advice)
        self.failed = True

    def _end(self) -> None:
        if not self.ended:
            RECORDER.count(f"{ALERTS}.{self.outcome}")
        self.ended = True

    def _send(self) -> None:
        # Its turn may come when the callback has ended: a claim would then suppress an alert that can be sent.
        self.departure.check()
        # Imported before the journal's time begins: on a busy machine the import takes as long as the journal may.
        journals.import_stores()
        fallbacks = [f"through {journal.name}" for journal in journals.JOURNALS[1:]]
        fallbacks.append("without a journal, so without rate limits and without suppression")
        for journal, fallback in zip(journals.JOURNALS, fallbacks, strict=True):
            try:
                store = self._open(journal)
                attempt = JournalAttempt(self.deadline.remaining_for_journal(journal.seconds))
                return attempt.run(partial(self._send_through, journal, store, attempt))
            except JournalUnavailable as error:
                plan = "is sent %s, because %s failed (%s)." if self.alert.resolves is None else _DECIDED_BY_NEXT
                self._log(logging.WARNING, plan, fallback, journal.name, error.reason)
        if self.alert.resolves is not None:
            self._log(logging.WARNING, "was not sent: without a journal it is not known whether anything failed.")
            return None
        return self._send_unpaced()

    def _open(self, journal: journals.Journal) -> Store:
        """Return the journal's store. Airflow says where it is, and may take long for its first answer in a process."""
        opening = JournalAttempt(self.deadline.remaining_for_journal(journals.OPENING_SECONDS))

        def ask() -> Store:
            with opening.asking():
                return journal.open()

        return _asked(partial(opening.run, ask))

    def _send_through(self, journal: journals.Journal, store: Store, attempt: JournalAttempt) -> None:
        with attempt.asking():
            gate, claim = _asked(partial(self._claim, journal, store))
        if claim is None:
            attempt.check()
            self._log_no_claim()
            return
        try:
            attempt.check()
            result = self._send_claimed(store, claim, attempt)
        except (JournalUnavailable, InDoubt):
            raise
        except NotSent:
            with attempt.asking():
                self._release(gate, claim)
            raise
        self._log_sent(is_held_back=result.status == "held_back")

    def _claim(self, journal: journals.Journal, store: Store) -> tuple[AlertGate, Claim | None]:
        settings = self.hook.settings
        gate = AlertGate(store, settings.account, budget=settings.alert_budget, namespace=journals.namespace())
        return gate, self._claim_from(gate, journal.recent)

    def _claim_from(self, gate: AlertGate, recent: timedelta | None) -> Claim | None:
        alert = self.alert
        if alert.resolves is None:
            within = alert.cooldown or timedelta(0)
            if alert.once_per_run and gate.has_told(alert.dedup_key, self.number, alert.run, within):
                return None
            self.decision = gate.decide(
                alert.dedup_key,
                self.number,
                alert.cooldown,
                about=alert.about,
                run=alert.run,
                is_whole_run=alert.is_whole_run,
            )
            return self.decision.claim
        same_only = not alert.resolves
        return gate.resolve(alert.dedup_key, self.number, about=alert.about, same_only=same_only, recent=recent)

    def _log_no_claim(self) -> None:
        if self.decision is None:
            self.outcome = "not_needed"
            self._log(logging.INFO, _TOLD_BEFORE if self.alert.once_per_run else _NOTHING_TO_RESOLVE)
            return
        self.outcome = "suppressed"
        if self.decision.is_used_up or self.decision.cooldown_ends is None:
            self._log(logging.INFO, _USED_UP)
        else:
            self._log(logging.INFO, _SUPPRESSED, clock_time(self.decision.cooldown_ends))

    @property
    def is_dealt_with(self) -> bool:
        """Whether the recipient was sent this alert, may have been, or was sent one with the same dedup key."""
        if self.outcome == "suppressed":
            return self.decision is not None and not self.decision.is_used_up
        return self.outcome in {"sent", "in_doubt", "held_back"}

    def _release(self, gate: AlertGate, claim: Claim) -> None:
        try:
            gate.release(claim)
        except JournalUnavailable:
            self._log(logging.WARNING, "could not release its claim, which expires within a minute.")

    def _send_claimed(self, store: Store, claim: Claim, attempt: JournalAttempt) -> SendResult:
        from airflow_provider_dialogtech.delivery.sender import SmsSender

        def sleep(seconds: float) -> None:
            attempt.check()
            self.departure.check()
            self.deadline.sleep(seconds)
            # A slot that comes late leaves less time for the call.
            client.timeout = self._call_seconds

        settings = self.hook.settings
        client = self.hook.make_client(self._call_seconds)
        sleep(0.0)
        journal = AlertJournal(
            attempt,
            self.deadline,
            store,
            settings.account,
            settings.limits,
            departure=self.departure,
            retention=journals.retention(),
            recorder=RECORDER,
            namespace=journals.namespace(),
        )
        sender = SmsSender(client, journal, clock=Clock(sleep=sleep), only_to=settings.only_to)
        suffix = suffix_of(claim, built_in=self.alert.built_in)
        message, max_wait = self._message(self._body(claim), suffix), self.deadline.remaining_for_slot()
        return sender.send(message, key=claim.id, max_wait=max_wait, is_alert=True, origin=self.alert.origin)

    def _send_unpaced(self) -> None:
        only_to = self.hook.settings.only_to
        is_held_back = only_to is not None and self.number not in only_to
        if not is_held_back:
            self._call_api()
        self._log_sent(is_held_back=is_held_back)

    def _call_api(self) -> None:
        if self.deadline.remaining() < 0:
            raise WaitTooLong(_TIME_IS_OVER, advice=_UNCOUNTED)
        message = self._message(self.alert.body, "")
        client = self.hook.make_client(self._call_seconds)
        self.departure.leave()
        client.send(to=message.to, from_=message.from_numbers[0], message=message.body)

    def _log_sent(self, *, is_held_back: bool) -> None:
        if is_held_back:
            self._log(
                logging.INFO, "is held back and was not sent: the connection's only_to does not name this number."
            )
            self.outcome = "held_back"
        else:
            self._log(logging.INFO, "was sent.")
            self.outcome = "sent"

    @property
    def _call_seconds(self) -> float:
        return self.deadline.remaining_for_call(min(self.hook.settings.timeout, LONGEST_CALL))

    def _body(self, claim: Claim) -> str:
        if self.alert.resolves is None or claim.recovery is None or claim.recovery.is_same:
            return self.alert.body
        return self.alert.resolves

    def _message(self, body: str, suffix: str) -> SmsMessage:
        settings = self.hook.settings
        return SmsMessage.create(
            to=self.number,
            message=fit(self._without_keys(body), self.alert.note + suffix, one_segment=self.alert.built_in),
            from_numbers=settings.from_numbers,
            on_too_long="truncate",
            smart_encoding=True,
        )

    def _without_keys(self, body: str) -> str:
        """Return the body without the account's keys; the subject alone where they cannot be cut out."""
        settings = self.hook.settings
        keys = (settings.secret_access_key, settings.access_key)
        body = scrub(body, settings.secret_access_key)
        if holds_secret(body, *keys):  # an access key may also be an ordinary word, which stays
            body = scrub(body, *keys)
        return f"Airflow: {self.alert.subject} ***" if holds_secret(body, *keys) else body

    def _log(self, level: int, outcome: str, *args: object) -> None:
        log.log(
            level, f"Alert for %s: the message to %s {outcome}", self.alert.subject, mask_number(self.number), *args
        )


def _asked(ask: Callable[[], T]) -> T:
    """Return a journal's answer.

    :raises JournalUnavailable: if there is none, whatever the reason, such as a missing driver.
    """
    try:
        return ask()
    except JournalUnavailable:
        raise
    except Exception as error:
        problem = type(error).__name__
    # Outside the except block: the error may show the journal's address.
    raise JournalUnavailable(f"the delivery journal cannot be used ({problem})")
