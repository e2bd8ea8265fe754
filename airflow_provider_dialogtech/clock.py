"""The clock and the sleep, injected so that tests need not wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """A clock; by default the system's.

    :param now: returns the time, in seconds since 1970.
    :param monotonic: returns the seconds of a clock that is never set.
    :param sleep: sleeps for a number of seconds. An exception that it raises ends the wait.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()
