"""The documented limits, judged on arrival as sliding windows."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """What an account may send; the defaults are the vendor's."""

    account_per_second: int = 4
    number_per_second: int = 1
    number_per_minute: int = 40


class SlidingWindow:
    """At most `messages` in any `seconds`.

    Only accepted messages count: one that was throttled takes no room from the next.
    """

    def __init__(self, messages: int, seconds: float) -> None:
        self.messages = messages
        self._seconds = seconds
        self._times: deque[float] = deque()

    def used(self, now: float) -> int:
        """Return how many messages count at this time of a monotonic clock."""
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        return len(self._times)

    def is_full(self, now: float) -> bool:
        return self.used(now) >= self.messages

    def note(self, now: float) -> None:
        self._times.append(now)


@dataclass
class Account:
    """An account of the sandbox, with the windows of its messages.

    :param access_key: its access key.
    :param secret_access_key: its secret access key.
    :param numbers: its SMS-enabled numbers.
    """

    access_key: str
    secret_access_key: str = field(repr=False)
    numbers: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Empty the windows."""
        limits = self.limits
        self.per_second = SlidingWindow(limits.account_per_second, 1)
        self.of_number: defaultdict[str, tuple[SlidingWindow, SlidingWindow]] = defaultdict(
            lambda: (SlidingWindow(limits.number_per_second, 1), SlidingWindow(limits.number_per_minute, 60))
        )

    def overflows(self, number: str, now: float) -> str | None:
        """Return which limit one more message would overflow, if any."""
        second, minute = self.of_number[number]
        if minute.is_full(now):
            return f"Rate limit: {minute.messages} sms per number per 60 seconds"
        if second.is_full(now):
            return f"Rate limit: {second.messages} sms per number per second"
        if self.per_second.is_full(now):
            return f"Rate limit: {self.per_second.messages} sms per account per second"
        return None

    def note(self, number: str, now: float) -> None:
        """Count an accepted message."""
        for window in (self.per_second, *self.of_number[number]):
            window.note(now)
