"""Many texts at once: threads keep the line full, while every text goes the way of a single one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple, TypeAlias

from airflow_provider_dialogtech.delivery.origin import NO_TASK, Origin
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, NotSent, WaitTooLong
from airflow_provider_dialogtech.sms.message import SmsMessage

Outcome: TypeAlias = "SendResult | DialogTechError"

# Airflow 3 kills a task 5 seconds after it was stopped. What is out may take this long to be answered, then it is cut.
LAST_REPLIES = 2.5
LAST_RECORDS = 1.0
POLL = 0.2


class Stopped(Exception):
    """The sending was stopped. What has not left by then is not sent, and its slot is free again."""


@dataclass(frozen=True)
class Text:
    """A text of a list.

    :param row: its row's place in the list.
    :param message: the text.
    :param key: its idempotency key.
    """

    row: int
    message: SmsMessage = field(repr=False)
    key: str


class BulkSender:
    """Sends the texts of one list side by side, so that the time an answer takes does not slow the line.

    :param stop: ends the sending when it is set, also by a signal handler. So nothing in the main thread waits for it:
        a handler that interrupts such a wait could not set it.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._waiting: SimpleQueue[Text | None] = SimpleQueue()
        self._ended: SimpleQueue[_End] = SimpleQueue()
        self._out: dict[int, str] = {}

    def pause(self, seconds: float) -> None:
        """Sleep; every wait of the texts under way is one of these.

        :raises Stopped: as soon as the sending is stopped.
        """
        if self._stop.wait(seconds):
            raise Stopped

    def run(
        self,
        texts: Iterator[Text],
        sender: SmsSender,
        *,
        threads: int,
        record: Callable[[int, Outcome], None],
        judge: Callable[[Outcome], None] = lambda _: None,
        meanwhile: Callable[[], None] = lambda: None,
        in_doubt: Literal["fail", "resend"] = "fail",
        until: float | None = None,
        origin: Origin = NO_TASK,
    ) -> None:
        """Send all texts. However this ends, by any exception too, nothing goes on afterwards.

        :param texts: the texts, asked for one by one in this thread, shortly before they are needed.
        :param sender: sends them; it must sleep with `pause`.
        :param threads: how many may be under way at once.
        :param record: told, in this thread, what became of each row's text; not of those that were not started.
        :param judge: told the same right afterwards; what it raises ends the sending.
        :param meanwhile: called several times a second.
        :param in_doubt: what to do with texts that may be out: `fail`, or `resend`.
        :param until: when no slot is good any more, on the monotonic clock; then no more texts are asked for.
        :param origin: the task that the texts belong to.
        :raises Stopped: when it was stopped.
        """

        def work() -> None:
            for text in iter(self._waiting.get, None):
                self._ended.put(_End(text.row, self._try(text, sender, in_doubt, until, origin)))

        try:
            for number in range(threads):
                threading.Thread(target=work, name=f"dialogtech-{number}", daemon=True).start()
            self._keep_busy(texts, threads, record, judge, meanwhile)
        finally:
            self._wind_down(threads, record, sender)

    def _try(
        self,
        text: Text,
        sender: SmsSender,
        in_doubt: Literal["fail", "resend"],
        until: float | None,
        origin: Origin,
    ) -> SendResult | Exception:
        try:
            self.pause(0)
            wait = None if until is None else max(0.0, until - time.monotonic())
            return sender.send(text.message, key=text.key, in_doubt=in_doubt, max_wait=wait, origin=origin)
        except Exception as error:
            return error

    def _keep_busy(
        self,
        texts: Iterator[Text],
        threads: int,
        record: Callable[[int, Outcome], None],
        judge: Callable[[Outcome], None],
        meanwhile: Callable[[], None],
    ) -> None:
        more = True
        while more or self._out:
            if self._stop.is_set():
                raise Stopped
            meanwhile()
            if more and len(self._out) < threads:
                more = self._hand_out(next(texts, None))
            elif end := self._next_end(POLL):
                outcome = self._settle(end, record)
                # Those who have a slot keep it, but nobody else gets one.
                more = more and not isinstance(outcome, WaitTooLong)
                judge(outcome)

    def _settle(self, end: _End, record: Callable[[int, Outcome], None]) -> Outcome:
        if isinstance(end.outcome, (SendResult, DialogTechError)):
            record(end.row, end.outcome)
            self._out.pop(end.row, None)
            return end.outcome
        self._out.pop(end.row, None)
        if not isinstance(end.outcome, Stopped):
            record(end.row, InDoubt("an unexpected error ended its sending"))
        raise end.outcome

    def _hand_out(self, text: Text | None) -> bool:
        if text is None:
            return False
        self._out[text.row] = text.key
        self._waiting.put(text)
        return True

    def _wind_down(self, threads: int, record: Callable[[int, Outcome], None], sender: SmsSender) -> None:
        """Let what is out be answered, cut what is not, and leave no thread waiting."""
        self._stop.set()
        for _ in range(threads):
            self._waiting.put(None)
        cut = time.monotonic() + LAST_REPLIES
        while self._out and time.monotonic() < cut + LAST_RECORDS:
            if time.monotonic() >= cut:
                sender.abort()
            if end := self._next_end(POLL):
                with suppress(Exception):  # what ended it is on its way up already
                    self._settle(end, record)
        # Whoever has not ended by now hangs in a step of the journal. What has not left will not leave any more: every
        # sleep raises now, also the one right before the request.
        for row, key in self._out.items():
            record(row, sender.under_way(key) or NotSent("it was stopped before it left"))

    def _next_end(self, seconds: float) -> _End | None:
        try:
            return self._ended.get(timeout=seconds)
        except Empty:
            return None


class _End(NamedTuple):
    """How a thread came to an end with a text."""

    row: int
    outcome: SendResult | Exception
