"""The store's clock, as one process reads it again and again."""

from __future__ import annotations

from dataclasses import dataclass, replace

# A clock that goes on by so many seconds more than the process's own was set.
CLOCK_SET = 1.0


@dataclass(frozen=True)
class Reading:
    """When the store's clock was read.

    :param now: what it said, in seconds since 1970.
    :param at: the same moment on this process's monotonic clock.
    :param took: how many seconds the question and its answer took; the moment lies between them.
    :param ahead: by how many seconds at least the store's clock was set forward since this process last read it.
    """

    now: float
    at: float
    took: float
    ahead: float = 0.0


class ClockReadings:
    """Compares each reading with the one before: it notices a clock that was set forward.

    By such a clock, the limits' windows would open before their time.
    """

    def __init__(self) -> None:
        self._last: Reading | None = None

    def compared(self, reading: Reading) -> Reading:
        """Return the next reading, with what it is ahead of the one before."""
        last, self._last = self._last, reading
        if last is None:
            return reading
        # Where in a question's time the clock was read is not known, so all of that time counts for us.
        ours = reading.at + reading.took / 2 - (last.at - last.took / 2)
        ahead = reading.now - last.now - ours
        return replace(reading, ahead=ahead) if ahead > CLOCK_SET else reading
