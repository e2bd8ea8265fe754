"""How long an alert may take: its callback in all, and one journal's answers. After the deadline, nothing is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.exceptions import JournalUnavailable, NotSent, WaitTooLong

T = TypeVar("T")

# Longest time of a callback, in seconds. Airflow may allow less.
LONGEST_CALLBACK = 45.0
# Longest wait for a slot, and longest API call.
LONGEST_WAIT = 30.0
LONGEST_CALL = 14.0
# Between the reservation of a slot and the request.
SPARE = 1.0
# A message takes no slot that leaves less than this part of `LONGEST_CALL` for its call.
_LEAST_CALL = 0.25
# A journal gets at least this many seconds to answer, even if the callback has less time left.
_LEAST_FOR_JOURNAL = 1.0


class AlertDeadline:
    """The end of the time that a callback may take.

    :param seconds: how far in the future it is.
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return the remaining seconds."""
        return self._end - self._clock.monotonic()

    def remaining_for_slot(self) -> float:
        """Return the longest time that an alert may wait for its slot, in seconds."""
        return max(0.0, min(LONGEST_WAIT, self._before_call() - SPARE))

    def remaining_for_journal(self, seconds: float) -> float:
        """Return how long an alert may wait for a journal's answers, so that another journal can answer after it.

        :param seconds: the longest.
        """
        return min(seconds, max(_LEAST_FOR_JOURNAL, (self._before_call() - SPARE) / 2))

    def remaining_for_call(self, timeout: float) -> float:
        """Return how long an API call may take that begins within `SPARE` seconds.

        :param timeout: the longest.
        """
        return min(timeout, max(LONGEST_CALL * _LEAST_CALL, self.remaining() - SPARE))

    def sleep(self, seconds: float) -> None:
        """Sleep, if enough time remains to send afterwards.

        :raises WaitTooLong: when too little time remains; it does not sleep then.
        """
        if seconds > self._before_call():
            raise WaitTooLong("the callback's time is over", advice="The next alert about the same counts this one.")
        self._clock.sleep(seconds)

    def _before_call(self) -> float:
        return self.remaining() - LONGEST_CALL * _LEAST_CALL


# A process that is stopped or gets no CPU time cannot read the journal's answer. So the clock is read every `_TICK`
# seconds, and of the time between two readings at most `LONGEST_TICK` counts.
_TICK = 0.1
LONGEST_TICK = 0.15
# Bounds the uncounted time: the journal gets at most this many times its seconds.
_STRETCH = 2.0


class JournalAttempt:
    """Work that queries one journal, in a daemon thread that can be abandoned.

    Only the time inside `asking` counts: not the wait for a slot, nor the API call. The work can be abandoned only
    inside `asking`, under a lock, and finds out at its next `check`. So only one journal's work sends the message.

    :param seconds: the total time of the journal's answers.
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._seconds = seconds
        self._clock = clock
        self._counted = self._passed = 0.0
        self._looked_at: float | None = None
        self._is_abandoned = False
        self._changed = threading.Condition()

    def run(self, work: Callable[[], T]) -> T:
        """Run the work, and return its result.

        :param work: the work; what it raises is raised.
        :raises JournalUnavailable: when the journal exceeds its time. The work then sends nothing.
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
        """Count the time of the block as the journal's."""
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
        """Whether the next journal has taken over. It changes only inside `asking`."""
        with self._changed:
            return self._is_abandoned

    def check(self) -> None:
        """Stop the work if the next journal has taken over.

        :raises NotSent: when it has.
        """
        if self.is_abandoned:
            raise NotSent("the journal did not answer in time, and another one has taken over")

    def _count(self) -> None:
        """Count the time since the last reading of the clock, inside `asking`."""
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


class Departure:
    """Decides whether a message has left before its callback gives up on it. After that, it does not leave."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._may_have_left = False
        self._given_up = ""

    def leave(self) -> None:
        """Note that the request is about to leave.

        :raises WaitTooLong: when the callback has given up on the message.
        """
        with self._lock:
            self.check()
            self._may_have_left = True

    def check(self) -> None:
        """Stop a message that its callback has given up on.

        :raises WaitTooLong: when it has.
        """
        if self._given_up:
            raise WaitTooLong(self._given_up)

    def give_up(self, why: str) -> bool:
        """Give up on the message, and return whether it may have left."""
        with self._lock:
            self._given_up = why
            return self._may_have_left
