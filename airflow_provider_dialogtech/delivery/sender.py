"""The way of one text: the only place that knows the order of the steps and when to try again."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    wait_exponential,
    wait_random_exponential,
)

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.api.errors import InDoubt, JournalUnavailable, Refused, Throttled, Unreachable
from airflow_provider_dialogtech.api.reply import ApiReply
from airflow_provider_dialogtech.delivery.journal import (
    GRACE,
    Outcome,
    Record,
    Reservation,
    SendJournal,
    SlotMoved,
    Wish,
)
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.masking import mask_number, mask_numbers
from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

# How long before its slot a text's connection is opened, and its row is marked as being sent: no handshake and no disk
# may stand between the slot and the request.
CONNECT_LEAD = 1.0
START_LEAD = 0.075
# A request this late would come too close to the next one. On a machine that misses again and again, both stretch.
LATE = 0.012
STRETCH = 1.5
LONGEST_LATE = 0.1
# A connection that idles longer may be closed by the other side.
IDLE = 5.0

TRIES = 5
TRY_FOR = 120.0
PAUSE = 1.0
LONGEST_PAUSE = 60.0


class SmsSender:
    """Sends texts of one account, each once under its idempotency key, each in a slot that the rate limits allow.

    :param client: the API.
    :param journal: the account's journal.
    :param pause: sleeps for so many seconds; what it raises ends the sending.
    """

    def __init__(
        self, client: DialogTechClient, journal: SendJournal, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._journal = journal
        self._pause = pause

    def send(
        self,
        message: SmsMessage,
        *,
        key: str,
        in_doubt: Literal["fail", "resend"] = "fail",
        max_wait: float | None = None,
    ) -> SendResult:
        """Send a text, or tell that it was sent before. What was throttled or could not leave is tried again.

        :param message: the text.
        :param key: its idempotency key.
        :param in_doubt: what to do with a text that may be out: `fail`, or `resend` and risk that it arrives twice.
        :param max_wait: for how many seconds at most to wait for a slot; None waits as long as it takes.
        :raises WaitTooLong: when there is no slot within `max_wait`.
        :raises Refused: when the API refused the text.
        :raises Throttled: when it was refused for its rate, again and again.
        :raises Unreachable: when the API could not be reached, again and again.
        :raises JournalUnavailable: when the journal cannot be used; nothing was sent.
        :raises InDoubt: when the text may have been sent, now or under the same key before.
        """
        way = _Way(
            self._client, self._journal, self._pause, message, key=key, resend=in_doubt == "resend", max_wait=max_wait
        )
        retrying = Retrying(
            retry=retry_if_exception_type((Throttled, Unreachable)),
            stop=lambda state: state.attempt_number >= TRIES or way.failing_for() >= TRY_FOR,
            wait=_before_next_try,
            sleep=self._pause,
            before_sleep=_tell_next_try,
            reraise=True,
        )
        return retrying(way.go)

    def abort(self) -> None:
        """Cut every request that is out, from another thread. Their texts are in doubt then."""
        self._client.abort()


class _TakenOver(Exception):
    """Another process sends this text."""


class _TooFar(Exception):
    """The new slot is so far away that the connection would not last."""


@dataclass
class _Way:
    """One text on its way, in this process."""

    client: DialogTechClient
    journal: SendJournal
    pause: Callable[[float], None]
    message: SmsMessage
    key: str
    resend: bool
    max_wait: float | None

    def __post_init__(self) -> None:
        message = self.message
        self._wish = Wish(self.key, message.from_numbers, message.to, message.text, owner=uuid.uuid4().hex)
        self._to = mask_number(message.to)
        self._begun = time.monotonic()
        self._first_failure: float | None = None
        self._attempts = 0
        self._misses = 0
        self._left: float | None = None

    def failing_for(self) -> float:
        return time.monotonic() - self._first_failure if self._first_failure is not None else 0.0

    def go(self) -> SendResult:
        """Try once: reserve, wait, send, settle."""
        while True:
            found = self.journal.reserve(self._wish, resend=self.resend, max_wait=self._wait_left())
            if isinstance(found, Record):
                result = self._known(found)
                if result is not None:
                    return result
                continue
            try:
                return self._send(found)
            except _TakenOver:
                log.info("Another process sends this text to %s; waiting for its outcome.", self._to)
                self._await_outcome()
            except _TooFar:
                continue

    def _send(self, held: Reservation) -> SendResult:
        self._held, self._left = held, None
        try:
            self._wait_until(held.due - CONNECT_LEAD)
            reply = self.client.send(
                to=self.message.to, from_=held.number, message=self.message.text, before_write=self._take_off
            )
        except (_TakenOver, _TooFar):
            raise
        except BaseException as error:
            self._settle_failure(error)
            if isinstance(error, InDoubt):
                problem = error
            else:
                raise
        else:
            return self._settle_success(reply)
        raise InDoubt(f"{problem} {_HOW_TO_RESEND}", since=self._left_at, key=self.key)

    def _take_off(self) -> None:
        """Return when the slot has come and the request must be written at once."""
        while True:
            stretch = STRETCH**self._misses
            self._wait_until(self._held.due - min(START_LEAD * stretch, CONNECT_LEAD))
            if self._started():
                self._wait_until(self._held.due)
                self._left = time.monotonic()
                if self._left - self._held.due <= min(LATE * stretch, LONGEST_LATE):
                    self._attempts += 1
                    return
                self._left = None
            self._misses += 1
            self._take_new_slot()

    def _started(self) -> bool:
        try:
            started = self.journal.start(self._held, timeout=self.client.timeout)
        except SlotMoved:
            return False
        if not started:
            raise _TakenOver
        return True

    def _take_new_slot(self) -> None:
        again = self.journal.reserve_again(self._held, max_wait=self._wait_left())
        if again is None:
            raise _TakenOver
        self._held = again
        if again.due - time.monotonic() > IDLE:
            raise _TooFar

    def _settle_success(self, reply: ApiReply) -> SendResult:
        result = SendResult(
            status="sent",
            result=reply.result,
            result_description=mask_numbers(reply.description),
            xml=mask_numbers(reply.xml),
            to=self._to,
            from_=mask_number(self._held.number),
            segments=self.message.segments,
            encoding=self.message.encoding,
            sent_at=self._left_at.isoformat(timespec="milliseconds"),
            waited_seconds=round(self._left_monotonic - self._begun, 3),
            attempts=self._attempts,
        )
        self._settle("sent", result.as_xcom())
        return result

    def _settle_failure(self, error: BaseException) -> None:
        """Write down what a failed attempt means for the text."""
        if isinstance(error, (Throttled, Unreachable)) and self._first_failure is None:
            self._first_failure = time.monotonic()
        if isinstance(error, Throttled):
            pause = PAUSE if error.retry_after is None else min(error.retry_after, LONGEST_PAUSE)
            self._settle("throttled", {}, pause=max(pause, PAUSE))
        elif isinstance(error, Refused):
            self._settle("refused", {"result_description": error.description})
        elif self._left is not None and not isinstance(error, Unreachable):
            self._settle("in_doubt", {})
        elif not isinstance(error, JournalUnavailable):
            self._write_down(lambda: self.journal.release(self._held))

    def _settle(self, outcome: Outcome, detail: dict[str, Any], *, pause: float = 0.0) -> None:
        took = time.monotonic() - self._left_monotonic
        self._write_down(lambda: self.journal.settle(self._held, outcome, detail, took=took, pause=pause))

    def _write_down(self, work: Callable[[], None]) -> None:
        """Tell the journal, but let nothing of its own hide what became of the text."""
        try:
            work()
        except JournalUnavailable:
            log.exception(
                "What became of the text to %s could not be written down; the journal will take it for in doubt.",
                self._to,
            )

    def _known(self, record: Record) -> SendResult | None:
        """Answer from the journal; None when the text may be tried after all."""
        if record.state == "sent":
            if record.digest != self._wish.digest:
                log.warning(
                    "This idempotency key has sent another text to …%s; nothing is sent now. "
                    "To send this one as well, give it an idempotency_key of its own.",
                    record.recipient_tail,
                )
            return SendResult.from_xcom({**record.detail, "status": "already_sent"})
        if record.state == "sending":
            log.info("Another process is sending this text to %s; waiting for its outcome.", self._to)
            self._await_outcome()
            return None
        raise InDoubt(
            f"The text to {self._to} may have been sent: its request left at {record.since:%Y-%m-%d %H:%M:%S} UTC, "
            f"and its outcome is unknown. Nothing was sent now. {_HOW_TO_RESEND}",
            since=record.since,
            key=self.key,
            earlier=True,
        )

    def _await_outcome(self) -> None:
        Retrying(retry=retry_if_result(_undecided), wait=wait_exponential(multiplier=0.1, max=2), sleep=self.pause)(
            self.journal.find, self.key
        )

    def _wait_until(self, due: float) -> None:
        # Also when there is nothing to wait for: that is where somebody who stops us is heard.
        self.pause(max(0.0, due - time.monotonic()))

    def _wait_left(self) -> float | None:
        return None if self.max_wait is None else max(0.0, self._begun + self.max_wait - time.monotonic())

    @property
    def _left_monotonic(self) -> float:
        return self._left if self._left is not None else time.monotonic()

    @property
    def _left_at(self) -> datetime:
        return datetime.fromtimestamp(time.time() - (time.monotonic() - self._left_monotonic), timezone.utc)


_HOW_TO_RESEND = (
    "Look in DialogTech's message log whether it arrived; to send it in any case, clear the task with "
    'in_doubt="resend" or another idempotency_key.'
)


def _undecided(record: Record | None) -> bool:
    return record is not None and (record.state == "sending" or (record.state == "reserved" and record.age < GRACE))


def _before_next_try(state: RetryCallState) -> float:
    # A throttled text waits for its new slot, which lies behind the account's pause.
    if state.outcome is not None and isinstance(state.outcome.exception(), Throttled):
        return 0.0
    return wait_random_exponential(multiplier=1, max=10)(state)


def _tell_next_try(state: RetryCallState) -> None:
    log.warning(
        "%s Trying again (%d of %d).", state.outcome and state.outcome.exception(), state.attempt_number + 1, TRIES
    )
