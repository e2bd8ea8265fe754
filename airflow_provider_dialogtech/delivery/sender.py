"""The way of one text: the only place that knows the order of the steps and when to try again."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timezone
from functools import lru_cache
from typing import Literal

from tenacity import (
    Retrying,
    retry_if_exception_type,
)

from airflow_provider_dialogtech.api.client import ApiCall, DialogTechClient
from airflow_provider_dialogtech.api.reply import ApiReply
from airflow_provider_dialogtech.delivery.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.delivery.detail import detail_of
from airflow_provider_dialogtech.delivery.earlier import EarlierAttempt
from airflow_provider_dialogtech.delivery.journal import ONE_STEP, SendJournal
from airflow_provider_dialogtech.delivery.metrics import record_text
from airflow_provider_dialogtech.delivery.origin import NO_TASK, Origin
from airflow_provider_dialogtech.delivery.outcomes import OutcomeWriter
from airflow_provider_dialogtech.delivery.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.delivery.timing import StepTime
from airflow_provider_dialogtech.delivery.tries import SlotLost, TextTries, before_next_try, log_next_try
from airflow_provider_dialogtech.exceptions import (
    DialogTechError,
    InDoubt,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
    WaitTooLong,
)
from airflow_provider_dialogtech.masking import mask_number, mask_numbers
from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

# A connection is opened so long before its slot; one that idles longer may be closed by the other side.
CONNECT_LEAD = 1.0
# Connecting over the internet takes several round trips, before the first of them is measured.
CONNECT_GUESS = 0.3
# A request this late would come too close to the next one. On a machine that misses again and again, it stretches.
LATE = 0.012
STRETCH = 1.5
LONGEST_LATE = 0.1

PAUSE = 1.0
LONGEST_PAUSE = 60.0


# For so many seconds the outcome of a text is written again to a journal that is away.
SETTLE_WITHIN = 60.0


class SmsSender:
    """Sends texts of one account, each once under its idempotency key, each in a slot that the rate limits allow.

    :param client: the API.
    :param journal: the account's journal.
    :param clock: tells the time and waits; what its sleep raises ends the sending, and what has not left is not sent.
    :param only_to: the only numbers that are texted, in digits; a text to another one is only written into the journal.
        None texts everybody.
    :param settle_within: for how many seconds at most an outcome is written again to a journal that is away.
    """

    def __init__(
        self,
        client: DialogTechClient,
        journal: SendJournal,
        *,
        clock: Clock = SYSTEM_CLOCK,
        only_to: Collection[str] | None = None,
        settle_within: float = SETTLE_WITHIN,
    ) -> None:
        self._client = client
        self._journal = journal
        self._clock = clock
        self._only_to = only_to
        self._earlier = EarlierAttempt(journal, clock)
        self._outcomes = OutcomeWriter(journal, settle_within, clock)
        self._left: dict[str, SendResult | DialogTechError | None] = {}

    def send(
        self,
        message: SmsMessage,
        *,
        key: str,
        in_doubt: Literal["fail", "resend"] = "fail",
        max_wait: float | None = None,
        is_alert: bool = False,
        origin: Origin = NO_TASK,
    ) -> SendResult:
        """Send a text, unless it was sent before. What was throttled or could not leave is tried again.

        :param message: the text.
        :param key: its idempotency key.
        :param in_doubt: what to do with a text that may be out: `fail`, or `resend` and risk that it arrives twice.
        :param max_wait: for how many seconds at most to wait for a slot; None waits as long as it takes.
        :param is_alert: whether it goes before everything that is no alert.
        :param origin: the task that it belongs to.
        :raises WaitTooLong: when there is no slot within `max_wait`.
        :raises InvalidMessage: when the key belongs to a text to somebody else.
        :raises Refused: when the API refused the text.
        :raises Throttled: when the API throttled it, again and again.
        :raises Unreachable: when the API could not be reached, again and again.
        :raises JournalUnavailable: when the journal cannot be used, or is too slow; nothing was sent.
        :raises InDoubt: when the text may have been sent, now or under the same key before.
        """
        is_held_back = self._only_to is not None and message.to not in self._only_to
        request = SlotRequest(key, message.from_numbers, message.to, message.text, is_alert, origin, is_held_back)
        text = TextTries(message, request, resend=in_doubt == "resend", max_wait=max_wait, clock=self._clock)
        try:
            result = self._send_text(text)
        except BaseException as error:
            record_text(self._journal.recorder, error, text.slots)
            raise
        record_text(self._journal.recorder, result, text.slots)
        return result

    def under_way(self, key: str) -> SendResult | DialogTechError | None:
        """Return what is known of a text while another thread still sends it, or writes down what became of it.

        :param key: its idempotency key.
        :return: its outcome; `InDoubt` while its request is out; None when no byte has left yet.
        """
        if key not in self._left:
            return None
        return self._left[key] or InDoubt("its request is out", key=key)

    def abort(self) -> None:
        """Cut every request that is out, from another thread. Their texts are in doubt then."""
        self._client.abort()

    def _send_text(self, text: TextTries) -> SendResult:
        retrying = Retrying(
            retry=retry_if_exception_type((SlotLost, Throttled, Unreachable)),
            stop=text.is_hopeless,
            wait=before_next_try,
            sleep=self._clock.sleep,
            before_sleep=log_next_try,
            reraise=True,
        )
        try:
            return retrying(self._try, text)
        except SlotLost:
            problem: DialogTechError = self._too_slow(text)
        except WaitTooLong as error:
            # What took the time is the reason that helps.
            problem = text.unreachable or error
        finally:
            self._outcomes.give_back(text)
            self._left.pop(text.request.key, None)
        raise problem

    def _try(self, text: TextTries) -> SendResult:
        """Try once: reserve a slot, connect, start, send, settle."""
        connecting = _connect_time(self._client.host, self._clock)
        text.reserving = self._clock.monotonic()
        found = self._journal.reserve(
            text.request,
            resend=text.resend,
            max_wait=text.wait_left(),
            connect=connecting.bound,
            after=text.unsent,
            sleep=self._clock.sleep,
        )
        if isinstance(found, Record):
            text.unsent = None
            return self._earlier.answer(text, found)
        held = text.unsent = found
        if self._clock.monotonic() > held.due:
            self._journal.timing.missed(text.reserving)
            raise SlotLost(f"the journal is slow: {self._journal.timing}")
        self._sleep_until(held.due - CONNECT_LEAD)
        with self._connect(connecting) as call:
            self._start(text, held)
            self._sleep_until(held.due)
            left = self._check_in_time(text, held)
            reply = self._send(text, held, call, left)
        return self._settle_sent(text, held, reply, left)

    def _connect(self, connecting: StepTime) -> ApiCall:
        begun = self._clock.monotonic()
        call = self._client.connect()
        connecting.note(self._clock.monotonic() - begun)
        return call

    def _start(self, text: TextTries, held: Reservation) -> None:
        """Mark the text as being sent, shortly before its slot.

        :raises SlotLost: when it is not to be used.
        """
        if self._clock.monotonic() > held.due:
            raise SlotLost("connecting took longer than there was time")
        self._sleep_until(held.due - self._journal.timing.start_lead)
        text.started = True
        left = text.wait_left()
        within = None if left is None else left + ONE_STEP
        if not self._journal.start(held, timeout=self._client.timeout, within=within, sleep=self._clock.sleep):
            if self._clock.monotonic() > held.due:
                self._journal.timing.missed(text.reserving)
                raise SlotLost(f"the journal is slow: {self._journal.timing}")
            raise SlotLost("an alert or another process took it, or the account is paused")

    def _check_in_time(self, text: TextTries, held: Reservation) -> float:
        """Return when the request leaves: now, on the monotonic clock.

        :raises SlotLost: when it would come too close to the next one.
        """
        left = self._clock.monotonic()
        late = left - held.due
        if late > min(LATE * STRETCH**text.slots, LONGEST_LATE):
            self._journal.timing.missed(text.reserving)
            raise SlotLost(f"the request would leave {late:.3f} s too late; {self._journal.timing}")
        self._journal.timing.met()
        return left

    def _send(self, text: TextTries, held: Reservation, call: ApiCall, left: float) -> ApiReply:
        """Send the request; a failure is written down before it goes on up."""
        text.requests += 1
        text.unsent = None
        key = text.request.key
        self._left[key] = None
        try:
            return call.send(to=text.message.to, from_=held.number, message=text.message.text)
        except Unreachable:
            text.unsent = held
            self._left.pop(key, None)
            raise
        except Throttled as error:
            self._left[key] = error
            pause = PAUSE if error.retry_after is None else min(error.retry_after, LONGEST_PAUSE)
            if not self._outcomes.settle(text, held, "throttled", {}, left, pause=max(pause, PAUSE)):
                text.unsent = held
            raise
        except Refused as error:
            self._left[key] = error
            if not self._outcomes.settle(text, held, "refused", {"result_description": error.description}, left):
                text.unsent = held
            raise
        except InDoubt as error:
            self._outcomes.settle(text, held, "in_doubt", {}, left)
            doubt = InDoubt(error.reason, to=text.to, since=self._moment(left), key=key)
        except BaseException:
            self._outcomes.settle(text, held, "in_doubt", {}, left)
            raise
        raise doubt

    def _settle_sent(self, text: TextTries, held: Reservation, reply: ApiReply, left: float) -> SendResult:
        result = SendResult(
            status="sent",
            result=reply.result,
            result_description=mask_numbers(reply.description),
            xml=mask_numbers(reply.xml),
            to=text.to,
            from_=mask_number(held.number),
            segments=text.message.segments,
            encoding=text.message.encoding,
            sent_at=self._moment(left).isoformat(timespec="milliseconds"),
            waited_seconds=round(left - text.begun, 3),
            attempts=text.requests,
        )
        self._left[text.request.key] = result
        self._outcomes.settle(text, held, "sent", detail_of(result), left)
        return result

    def _too_slow(self, text: TextTries) -> JournalUnavailable:
        return JournalUnavailable(
            f"it lost {text.slots} slots, because the journal or this machine is too slow ({self._journal.timing})",
            advice="Sending it again is safe. Move the journal nearer, or send from fewer tasks at once.",
            to=text.to,
        )

    def _sleep_until(self, due: float) -> None:
        # Also when there is nothing to wait for: that is where somebody who stops us is heard.
        self._clock.sleep(max(0.0, due - self._clock.monotonic()))

    def _moment(self, monotonic: float) -> datetime:
        return datetime.fromtimestamp(self._clock.now() - (self._clock.monotonic() - monotonic), timezone.utc)


@lru_cache(maxsize=64)
def _connect_time(host: str, clock: Clock) -> StepTime:
    """How long connecting to the API takes, as this process has seen it."""
    return StepTime(0.0 if host in {"localhost", "127.0.0.1", "::1"} else CONNECT_GUESS, clock)
