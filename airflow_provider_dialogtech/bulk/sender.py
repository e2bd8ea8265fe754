"""Sends the messages of a list in threads, so that every slot of the account is used, until it is stopped."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_provider_dialogtech.bulk.failure_policy import ListFailed
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidMessage, NotSent, WaitTooLong
from airflow_provider_dialogtech.journal.records import NO_TASK, Origin
from airflow_provider_dialogtech.settings.identity import keys_in

if TYPE_CHECKING:
    from airflow_provider_dialogtech.bulk.report import Report
    from airflow_provider_dialogtech.bulk.rows import CheckedRows
    from airflow_provider_dialogtech.delivery.sender import SmsSender
    from airflow_provider_dialogtech.sms.message import SmsMessage


@dataclass(frozen=True)
class RowMessage:
    """A message of a list.

    :param row: its row's index in the list, from 0.
    :param body_key: its other name, as in `SmsSender.send`.
    """

    row: int
    message: SmsMessage = field(repr=False)
    key: str
    body_key: str | None = None


def messages_of(
    checked: CheckedRows,
    compose: Callable[[Mapping[str, Any]], SmsMessage],
    report: Report,
    context: Mapping[str, Any],
) -> Iterator[RowMessage]:
    """Yield the messages to send, composed one by one.

    :param compose: makes a row's values a message.
    :param report: notes the rows that passed the check and are invalid now.
    """
    for row in checked.to_send():
        try:
            message, row_id = compose(row.values), row.id
        except InvalidMessage as error:
            report.note(row.index, error)
            continue
        keys = keys_in(context, message, *([] if row_id is None else [row_id]))
        yield RowMessage(row.index, message, keys.key, keys.body_key)


class Stopped(ListFailed):
    """The list was stopped. Messages whose request is not yet written are not sent, and release their slots."""

    def __init__(self) -> None:
        super().__init__("Stopped. ", final=False)


class Stop:
    """Stops a list when another thread or a signal handler sets it.

    The main thread never waits for it, because a signal handler that interrupts such a wait could not set it.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Stop the list: no more requests are written."""
        self._event.set()

    def check(self) -> None:
        """Check whether the list goes on.

        :raises Stopped: when it is set.
        """
        if self._event.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Sleep. All waits of the messages under way use this method.

        :raises Stopped: as soon as it is set.
        """
        if self._event.wait(seconds):
            raise Stopped


Outcome: TypeAlias = SendResult | DialogTechError

# Airflow 3 kills a task 5 seconds after it was stopped. A request under way gets this long for its reply, then its
# connection is closed; the journal gets `LAST_RECORDS` more.
LAST_REPLIES = 2.5
LAST_RECORDS = 1.0
POLL = 0.2
# A retried list asks for this many messages at once whether they were sent; one at a time would take minutes.
MOST_AT_ONCE = 256


