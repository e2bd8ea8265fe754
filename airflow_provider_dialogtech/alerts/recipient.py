"""One recipient's text of an alert: through the shared journal, else through a local one, else without any."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_dialogtech.alerts import fallback
from airflow_provider_dialogtech.alerts.alert import Alert
from airflow_provider_dialogtech.alerts.deadline import CALL, AlertDeadline
from airflow_provider_dialogtech.alerts.text import fit, suffix_of
from airflow_provider_dialogtech.delivery.metrics import ALERTS
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, JournalUnavailable, NotSent
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.masking import mask_number, scrub
from airflow_provider_dialogtech.settings.metrics import AirflowRecorder

if TYPE_CHECKING:
    from airflow_provider_dialogtech.alerts.attempt import Attempt
    from airflow_provider_dialogtech.alerts.dedup import AlertGate, Claim
    from airflow_provider_dialogtech.delivery.result import SendResult
    from airflow_provider_dialogtech.delivery.store import Store
    from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

RECORDER = AirflowRecorder()
_SUPPRESSED = "is suppressed, because one was sent a short time ago; it is counted in the next one."
_NOTHING_TO_RESOLVE = "is not needed: none was sent about a failure that is over now, or alert_budget is used up."
_ASKS_NEXT = "is decided %s, because %s failed (%s)."


@dataclass
class RecipientAlert:
    """One recipient's text of an alert.

    :param alert: the alert.
    :param number: the recipient.
    :param hook: the account it leaves from.
    :param deadline: the end of the callback's time.
    :param ended: whether it has been dealt with.
    :param failed: whether the text was certainly not sent.
    :param outcome: what is counted of it.
    """

    alert: Alert
    number: str
    hook: DialogTechHook
    deadline: AlertDeadline
    ended: bool = False
    failed: bool = False
    outcome: str = "failed"

    def run(self) -> None:
        """Text the recipient, and never raise."""
        try:
            self._send()
        except InDoubt as error:
            words = "may have been sent: %s. Look for it in DialogTech's message log."
            self._log(logging.WARNING, words, error.reason)
            self.outcome = "in_doubt"
        except DialogTechError as error:
            self._log(logging.ERROR, "was not sent: %s. %s", error.reason, error.advice)
            self.failed = True
        except Exception as error:
            # Its words could hold anything.
            self._log(logging.ERROR, "may not have been sent (%s).", type(error).__name__)
        RECORDER.count(f"{ALERTS}.{self.outcome}")
        self.ended = True

    def _send(self) -> None:
        # Imported before the journal's time begins: on a busy machine that takes as long.
        from airflow_provider_dialogtech.alerts.attempt import Attempt

        fallback.import_stores()
        ways = [f"through {journal.name}" for journal in fallback.JOURNALS[1:]]
        ways.append("without a journal, so without rate limits and without suppression")
        for journal, next_way in zip(fallback.JOURNALS, ways, strict=True):
            attempt = Attempt(journal.seconds)
            try:
                return attempt.run(partial(self._send_through, journal, attempt))
            except JournalUnavailable as error:
                words = "goes out %s, because %s failed (%s)." if self.alert.resolves is None else _ASKS_NEXT
                self._log(logging.WARNING, words, next_way, journal.name, error.reason)
        if self.alert.resolves is not None:
            self._log(logging.WARNING, "was not sent: without a journal it is not known whether anything had failed.")
            return None
        return self._send_unpaced()

    def _send_through(self, journal: fallback.Journal, attempt: Attempt) -> None:
        with attempt.asking():
            store = journal.open()
            gate, claim = self._claim(store)
        if claim is None:
            attempt.check()
            is_suppressed = self.alert.resolves is None
            self._log(logging.INFO, _SUPPRESSED if is_suppressed else _NOTHING_TO_RESOLVE)
            self.outcome = "suppressed" if is_suppressed else "not_needed"
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

    def _claim(self, store: Store) -> tuple[AlertGate, Claim | None]:
        from airflow_provider_dialogtech.alerts.dedup import AlertGate

        settings = self.hook.settings
        gate = AlertGate(store, settings.account, budget=settings.alert_budget)
        try:
            return gate, self._claim_from(gate)
        except JournalUnavailable:
            raise
        except Exception as error:  # a driver that is not installed, say
            problem = type(error).__name__
        raise JournalUnavailable(f"the delivery journal cannot be used ({problem})")

    def _claim_from(self, gate: AlertGate) -> Claim | None:
        alert = self.alert
        if alert.resolves is None:
            return gate.claim(alert.dedup_key, self.number, alert.cooldown, about=alert.about)
        same_only = not alert.resolves.otherwise
        return gate.resolve(alert.dedup_key, self.number, about=alert.about, same_only=same_only)

    def _release(self, gate: AlertGate, claim: Claim) -> None:
        try:
            gate.release(claim)
        except JournalUnavailable:
            self._log(logging.WARNING, "has a claim that could not be given back; it ends by itself in a minute.")

    def _send_claimed(self, store: Store, claim: Claim, attempt: Attempt) -> SendResult:
        from airflow_provider_dialogtech.alerts.alert_journal import AlertJournal
        from airflow_provider_dialogtech.delivery.clock import Clock
        from airflow_provider_dialogtech.delivery.sender import SmsSender

        def sleep(seconds: float) -> None:
            attempt.check()
            self.deadline.sleep(seconds)

        settings = self.hook.settings
        journal = AlertJournal(
            attempt,
            self.deadline,
            store,
            settings.account,
            settings.limits,
            retention=fallback.retention(),
            recorder=RECORDER,
        )
        client = self.hook.make_client(self._call_seconds)
        sender = SmsSender(client, journal, clock=Clock(sleep=sleep), only_to=settings.only_to)
        suffix = suffix_of(claim, built_in=self.alert.built_in)
        message, max_wait = self._message(self._text(claim), suffix), self.deadline.left_for_slot()
        return sender.send(message, key=claim.id, max_wait=max_wait, is_alert=True, origin=self.alert.origin)

    def _send_unpaced(self) -> None:
        only_to = self.hook.settings.only_to
        is_held_back = only_to is not None and self.number not in only_to
        if not is_held_back:
            self._call_api()
        self._log_sent(is_held_back=is_held_back)

    def _call_api(self) -> None:
        message = self._message(self.alert.text, "")
        client = self.hook.make_client(self._call_seconds)
        client.send(to=message.to, from_=message.from_numbers[0], message=message.text)

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
        return min(self.hook.settings.timeout, CALL)

    def _text(self, claim: Claim) -> str:
        if self.alert.resolves is None or claim.recovery is None or claim.recovery.is_same:
            return self.alert.text
        return self.alert.resolves.otherwise

    def _message(self, text: str, suffix: str) -> SmsMessage:
        from airflow_provider_dialogtech.sms.message import SmsMessage

        settings = self.hook.settings
        text = scrub(text, settings.secret_access_key, settings.access_key)
        return SmsMessage.create(
            to=self.number,
            message=fit(text, self.alert.note + suffix, one_segment=self.alert.built_in),
            from_numbers=settings.from_numbers,
            on_too_long="truncate",
            smart_encoding=True,
        )

    def _log(self, level: int, words: str, *args: object) -> None:
        log.log(level, f"Alert for %s: the text to %s {words}", self.alert.subject, mask_number(self.number), *args)
