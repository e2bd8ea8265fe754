"""A clock that goes only while somebody sleeps by it, or when it is told to: no test of waiting needs to wait."""

import threading

import pytest

from airflow_provider_dialogtech.clock import Clock


class FakeClock:
    """The time of a test.

    :param now: what time it is when the test begins, in seconds since 1970.
    """

    def __init__(self, now: float = 1_767_322_800.0) -> None:
        self.sleeps: list[float] = []
        self._now = now
        self._passed = 100.0
        self._lock = threading.Lock()
        self.clock = Clock(self.now, self.monotonic, self.sleep)

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._passed

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.go_on(seconds)

    def go_on(self, seconds: float) -> None:
        """Let so many seconds pass."""
        with self._lock:
            self._passed += seconds
            self._now += seconds

    def set(self, ahead: float) -> None:
        """Set the clock, forward or back, so that no time passes."""
        with self._lock:
            self._now += ahead


@pytest.fixture
def time() -> FakeClock:
    """A clock that nobody waits for."""
    return FakeClock()
