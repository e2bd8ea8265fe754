"""When a message may leave: arithmetic over a list of times, no I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from typing import NamedTuple

# Requests that leave a window apart may arrive closer together, because the network's latency varies.
SHORT_MARGIN = 0.035
LONG_MARGIN = 0.5

LONGEST_WINDOW = 60 + LONG_MARGIN
# Sums of times are rounded, so times are left out unread only if they are this much further away.
ROUNDED = 0.001


@dataclass(frozen=True)
class RateLimits:
    """What an account may send. The defaults are the vendor's ("The SMS API enforces the following rate-limits").

    :param account_per_second: messages per account per second.
    :param number_per_second: messages per number per second.
    :param number_per_minute: messages per number per 60 seconds.
    :param alert_reserve: how many of `number_per_minute` only alerts may use; by default a tenth.
    :raises ValueError: when one of them is not a whole number of at least 1, or `alert_reserve` leaves nothing.
    """

    account_per_second: int = 4
    number_per_second: int = 1
    number_per_minute: int = 40
    alert_reserve: int | None = None

    def __post_init__(self) -> None:
        for name in ("account_per_second", "number_per_second", "number_per_minute"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
        reserve = self.alert_reserve
        if reserve is not None and (isinstance(reserve, bool) or not 0 <= reserve < self.number_per_minute):
            raise ValueError(f"alert_reserve must be a whole number from 0 to {self.number_per_minute - 1}")

    @property
    def ordinary_per_minute(self) -> int:
        """How many messages per number per 60 seconds may be ordinary ones, not alerts."""
        reserve = self.number_per_minute // 10 if self.alert_reserve is None else self.alert_reserve
        return self.number_per_minute - reserve

    def of_account(self, extra_margin: float = 0.0) -> tuple[Window, ...]:
        """Return the windows that all messages of the account share."""
        return (Window(self.account_per_second, 1 + SHORT_MARGIN + extra_margin),)

    def of_number(self, extra_margin: float = 0.0) -> tuple[Window, ...]:
        """Return the windows that the messages of one number share."""
        return (
            Window(self.number_per_second, 1 + SHORT_MARGIN + extra_margin),
            Window(self.number_per_minute, LONGEST_WINDOW),
        )

    def of_ordinary(self) -> tuple[Window, ...]:
        """Return the windows that the ordinary messages of one number share."""
        return (Window(self.ordinary_per_minute, LONGEST_WINDOW),)

    def of_reserve(self) -> tuple[Window, ...]:
        """Return the windows of the reserve for alerts; empty without a reserve."""
        reserve = self.number_per_minute - self.ordinary_per_minute
        return (Window(reserve, LONGEST_WINDOW),) if reserve else ()


class Window(NamedTuple):
    """At most `messages` in any period of `seconds`."""

    messages: int
    seconds: float

    def closed_spans(self, times: Sequence[float], after: float) -> Iterator[tuple[float, float]]:
        """Return between which times (both ends excluded) one more message would overflow this window.

        A message overflows it exactly when it and `messages` neighbours lie within less than `seconds`.

        :param times: when messages leave, past and future, ascending.
        :param after: spans that end before are left out, and earlier times are not read.
        """
        first = bisect_left(times, after - self.seconds - ROUNDED)
        last = first + self.messages - 1
        for begin, end in zip(times[first:], times[last:], strict=False):
            if end - begin < self.seconds:
                yield end - self.seconds, begin + self.seconds


Occupied = tuple[Sequence[Window], Sequence[float]]
"""Windows, and the times (ascending) of the messages that share them."""


def closed_spans(occupied: Iterable[Occupied], after: float) -> list[tuple[float, float]]:
    """Return the spans of time, ascending, in which one more message would overflow a window.

    :param occupied: the windows, each group with the times of the messages that share it.
    :param after: spans that end before are left out.
    """
    return sorted(
        chain.from_iterable(window.closed_spans(times, after) for windows, times in occupied for window in windows)
    )


def first_open(not_before: float, *spans: Iterable[tuple[float, float]]) -> float:
    """Return the first time, from `not_before` on, that lies in no span.

    A message that fits in before a reserved one never violates that one's limits.

    :param not_before: the earliest time wanted, in seconds.
    :param spans: closed spans, each group ascending.
    """
    time = not_before
    for start, end in merge(*spans):
        if end <= time:
            continue
        if start >= time:
            break
        time = end
    return time


def overflows(time: float, occupied: Iterable[Occupied]) -> bool:
    """Return whether one more message at this time would overflow a window."""
    return any(
        start < time < end
        for windows, times in occupied
        for window in windows
        for start, end in window.closed_spans(times[: bisect_left(times, time + window.seconds + ROUNDED)], time)
    )
