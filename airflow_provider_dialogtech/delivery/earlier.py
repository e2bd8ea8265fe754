"""What an earlier attempt at a text, under the same idempotency key, means for this one."""

from __future__ import annotations

import logging

from tenacity import Retrying, retry_if_result, wait_exponential

from airflow_provider_dialogtech.delivery.clock import Clock
from airflow_provider_dialogtech.delivery.detail import already_sent, held_back
from airflow_provider_dialogtech.delivery.journal import SendJournal
from airflow_provider_dialogtech.delivery.records import Record
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.delivery.tries import SlotLost, TextTries
from airflow_provider_dialogtech.exceptions import InDoubt

log = logging.getLogger(__name__)


class EarlierAttempt:
    """Answers for a text that the journal knows.

    :param journal: the account's journal.
    :param clock: waits while another process is at it.
    """

    def __init__(self, journal: SendJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    def answer(self, text: TextTries, record: Record) -> SendResult:
        """Answer from the journal.

        :param text: the text.
        :param record: what the journal knows under its key.
        :raises SlotLost: when the other attempt is over and has sent nothing.
        :raises InDoubt: when that one may have sent it.
        """
        if record.state == "sent":
            if record.digest != text.request.digest:
                log.warning(
                    "Another text to …%s was sent under this idempotency key, so nothing is sent now. To send this one "
                    "as well, give it an idempotency_key of its own.",
                    record.recipient_tail,
                )
            return already_sent(record.detail)
        if record.state == "held_back":
            return held_back(text.message)
        if record.state in {"sending", "reserved"}:
            log.info("Another process is sending this text to %s; waiting for its outcome.", text.to)
            self._await_outcome(text, record)
            text.slots -= 1  # that was no slot of ours
            raise SlotLost("another process was sending it")
        raise InDoubt(
            f"its request left at {record.since:%Y-%m-%d %H:%M:%S} UTC, and its outcome is unknown",
            advice=f"Nothing was sent now. {InDoubt.default_advice}",
            to=text.to,
            since=record.since,
            key=text.request.key,
            earlier=True,
        )

    def _await_outcome(self, text: TextTries, record: Record) -> None:
        """Wait until another process has written down what became of the text, or until its time is over."""
        # By our own clock, so that no clock that is set can make this longer.
        until = self._clock.monotonic() + record.undecided_for
        retrying = Retrying(
            retry=retry_if_result(lambda found: found is not None and found.undecided_for > 0),
            stop=lambda _: self._clock.monotonic() >= until,
            wait=wait_exponential(multiplier=0.1, max=2),
            sleep=self._clock.sleep,
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        found = retrying(self._journal.find, text.request.key, sleep=self._clock.sleep)
        if found is not None and found.id == record.id and found.state == "sending":
            self._journal.give_up(found)
