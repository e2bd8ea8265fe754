"""The time that a callback may take, and how it is shared out."""

from __future__ import annotations

import time

from airflow_provider_dialogtech.exceptions import WaitTooLong

# A callback is held so many seconds at most: the dag-processor kills one that takes 50.
HELD = 45.0
# It waits so long for a slot, and so long for one call of the API.
WAIT = 30.0
CALL = 14.0
# Between a slot that was found and the request that leaves in it.
SPARE = 1.0


class Deadline:
    """The end of the time that a callback may take.

    :param seconds: when it comes.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return how many seconds are left."""
        return self._end - time.monotonic()

    def left_for_slot(self) -> float:
        """Return for how many seconds at most an alert may wait for its slot."""
        return max(0.0, min(WAIT, self.left() - CALL - SPARE))

    def sleep(self, seconds: float) -> None:
        """Sleep, unless there would be no time left to send.

        :raises WaitTooLong: instead of sleeping.
        """
        if seconds > self.left() - CALL:
            raise WaitTooLong("a callback may take no longer")
        time.sleep(seconds)
