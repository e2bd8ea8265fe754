"""What time it is, and how to wait: handed in, so that no test of waiting needs to wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """The system's clock, unless told otherwise.

    :param now: returns the time in seconds since 1970.
    :param monotonic: returns the seconds on a clock that nobody sets.
    :param sleep: sleeps for so many seconds; what it raises ends the work that waits.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()