class BulkSender:
    """Sends the messages of a list concurrently, so that slow replies do not lower the throughput.

    .. code-block:: python

        try:
            for row, outcome in bulk.outcomes(messages):
                ...
        finally:
            for row, outcome in bulk.last_outcomes():
                ...

    :param sender: sends each message; it must sleep with `stop.sleep`.
    :param stop: stops the list when it is set.
    :param threads: how many messages may be under way at once, each in its own thread.
    :param waiting: how many of them may wait for their slots; the requests of the others have been sent. So there are
        as many threads as the replies take, and no more: a message that waits longer costs the journal time and gets no
        earlier slot.
    :param in_doubt: what to do with messages that may have been sent: `fail`, or `resend`.
    :param until: the latest slot, on the monotonic clock; None for no limit.
    :param origin: the task that the messages belong to.
    """

    def __init__(
        self,
        sender: SmsSender,
        stop: Stop,
        *,
        threads: int,
        waiting: int | None = None,
        in_doubt: Literal["fail", "resend"] = "fail",
        until: float | None = None,
        origin: Origin = NO_TASK,
    ) -> None:
        self._sender = sender
        self._stop = stop
        self._threads = threads
        self._waiting = threads if waiting is None else waiting
        self._in_doubt = in_doubt
        self._until = until
        self._origin = origin
        self._ended: SimpleQueue[tuple[int, Outcome | Exception]] = SimpleQueue()
        self._under_way: dict[int, _Sending] = {}
        self._known: dict[int, SendResult] = {}

    def outcomes(
        self, messages: Iterator[RowMessage], *, heartbeat: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, Outcome]]:
        """Send all messages, and yield each row's index and outcome as soon as it is known.

        :param messages: the messages, consumed one by one in this thread, shortly before they are needed.
        :param heartbeat: called several times a second.
        :raises Stopped: when the list was stopped.
        """
        ready, at_once = deque[RowMessage](), 1
        while True:
            self._stop.check()
            heartbeat()
            if not ready and self._has_room() and (taken := list(islice(messages, at_once))):
                self._known = self._already_sent(taken) if at_once > 1 else {}
                at_once = min(2 * at_once, MOST_AT_ONCE) if len(self._known) == len(taken) else 1
                ready.extend(queued for queued in taken if queued.row not in self._known)
                for row, result in list(self._known.items()):
                    yield row, result
                    del self._known[row]
                if not ready:
                    continue
            if ready and self._has_room():
                self._start(ready.popleft())
            elif not self._under_way:
                return
            elif ended := self._next_ended():
                row, end = ended
                if not isinstance(end, Outcome):
                    raise end
                if isinstance(end, WaitTooLong):
                    messages = iter(())  # messages with a slot keep it, and no more are started
                    ready.clear()
                if isinstance(end, SendResult) and end.status == "already_sent":
                    at_once = min(2 * at_once, MOST_AT_ONCE)
                yield row, end
                # Only now: if a signal handler interrupts the consumer, `last_outcomes` yields the outcome again.
                del self._under_way[row]

    def last_outcomes(self) -> Iterator[tuple[int, Outcome]]:
        """Stop the list, wait for the replies under way, and yield the outcomes that `outcomes` has not.

        Call it however `outcomes` ended, including by an exception. The last outcome may be yielded twice.
        """
        self._stop.set()
        self._await_last_replies()
        yield from self._known.items()
        for row, sending in self._under_way.items():
            outcome = self._last_outcome(sending)
            if outcome is not None:
                yield row, outcome

    def _already_sent(self, messages: Sequence[RowMessage]) -> dict[int, SendResult]:
        """Return the results of those that an earlier try has sent, by their rows."""
        asked = {queued.key: queued for queued in messages if queued.body_key is None}
        try:
            known = self._sender.already_sent({key: queued.message for key, queued in asked.items()})
        except DialogTechError:  # each message is sent by itself then, and says what is wrong
            return {}
        return {asked[key].row: result for key, result in known.items()}

    def _has_room(self) -> bool:
        under_way = len(self._under_way)
        return under_way < self._threads and under_way - self._sender.requests_out < self._waiting

    def _start(self, queued: RowMessage) -> None:
        self._under_way[queued.row] = sending = _Sending(queued)
        # A daemon thread: one that hangs in a step of the journal must not block the process's exit.
        threading.Thread(target=self._work, args=[sending], name=f"dialogtech-row-{queued.row}", daemon=True).start()

    def _work(self, sending: _Sending) -> None:
        queued = sending.queued
        wait = None if self._until is None else max(0.0, self._until - time.monotonic())
        try:
            sending.end = self._sender.send(
                queued.message,
                key=queued.key,
                body_key=queued.body_key,
                in_doubt=self._in_doubt,
                max_wait=wait,
                origin=self._origin,
            )
        except Exception as error:
            sending.end = error
        self._ended.put((queued.row, sending.end))

    def _next_ended(self) -> tuple[int, Outcome | Exception] | None:
        try:
            return self._ended.get(timeout=POLL)
        except Empty:
            return None

    def _await_last_replies(self) -> None:
        cut = time.monotonic() + LAST_REPLIES
        while any(sending.end is None for sending in self._under_way.values()):
            if time.monotonic() >= cut + LAST_RECORDS:
                return
            if time.monotonic() >= cut:
                self._sender.abort()
            self._next_ended()

    def _last_outcome(self, sending: _Sending) -> Outcome | None:
        # Read first: a message whose thread ends now would no longer be under way.
        known = self._sender.under_way(sending.queued.key)
        if sending.end is None:
            # Its thread hangs in a step of the journal. A request not yet written is not sent: every sleep raises now,
            # including the one right before the request.
            return known or NotSent()
        if isinstance(sending.end, Stopped):
            return None
        if isinstance(sending.end, Outcome):
            return sending.end
        return InDoubt("an unexpected error interrupted its send")


@dataclass
class _Sending:
    """A message in a thread, and its outcome or unexpected error once the thread ends."""

    queued: RowMessage
    end: Outcome | Exception | None = None
