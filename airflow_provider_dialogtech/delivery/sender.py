"""Sending one message: reserve a slot, connect, start, send, settle. No other file knows the order of these steps."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from typing import Literal

from tenacity import Retrying, retry_if_exception_type

from airflow_provider_dialogtech.api.client import ApiCall, DialogTechClient
from airflow_provider_dialogtech.api.reply import ApiReply
from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.delivery.attempts import Attempts, SlotLost, before_next_try, log_next_try
from airflow_provider_dialogtech.delivery.outcomes import EarlierAttempt, OutcomeWriter
from airflow_provider_dialogtech.delivery.result import SendResult, detail_of, record_outcome
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
    WaitTooLong,
)
from airflow_provider_dialogtech.journal.journal import ONE_STEP, MessageJournal
from airflow_provider_dialogtech.journal.records import NO_TASK, Origin, Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.timing import StepTime
from airflow_provider_dialogtech.masking import mask_number, mask_numbers, type_name
from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

# How long before its slot a connection is opened, in seconds. One that idles longer may be closed by the API.
CONNECT_LEAD = 1.0
# Connecting over the internet takes several round trips, before the first of them is measured.
CONNECT_GUESS = 0.3
# A request this late would come too close to the next one. On a machine that misses again and again, it stretches.
LATE = 0.012
STRETCH = 1.5
LONGEST_LATE = 0.1

PAUSE = 1.0
LONGEST_PAUSE = 60.0
# When DialogTech asks the account to pause, an alert waits this many seconds, and twice as many after each failed try:
# a minute later it would be useless.
ALERT_PAUSE = 1.0


class SmsSender:
    """Sends messages of one account, each once under its idempotency key, each in a slot that the rate limits allow.

    :param clock: the clock that it reads and sleeps by. An exception raised by `clock.sleep` cancels the send; a
        request not yet written is not sent.
    :param only_to: the only numbers that get messages, in digits; a message to another number is only recorded. None
        for no restriction.
    """

    def __init__(
        self,
        client: DialogTechClient,
        journal: MessageJournal,
        *,
        clock: Clock = SYSTEM_CLOCK,
        only_to: Collection[str] | None = None,
    ) -> None:
        self._client = client
        self._journal = journal
        self._clock = clock
        self._only_to = only_to
        self._earlier = EarlierAttempt(journal, clock)
        self._outcomes = OutcomeWriter(journal, clock)
        self._requests: dict[str, SendResult | DialogTechError | None] = {}

    def send(
        self,
        message: SmsMessage,
        *,
        key: str,
        body_key: str | None = None,
        in_doubt: Literal["fail", "resend"] = "fail",
        max_wait: float | None = None,
        keep_beyond: float | None = None,
        is_alert: bool = False,
        origin: Origin = NO_TASK,
    ) -> SendResult:
        """Send a message, unless it was sent before. A throttled or unsent one is tried again.

        :param body_key: another name of it; one that was sent under this name is not sent again, whatever its key.
        :param in_doubt: what to do when an earlier try may have sent the message: `fail`, or `resend` and risk that it
            arrives twice.
        :param max_wait: the longest wait for a slot, in seconds; None for no limit.
        :param keep_beyond: a slot more than this many seconds away is kept, and `WaitTooLong` is raised. The same call,
            made shortly before `WaitTooLong.sendable_at`, uses the slot.
        :param is_alert: whether it is sent before all messages that are not alerts.
        :param origin: the task that it belongs to.
        :raises WaitTooLong: when there is no slot within `max_wait`, or it is further away than `keep_beyond`.
        :raises InvalidMessage: when the key belongs to a message to another recipient, or the body contains a key.
        :raises Refused: when the API refused the message.
        :raises Throttled: when the API throttled it, again and again.
        :raises Unreachable: when the API could not be reached, again and again.
        :raises JournalUnavailable: when the journal cannot be used, or is too slow; nothing was sent.
        :raises InDoubt: when the message may have been sent, now or under the same key before.
        """
        is_held_back = self._only_to is not None and message.to not in self._only_to
        request = SlotRequest(
            key, message.from_numbers, message.to, message.body, is_alert, origin, is_held_back, body_key
        )
        attempts = Attempts(
            message, request, in_doubt == "resend", max_wait=max_wait, keep_beyond=keep_beyond, clock=self._clock
        )
        try:
            self._client.refuse_own_secret(message.whole)
            result = self._send_message(attempts)
        except BaseException as error:
            record_outcome(self._journal.recorder, error, attempts.slots)
            raise
        record_outcome(self._journal.recorder, result, attempts.slots)
        return result

    def already_sent(self, messages: Mapping[str, SmsMessage]) -> dict[str, SendResult]:
        """Return the results of those of several messages that were sent before, by their keys.

        `send` returns the same for each of them, one by one: a list of thousands that is retried would take minutes.

        :param messages: the messages by their idempotency keys.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        results = {}
        for key, record in self._journal.find_sent([*messages], sleep=self._clock.sleep).items():
            message = messages[key]
            request = SlotRequest(key, message.from_numbers, message.to, message.body)
            if record.recipient == request.recipient_digest:  # else `send` names the mismatch
                results[key] = self._earlier.result_of_sent(request, record)
                record_outcome(self._journal.recorder, results[key], 0)
        return results

    def under_way(self, key: str) -> SendResult | DialogTechError | None:
        """Return the outcome of a message that another thread is sending or settling.

        :return: its outcome; `InDoubt` while the reply is awaited; None while its request has not been sent.
        """
        if key not in self._requests:
            return None
        return self._requests[key] or InDoubt("its request was sent, and no reply has come yet", key=key)

    @property
    def requests_out(self) -> int:
        """How many messages have sent their request and will send no other."""
        return sum(not isinstance(outcome, Throttled) for outcome in list(self._requests.values()))

    def abort(self) -> None:
        """Close the connection of every request that awaits its reply; their messages are then in doubt.

        Another thread may call it.
        """
        self._client.abort()

    def _send_message(self, attempts: Attempts) -> SendResult:
        retrying = Retrying(
            retry=retry_if_exception_type((SlotLost, Throttled, Unreachable)),
            stop=attempts.is_hopeless,
            wait=before_next_try,
            sleep=self._clock.sleep,
            before_sleep=log_next_try,
            reraise=True,
        )
        try:
            return retrying(self._try, attempts)
        except SlotLost:
            problem: DialogTechError = self._too_slow(attempts)
            attempts.why_unsent = problem.reason
        except WaitTooLong as error:
            # What took the time is the reason that helps.
            problem = attempts.unreachable or error
            attempts.why_unsent = problem.reason
        except BaseException as error:
            stopped = f"it was stopped ({type_name(error)})"
            attempts.why_unsent = error.reason if isinstance(error, DialogTechError) else stopped
            raise
        finally:
            self._outcomes.give_back(attempts)
            self._requests.pop(attempts.request.key, None)
        raise problem

    def _try(self, attempts: Attempts) -> SendResult:
        """Try once: reserve a slot, connect, start, send, settle."""
        connecting = _connect_time(self._client.host, self._clock)
        attempts.reserving = self._clock.monotonic()
        found = self._journal.reserve(
            attempts.request,
            resend=attempts.resend,
            max_wait=attempts.remaining_wait(),
            connect=connecting.bound,
            after=attempts.unsent,
            longest_pause=ALERT_PAUSE * 2**attempts.failures if attempts.request.is_alert else None,
            sleep=self._clock.sleep,
        )
        if isinstance(found, Record):
            attempts.unsent = None
            return self._earlier.answer(attempts, found)
        held = attempts.unsent = found
        if self._clock.monotonic() > held.due:
            self._journal.timing.missed(attempts.reserving)
            raise SlotLost(f"the journal is slow: {self._journal.timing}")
        if attempts.keep_beyond is not None and held.due - self._clock.monotonic() > attempts.keep_beyond:
            attempts.unsent = None  # it stays reserved
            raise WaitTooLong(
                "its slot is later than keep_beyond allows, and stays reserved",
                sendable_at=datetime.fromtimestamp(held.at, timezone.utc),
            )
        self._sleep_until(held.due - CONNECT_LEAD)
        with self._connect(connecting) as call:
            self._start(attempts, held)
            self._sleep_until(held.due)
            sent_at = self._check_in_time(attempts, held)
            reply = self._send(attempts, held, call, sent_at)
        return self._settle_sent(attempts, held, reply, sent_at)

    def _connect(self, connecting: StepTime) -> ApiCall:
        begun = self._clock.monotonic()
        call = self._client.connect()
        connecting.note(self._clock.monotonic() - begun)
        return call

    def _start(self, attempts: Attempts, held: Reservation) -> None:
        """Mark the message as being sent, shortly before its slot.

        :raises SlotLost: when it is not to be used.
        """
        if self._clock.monotonic() > held.due:
            raise SlotLost("connecting took longer than there was time")
        self._sleep_until(held.due - self._journal.timing.start_lead)
        attempts.started = True
        remaining = attempts.remaining_wait()
        timeout = None if remaining is None else remaining + ONE_STEP
        if not self._journal.start(
            held, request_timeout=self._client.timeout, timeout=timeout, sleep=self._clock.sleep
        ):
            is_late = self._clock.monotonic() > held.due
            self._outcomes.check_recent(held)
            if is_late:
                self._journal.timing.missed(attempts.reserving)
                raise SlotLost(f"the journal is slow: {self._journal.timing}")
            raise SlotLost("an alert or another process took it, or the account is paused")

    def _check_in_time(self, attempts: Attempts, held: Reservation) -> float:
        """Return when the request leaves: now, on the monotonic clock.

        :raises SlotLost: when it would come too close to the next one.
        """
        sent_at = self._clock.monotonic()
        late = sent_at - held.due
        if late > min(LATE * STRETCH**attempts.slots, LONGEST_LATE):
            self._journal.timing.missed(attempts.reserving)
            raise SlotLost(f"the request would leave {late:.3f} s too late; {self._journal.timing}")
        self._journal.timing.met()
        return sent_at

    def _send(self, attempts: Attempts, held: Reservation, call: ApiCall, sent_at: float) -> ApiReply:
        """Send the request; a failure is written down before it goes on up."""
        attempts.requests += 1
        attempts.unsent = None
        key = attempts.request.key
        self._requests[key] = None
        try:
            return call.send(to=attempts.message.to, from_=held.number, message=attempts.message.body)
        except Unreachable:
            attempts.unsent = held
            self._requests.pop(key, None)
            raise
        except Throttled as error:
            self._requests[key] = error
            pause = PAUSE if error.retry_after is None else min(error.retry_after, LONGEST_PAUSE)
            if not self._outcomes.settle(attempts, held, "throttled", {}, sent_at, pause=max(pause, PAUSE)):
                attempts.unsent = held
            raise
        except Refused as error:
            if not isinstance(error, BadCredentials):
                error.reason += f" (from {mask_number(held.number)})"
            self._requests[key] = error
            if not self._outcomes.settle(attempts, held, "refused", {"result_description": error.description}, sent_at):
                attempts.unsent = held
            raise
        except InDoubt as error:
            self._outcomes.settle(attempts, held, "in_doubt", {}, sent_at)
            doubt = InDoubt(error.reason, to=attempts.to, since=self._moment(sent_at), key=key)
        except BaseException:
            self._outcomes.settle(attempts, held, "in_doubt", {}, sent_at)
            raise
        raise doubt

    def _settle_sent(self, attempts: Attempts, held: Reservation, reply: ApiReply, sent_at: float) -> SendResult:
        result = SendResult(
            status="sent",
            result=reply.result,
            result_description=mask_numbers(reply.description),
            xml=mask_numbers(reply.xml),
            to=attempts.to,
            from_=mask_number(held.number),
            segments=attempts.message.segments,
            encoding=attempts.message.encoding,
            sent_at=self._moment(sent_at).isoformat(timespec="milliseconds"),
            waited_seconds=round(sent_at - attempts.begun, 3),
            attempts=attempts.requests,
        )
        self._requests[attempts.request.key] = result
        self._outcomes.settle(attempts, held, "sent", detail_of(result), sent_at)
        return result

    def _too_slow(self, attempts: Attempts) -> JournalUnavailable:
        return JournalUnavailable(
            f"it lost {attempts.slots} slots, because the journal or this machine is too slow ({self._journal.timing})",
            advice="Sending it again is safe. Move the journal nearer, or send from fewer tasks at once.",
            to=attempts.to,
        )

    def _sleep_until(self, due: float) -> None:
        # Also when there is no time to wait: `sleep` raises if the send was stopped.
        self._clock.sleep(max(0.0, due - self._clock.monotonic()))

    def _moment(self, monotonic: float) -> datetime:
        return datetime.fromtimestamp(self._clock.now() - (self._clock.monotonic() - monotonic), timezone.utc)


@lru_cache(maxsize=64)
def _connect_time(host: str, clock: Clock) -> StepTime:
    """How long connecting to the API takes, as this process has seen it."""
    return StepTime(0.0 if host in {"localhost", "127.0.0.1", "::1"} else CONNECT_GUESS, clock)
