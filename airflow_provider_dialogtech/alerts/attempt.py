"""Work that asks a journal, in a thread that is abandoned when the journal does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from airflow_provider_dialogtech.delivery.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.exceptions import JournalUnavailable, NotSent

T = TypeVar("T")

# A process that gets no processor time, or is stopped, cannot hear the journal's answer. So the clock is looked at so
# often, and where much more time has passed in between, it is not counted.
_TICK = 0.1
LONGEST_TICK = 0.15
# Even so the journal gets no more than so many times its seconds: an alert is worth nothing an hour later.
_STRETCH = 2.0


class Attempt:
    """Work that asks one journal, in a thread that can be abandoned: a daemon, which holds up no process's end.

    Only the time counts in which the journal is asked and this process runs: not the waiting for a slot, not the API's
    time. It is decided under a lock who may send: the work is abandoned only while it asks, and learns it before it
    does anything else.

    :param seconds: how long the journal may take, all its answers together.
    :param clock: tells how long that was.
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._seconds = seconds
        self._clock = clock
        self._counted = self._passed = 0.0
        self._looked_at: float | None = None
        self._is_abandoned = False
        self._changed = threading.Condition()

    def run(self, work: Callable[[], T]) -> T:
        """Do the work, and wait for its end.

        :raises JournalUnavailable: when the journal has taken longer than it may. The work sends nothing then.
        """
        answer: Future[T] = Future()
        threading.Thread(target=self._work, args=(work, answer), daemon=True).start()
        with self._changed:
            while not (answer.done() or self._is_abandoned):
                is_asking = self._looked_at is not None
                self._changed.wait(_TICK if is_asking else None)
                self._count()
                self._is_abandoned = self._looked_at is not None and not answer.done() and self._is_over()
        if answer.done():
            return answer.result()
        raise JournalUnavailable(
            f"the delivery journal has taken longer than the {self._seconds:g} s that an alert waits for it"
        )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Count the time of the block."""
        with self._changed:
            self._looked_at = self._clock.monotonic()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._count()
                self._looked_at = None
                self._changed.notify()

    @property
    def is_abandoned(self) -> bool:
        """Whether another journal has taken over. Outside `asking` that does not change."""
        with self._changed:
            return self._is_abandoned

    def check(self) -> None:
        """Go on only where no other journal has taken over.

        :raises NotSent: else.
        """
        if self.is_abandoned:
            raise NotSent("the journal did not answer in time, and another one has taken over")

    def _count(self) -> None:
        """Count the time since the last look at the clock, if the journal is asked."""
        if self._looked_at is None:
            return
        now = self._clock.monotonic()
        self._passed += now - self._looked_at
        self._counted += min(now - self._looked_at, LONGEST_TICK)
        self._looked_at = now

    def _is_over(self) -> bool:
        return self._counted >= self._seconds or self._passed >= self._seconds * _STRETCH

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
