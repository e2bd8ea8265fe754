"""A journal's chance to carry an alert. One that does not answer is left behind, whatever it does later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dialogtech.delivery.journal import Outcome, Record, Reservation, SendJournal, SlotRequest
from airflow_provider_dialogtech.exceptions import JournalUnavailable, NotSent

if TYPE_CHECKING:
    from airflow_provider_dialogtech.alerts.deliver import Deadline

T = TypeVar("T")

# Nobody waits for a slot that is given back; until then it delays others by a second.
_RELEASE_WITHIN = 2.0
# A callback ends with its deadline, and a new connection to a journal that is away takes up to 5 s.
_SETTLED_BEFORE_END = 6.0


class Attempt:
    """Work that asks one journal, in a thread that can be left behind: a daemon, which holds up no process's end.

    Only the time counts in which the journal is asked, not the waiting for a slot and not the API's time. It is decided
    under a lock who may send: the work is left behind only while it asks, and learns it before it does anything else.

    :param seconds: how long the journal may take, all its answers together.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = self._left = seconds
        self._asked_at: float | None = None
        self._is_left_behind = False
        self._changed = threading.Condition()

    def run(self, work: Callable[[], T]) -> T:
        """Do the work, and wait for its end.

        :raises JournalUnavailable: when the journal has taken longer than it may. The work sends nothing then.
        """
        answer: Future[T] = Future()
        threading.Thread(target=self._work, args=(work, answer), daemon=True).start()
        with self._changed:
            while not (answer.done() or self._is_left_behind):
                left = None if self._asked_at is None else self._left - (time.monotonic() - self._asked_at)
                if left is not None and left <= 0:
                    self._is_left_behind = True
                else:
                    self._changed.wait(left)
        if answer.done():
            return answer.result()
        raise JournalUnavailable(
            f"the delivery journal has taken longer than the {self._seconds:g} s that an alert waits for it"
        )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Count the time of the block."""
        with self._changed:
            self._asked_at = asked_at = time.monotonic()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._left -= time.monotonic() - asked_at
                self._asked_at = None
                self._changed.notify()

    @property
    def is_left_behind(self) -> bool:
        """Whether another journal has taken over. Outside `asking` that does not change."""
        with self._changed:
            return self._is_left_behind

    def check(self) -> None:
        """Go on only where no other journal has taken over.

        :raises NotSent: else.
        """
        if self.is_left_behind:
            raise NotSent("the journal did not answer in time, and another one has taken over")

    def _work(self, work: Callable[[], T], answer: Future[T]) -> None:
        try:
            result = work()
        except BaseException as error:
            with self._changed:
                answer.set_exception(error)
                self._changed.notify()
        else:
            with self._changed:
                answer.set_result(result)
                self._changed.notify()


class AlertJournal(SendJournal):
    """The journal as an alert uses it: what it may wait for before the request counts, what comes after does not.

    :param attempt: counts the time.
    :param deadline: the end of the callback's time.
    :param args: those of the journal.
    """

    def __init__(self, attempt: Attempt, deadline: Deadline, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._attempt = attempt
        self._deadline = deadline

    def reserve(self, request: SlotRequest, **options: Any) -> Reservation | Record:
        self._attempt.check()
        with self._attempt.asking():
            found = super().reserve(request, **options)
        if self._attempt.is_left_behind and isinstance(found, Reservation):
            self.release(found)
        self._attempt.check()
        return found

    def start(self, held: Reservation, **options: Any) -> bool:
        self._attempt.check()
        with self._attempt.asking():
            started = super().start(held, **options)
        self._attempt.check()
        return started

    def settle(self, held: Reservation, outcome: Outcome, *args: Any, **options: Any) -> None:
        options |= {"within": max(1.0, self._deadline.left() - _SETTLED_BEFORE_END), "sleep": time.sleep}
        if outcome in {"sent", "in_doubt"}:
            super().settle(held, outcome, *args, **options)
        else:  # the alert is still to be sent, so this counts
            with self._attempt.asking():
                super().settle(held, outcome, *args, **options)

    def release(self, held: Reservation, **options: Any) -> None:
        # An alert's key is its own: where this fails, nobody meets the row again.
        options |= {"within": _RELEASE_WITHIN, "sleep": time.sleep}
        with self._attempt.asking(), suppress(JournalUnavailable):
            super().release(held, **options)
