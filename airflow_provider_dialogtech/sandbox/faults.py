"""Faults on demand, as a real API shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

# The faults before a message is judged, and those after it was accepted.
BEFORE = {
    "hang_before_accept": "the message is not accepted and no answer comes",
    "reset_before_accept": "the connection is reset, the message is not accepted",
    "error_before_accept": "an HTTP error comes, the message is not accepted",
    "refused": "the API says failed",
    "throttled": "the API throttles the message",
}
AFTER = {
    "late": "the message is accepted and answered after the given seconds",
    "hang_after_accept": "the message is accepted and no answer comes",
    "reset_after_accept": "the message is accepted, then the connection is reset",
    "error_after_accept": "the message is accepted, then an HTTP error comes",
    "garbage_after_accept": "the message is accepted, then a page of HTML comes",
    "truncated_after_accept": "the message is accepted, then half a reply comes",
    "zero_count": "the reply reports success for no message",
}
NAMES = BEFORE | AFTER

_WITHOUT_BODY = {204, 304}

# More than a test needs.
MOST_FAULTS = 1000
_LONGEST_WAIT = 3600.0
_LONGEST_HEADER = 1000


@dataclass
class Fault:
    """A fault.

    :param times: the number of messages it applies to; None for all from now on.
    :param to: applies only to messages to this number.
    :param number: applies only to messages from this number.
    :param seconds: the delay of a late answer.
    :param status: the HTTP status of an error, or of a refused or throttled reply.
    :param description: the description of a refused or throttled reply.
    :param retry_after: the Retry-After header of a throttled reply.
    """

    fault: str
    times: int | None = None
    to: str | None = None
    number: str | None = None
    seconds: float = 5.0
    status: int | None = None
    description: str | None = None
    retry_after: str | int | float | None = None

    @classmethod
    def of(cls, wanted: object) -> Fault:
        """Parse a requested fault.

        :raises TypeError: when it is not a JSON object.
        :raises ValueError: when the fault or a setting is unknown or invalid.
        """
        if not isinstance(wanted, Mapping):
            raise TypeError('Send a JSON object such as {"fault": "late", "seconds": 3, "times": 1}.')
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(wanted) - set(names))
        if unknown:
            raise ValueError(f"Unknown setting: {', '.join(unknown)}. Settings: {', '.join(names)}.")
        if wanted.get("fault") not in list(NAMES):
            raise ValueError(f"Unknown fault. Faults: {', '.join(NAMES)}.")
        fault = cls(**wanted)
        fault._check()
        return fault

    def _check(self) -> None:
        _require(self.times is None or _is_whole(self.times, 1), "times must be a whole number of at least 1, or null")
        _require(self.to is None or _is_digits(self.to), "to must be a phone number, as a string of digits")
        _require(self.number is None or _is_digits(self.number), "number must be a phone number, as a string of digits")
        _require(_is_number(self.seconds, _LONGEST_WAIT), f"seconds must be a number from 0 to {_LONGEST_WAIT:.0f}")
        _require(
            self.status is None or (_is_whole(self.status, 200, 599) and self.status not in _WITHOUT_BODY),
            "status must be an HTTP status whose answer has a body",
        )
        _require(self.description is None or _is_text(self.description), "description must be text")
        _require(
            self.retry_after is None or _is_number(self.retry_after) or _is_header(self.retry_after),
            f"retry_after must be a number of seconds, or a header value of at most {_LONGEST_HEADER} characters",
        )

    def concerns(self, to: str, number: str) -> bool:
        """Return whether the fault applies to a message between these numbers."""
        return self.to in {None, to} and self.number in {None, number}


class Faults:
    """The requested faults. Each is used up by the messages it applies to."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Apply a fault from now on.

        :raises ValueError: when too many faults are waiting.
        """
        _require(len(self._faults) < MOST_FAULTS, f"{MOST_FAULTS} faults are waiting: clear them")
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def concerning(self, to: str, number: str) -> Fault | None:
        """Return the first requested fault that applies to a message between these numbers, if any."""
        return next((fault for fault in self._faults if fault.concerns(to, number)), None)

    def use(self, fault: Fault) -> None:
        """Count one use of a fault."""
        if fault.times is not None:
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(f"{problem}.")


def _is_whole(value: Any, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any, most: float = 1e300) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit()


def _is_text(value: Any) -> bool:
    # JSON can contain an unpaired surrogate, which UTF-8 cannot encode.
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_header(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_HEADER and value.isascii() and value.isprintable()
