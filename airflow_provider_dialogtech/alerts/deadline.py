"""The time that a callback may take, and how it is shared out."""

from __future__ import annotations

from airflow_provider_dialogtech.delivery.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.exceptions import WaitTooLong

# A callback is held so many seconds at most: the dag-processor kills one that takes 50.
HELD = 45.0
# It waits so long for a slot, and so long for one call of the API.
WAIT = 30.0
CALL = 14.0
# Between a slot that was found and the request that leaves in it.
SPARE = 1.0


class AlertDeadline:
    """The end of the time that a callback may take.

    :param seconds: when it comes.
    :param clock: tells the time and waits.
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def left(self) -> float:
        """Return how many seconds are left."""
        return self._end - self._clock.monotonic()

    def left_for_slot(self) -> float:
        """Return for how many seconds at most an alert may wait for its slot."""
        return max(0.0, min(WAIT, self.left() - CALL - SPARE))

    def sleep(self, seconds: float) -> None:
        """Sleep, unless there would be no time left to send.

        :raises WaitTooLong: instead of sleeping.
        """
        if seconds > self.left() - CALL:
            raise WaitTooLong(
                "the time that a callback may take is over", advice="The next alert about the same counts this one."
            )
        self._clock.sleep(seconds)
