"""When a text may leave: arithmetic over a list of times, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import NamedTuple

# Requests that leave a window apart may arrive closer together: the way there is not equally long each time.
SHORT_MARGIN = 0.035
LONG_MARGIN = 0.5


@dataclass(frozen=True)
class RateLimits:
    """What an account may send. The defaults are the vendor's ("The SMS API enforces the following rate-limits").

    :param account_per_second: texts per account per second.
    :param number_per_second: texts per number per second.
    :param number_per_minute: texts per number per 60 seconds.
    :raises ValueError: when one of them is not a whole number of at least 1.
    """

    account_per_second: int = 4
    number_per_second: int = 1
    number_per_minute: int = 40

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{field.name} must be a whole number of at least 1, not {value!r}")

    def of_account(self, extra_margin: float = 0.0) -> tuple[Window, ...]:
        """Tell the windows that all texts of the account share."""
        return (Window(self.account_per_second, 1 + SHORT_MARGIN + extra_margin),)

    def of_number(self, extra_margin: float = 0.0) -> tuple[Window, ...]:
        """Tell the windows that the texts of one number share."""
        return (
            Window(self.number_per_second, 1 + SHORT_MARGIN + extra_margin),
            Window(self.number_per_minute, 60 + LONG_MARGIN),
        )


class Window(NamedTuple):
    """At most `texts` in any `seconds`, wherever these begin."""

    texts: int
    seconds: float

    def closed_spans(self, times: Sequence[float]) -> Iterator[tuple[float, float]]:
        """Tell between which times (both ends excluded) one more text would overflow this window.

        A text overflows it exactly when it lies with `texts` neighbours in less than `seconds`.

        :param times: when texts leave, past and future, ascending.
        """
        for first, last in zip(times, times[self.texts - 1 :], strict=False):
            if last - first < self.seconds:
                yield last - self.seconds, first + self.seconds


def earliest_send_time(not_before: float, occupied: Iterable[tuple[Sequence[Window], Sequence[float]]]) -> float:
    """Find the first time, from `not_before` on, at which no window overflows.

    Times before and after it count: a text reserved for later is never crowded by one that fits in ahead of it.

    :param not_before: the earliest time wanted, in seconds.
    :param occupied: the windows, each group with the times (ascending) of the texts that share it.
    """
    spans = chain.from_iterable(window.closed_spans(times) for windows, times in occupied for window in windows)
    time = not_before
    for start, end in sorted(spans):
        if start >= time:
            break
        time = max(time, end)
    return time
