"""The way of one text: the only place that knows the order of the steps and when to try again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Literal

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_exponential,
    wait_random_exponential,
)

from airflow_provider_dialogtech.api.client import DialogTechClient, Line
from airflow_provider_dialogtech.api.reply import ApiReply
from airflow_provider_dialogtech.delivery.detail import already_sent, detail_of, held_back
from airflow_provider_dialogtech.delivery.journal import ONE_STEP, Outcome, SendJournal
from airflow_provider_dialogtech.delivery.metrics import record_text
from airflow_provider_dialogtech.delivery.origin import NO_TASK, Origin
from airflow_provider_dialogtech.delivery.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.delivery.timing import StepTime
from airflow_provider_dialogtech.exceptions import (
    DialogTechError,
    InDoubt,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
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

TRIES = 5
TRY_FOR = 120.0
# A text may lose so many slots: to the time that the journal takes, to alerts, to a pause of the account.
SLOTS = 12
PAUSE = 1.0
LONGEST_PAUSE = 60.0
# For so many seconds the outcome of a text is written again to a journal that is away.
SETTLE_WITHIN = 60.0


class SmsSender:
    """Sends texts of one account, each once under its idempotency key, each in a slot that the rate limits allow.

    :param client: the API.
    :param journal: the account's journal.
    :param sleep: sleeps for so many seconds; what it raises ends the sending, and what has not left is not sent.
    :param only_to: the only numbers that are texted, in digits; a text to another one is only written into the journal.
        None texts everybody.
    :param settle_within: for how many seconds at most an outcome is written again to a journal that is away.
    :param settle_sleep: sleeps between these tries; by default `sleep`.
    """

    def __init__(
        self,
        client: DialogTechClient,
        journal: SendJournal,
        *,
        sleep: Callable[[float], None] = time.sleep,
        only_to: Collection[str] | None = None,
        settle_within: float = SETTLE_WITHIN,
        settle_sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._client = client
        self._journal = journal
        self._sleep = sleep
        self._only_to = only_to
        self._settle_within = settle_within
        self._settle_sleep = settle_sleep or sleep
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
        text = _Text(message, request, resend=in_doubt == "resend", max_wait=max_wait)
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

    def _send_text(self, text: _Text) -> SendResult:
        retrying = Retrying(
            retry=retry_if_exception_type((_SlotLost, Throttled, Unreachable)),
            stop=text.is_hopeless,
            wait=_before_next_try,
            sleep=self._sleep,
            before_sleep=_log_next_try,
            reraise=True,
        )
        try:
            return retrying(self._try, text)
        except _SlotLost:
            problem = self._too_slow(text)
        finally:
            self._give_back(text)
            self._left.pop(text.request.key, None)
        raise problem

    def _give_back(self, text: _Text) -> None:
        """Release the slot of a text that was not sent."""
        if text.unsent is None:
            return
        # A slot that nobody started is free again by itself, soon after its time; a started one would be in doubt.
        within = self._settle_within if text.started else min(self._settle_within, ONE_STEP)
        self._record(text, "was not sent", self._journal.release, text.unsent, within=within)

    def _try(self, text: _Text) -> SendResult:
        """Try once: reserve a slot, connect, start, send, settle."""
        connecting = _connect_time(self._client.host)
        text.reserving = time.monotonic()
        found = self._journal.reserve(
            text.request,
            resend=text.resend,
            max_wait=text.wait_left(),
            connect=connecting.bound,
            after=text.unsent,
            sleep=self._sleep,
        )
        if isinstance(found, Record):
            text.unsent = None
            return self._known(text, found)
        held = text.unsent = found
        if time.monotonic() > held.due:
            self._journal.timing.missed(text.reserving)
            raise _SlotLost(f"the journal is slow: {self._journal.timing}")
        self._sleep_until(held.due - CONNECT_LEAD)
        with self._connect(connecting) as line:
            self._start(text, held)
            self._sleep_until(held.due)
            left = self._check_in_time(text, held)
            reply = self._send(text, held, line, left)
        return self._settle_sent(text, held, reply, left)

    def _connect(self, connecting: StepTime) -> Line:
        begun = time.monotonic()
        line = self._client.connect()
        connecting.note(time.monotonic() - begun)
        return line

    def _start(self, text: _Text, held: Reservation) -> None:
        """Mark the text as being sent, shortly before its slot.

        :raises _SlotLost: when it is not to be used.
        """
        if time.monotonic() > held.due:
            raise _SlotLost("connecting took longer than there was time")
        self._sleep_until(held.due - self._journal.timing.start_lead)
        text.started = True
        left = text.wait_left()
        within = None if left is None else left + ONE_STEP
        if not self._journal.start(held, timeout=self._client.timeout, within=within, sleep=self._sleep):
            if time.monotonic() > held.due:
                self._journal.timing.missed(text.reserving)
                raise _SlotLost(f"the journal is slow: {self._journal.timing}")
            raise _SlotLost("an alert or another process took it, or the account is paused")

    def _check_in_time(self, text: _Text, held: Reservation) -> float:
        """Return when the request leaves: now, on the monotonic clock.

        :raises _SlotLost: when it would come too close to the next one.
        """
        left = time.monotonic()
        late = left - held.due
        if late > min(LATE * STRETCH**text.slots, LONGEST_LATE):
            self._journal.timing.missed(text.reserving)
            raise _SlotLost(f"the request would leave {late:.3f} s too late; {self._journal.timing}")
        self._journal.timing.met()
        return left

    def _send(self, text: _Text, held: Reservation, line: Line, left: float) -> ApiReply:
        """Send the request; a failure is written down before it goes on up."""
        text.requests += 1
        text.unsent = None
        key = text.request.key
        self._left[key] = None
        try:
            return line.send(to=text.message.to, from_=held.number, message=text.message.text)
        except Unreachable:
            text.unsent = held
            self._left.pop(key, None)
            raise
        except Throttled as error:
            self._left[key] = error
            pause = PAUSE if error.retry_after is None else min(error.retry_after, LONGEST_PAUSE)
            if not self._settle(text, held, "throttled", {}, left, pause=max(pause, PAUSE)):
                text.unsent = held
            raise
        except Refused as error:
            self._left[key] = error
            if not self._settle(text, held, "refused", {"result_description": error.description}, left):
                text.unsent = held
            raise
        except InDoubt as error:
            self._settle(text, held, "in_doubt", {}, left)
            doubt = InDoubt(error.reason, to=text.to, since=_moment(left), key=key)
        except BaseException:
            self._settle(text, held, "in_doubt", {}, left)
            raise
        raise doubt

    def _settle_sent(self, text: _Text, held: Reservation, reply: ApiReply, left: float) -> SendResult:
        result = SendResult(
            status="sent",
            result=reply.result,
            result_description=mask_numbers(reply.description),
            xml=mask_numbers(reply.xml),
            to=text.to,
            from_=mask_number(held.number),
            segments=text.message.segments,
            encoding=text.message.encoding,
            sent_at=_moment(left).isoformat(timespec="milliseconds"),
            waited_seconds=round(left - text.begun, 3),
            attempts=text.requests,
        )
        self._left[text.request.key] = result
        self._settle(text, held, "sent", detail_of(result), left)
        return result

    def _settle(
        self,
        text: _Text,
        held: Reservation,
        outcome: Outcome,
        detail: Mapping[str, Any],
        left: float,
        *,
        pause: float = 0.0,
    ) -> bool:
        took = time.monotonic() - left
        words = _IN_WORDS[outcome]
        return self._record(text, words, self._journal.settle, held, outcome, detail, took=took, pause=pause)

    def _record(self, text: _Text, what: str, step: Callable[..., None], *args: Any, **options: Any) -> bool:
        """Write what became of the text into the journal, and return whether that worked. A failure is only logged."""
        try:
            step(*args, **{"within": self._settle_within, "sleep": self._settle_sleep, **options})
        except Exception as error:
            # Whatever sleep raised when it was stopped has no words of ours.
            reason = error.reason if isinstance(error, JournalUnavailable) else type(error).__name__
            log.error(  # noqa: TRY400
                "The text to %s %s, but that could not be written into the journal%s: %s. Check the journal.",
                text.to,
                what,
                ", so a retry will report the text as in doubt" if text.started else "",
                reason,
            )
            return False
        return True

    def _known(self, text: _Text, record: Record) -> SendResult:
        """Answer from the journal."""
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
            raise _SlotLost("another process was sending it")
        raise InDoubt(
            f"its request left at {record.since:%Y-%m-%d %H:%M:%S} UTC, and its outcome is unknown",
            advice=f"Nothing was sent now. {InDoubt.default_advice}",
            to=text.to,
            since=record.since,
            key=text.request.key,
            earlier=True,
        )

    def _await_outcome(self, text: _Text, record: Record) -> None:
        """Wait until another process has written down what became of the text, or until its time is over."""
        retrying = Retrying(
            retry=retry_if_result(lambda found: found is not None and found.undecided_for > 0),
            # By our own clock, so that no clock that is set can make this longer.
            stop=stop_after_delay(record.undecided_for),
            wait=wait_exponential(multiplier=0.1, max=2),
            sleep=self._sleep,
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        found = retrying(self._journal.find, text.request.key, sleep=self._sleep)
        if found is not None and found.id == record.id and found.state == "sending":
            self._journal.give_up(found)

    def _too_slow(self, text: _Text) -> JournalUnavailable:
        return JournalUnavailable(
            f"it lost {text.slots} slots, because the journal or this machine is too slow ({self._journal.timing})",
            advice="Sending it again is safe. Move the journal nearer, or send from fewer tasks at once.",
            to=text.to,
        )

    def _sleep_until(self, due: float) -> None:
        # Also when there is nothing to wait for: that is where somebody who stops us is heard.
        self._sleep(max(0.0, due - time.monotonic()))


class _SlotLost(Exception):
    """The slot cannot be used any more, and no byte has left: another must be reserved."""


@dataclass
class _Text:
    """One text, and what its tries add up to.

    :param requests: how many requests have left.
    :param slots: how many slots were lost.
    :param started: whether the journal may know it as being sent.
    :param reserving: when its last slot began to be reserved, on the monotonic clock.
    :param unsent: its last reservation, as long as no byte of its request has left.
    """

    message: SmsMessage = field(repr=False)
    request: SlotRequest
    resend: bool
    max_wait: float | None
    begun: float = field(default_factory=time.monotonic)
    requests: int = 0
    slots: int = 0
    failures: int = 0
    failing_since: float | None = None
    started: bool = False
    reserving: float = 0.0
    unsent: Reservation | None = None

    @property
    def to(self) -> str:
        return mask_number(self.message.to)

    def wait_left(self) -> float | None:
        return None if self.max_wait is None else max(0.0, self.begun + self.max_wait - time.monotonic())

    def is_hopeless(self, state: RetryCallState) -> bool:
        """Count what went wrong, and say whether to stop."""
        if isinstance(_error_of(state), _SlotLost):
            self.slots += 1
            return self.slots >= SLOTS
        self.failures += 1
        self.failing_since = self.failing_since or time.monotonic()
        return self.failures >= TRIES or time.monotonic() - self.failing_since >= TRY_FOR


_IN_WORDS: dict[Outcome, str] = {
    "sent": "was sent",
    "refused": "was refused",
    "throttled": "was throttled",
    "in_doubt": "may have been sent",
}


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _before_next_try(state: RetryCallState) -> float:
    # A throttled text waits for its new slot, which lies behind the account's pause.
    if isinstance(_error_of(state), (Throttled, _SlotLost)):
        return 0.0
    return wait_random_exponential(multiplier=1, max=10)(state)


def _log_next_try(state: RetryCallState) -> None:
    error = _error_of(state)
    text: _Text = state.args[0]
    if isinstance(error, _SlotLost):
        log.warning("The text to %s lost its slot and takes another: %s.", text.to, error)
    else:
        log.warning("%s Trying again (%d of %d).", error, text.failures + 1, TRIES)


def _moment(monotonic: float) -> datetime:
    return datetime.fromtimestamp(time.time() - (time.monotonic() - monotonic), timezone.utc)


@lru_cache(maxsize=64)
def _connect_time(host: str) -> StepTime:
    """How long connecting to the API takes, as this process has seen it."""
    return StepTime(0.0 if host in {"localhost", "127.0.0.1", "::1"} else CONNECT_GUESS)
