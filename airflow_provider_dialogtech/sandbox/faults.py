"""Faults on demand: what a real API does on a bad day."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

# Which fault comes before a message is judged, which after it was accepted, and what it is.
BEFORE = {
    "hang_before_accept": "the message is not accepted and no answer comes",
    "reset_before_accept": "the connection is reset, the message is not accepted",
    "error_before_accept": "an HTTP error comes, the message is not accepted",
    "refused": "the API says failed",
    "throttled": "the API throttles the message",
}
AFTER = {
    "late": "the message is accepted and answered after so many seconds",
    "hang_after_accept": "the message is accepted and no answer comes",
    "reset_after_accept": "the message is accepted, then the connection is reset",
    "error_after_accept": "the message is accepted, then an HTTP error comes",
    "garbage_after_accept": "the message is accepted, then a page of HTML comes",
    "truncated_after_accept": "the message is accepted, then half a reply comes",
    "zero_count": "the reply is a success that counts no text",
}
NAMES = BEFORE | AFTER

_WITHOUT_BODY = {204, 304}

# More than a test needs, and little to keep.
MOST_FAULTS = 1000
_LONGEST_WAIT = 3600.0
_LONGEST_HEADER = 1000


@dataclass
class Fault:
    """What is to go wrong.

    :param fault: its name.
    :param times: with how many messages; None for all from now on.
    :param to: only with messages to this number.
    :param number: only with messages from this number.
    :param seconds: how late an answer comes.
    :param status: the HTTP status of an error, or of a refused or throttled reply.
    :param description: the words of a refused or throttled reply.
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
        """Read a fault that somebody asks for.

        :raises TypeError: when it is no JSON object.
        :raises ValueError: when there is no such fault or setting.
        """
        if not isinstance(wanted, Mapping):
            raise TypeError('Send a JSON object such as {"fault": "late", "seconds": 3, "times": 1}.')
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(wanted) - set(names))
        if unknown:
            raise ValueError(f"There is no setting {', '.join(unknown)}; there are {', '.join(names)}.")
        if wanted.get("fault") not in list(NAMES):
            raise ValueError(f"There is no such fault. There are: {', '.join(NAMES)}.")
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
            "status must be an HTTP status of an answer that has a body",
        )
        _require(self.description is None or _is_text(self.description), "description must be text")
        _require(
            self.retry_after is None or _is_number(self.retry_after) or _is_header(self.retry_after),
            f"retry_after must be a number of seconds, or what a header of {_LONGEST_HEADER} characters may hold",
        )

    def concerns(self, to: str, number: str) -> bool:
        """Return whether it is to happen to a message between these numbers."""
        return self.to in {None, to} and self.number in {None, number}


class Faults:
    """The faults that are asked for, each used up by the messages it happens to."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let it happen from now on.

        :raises ValueError: when too many wait already.
        """
        _require(len(self._faults) < MOST_FAULTS, f"{MOST_FAULTS} faults wait to happen: clear them")
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def concerning(self, to: str, number: str) -> Fault | None:
        """Return the fault that may happen to a message between these numbers: the first that was asked for."""
        return next((fault for fault in self._faults if fault.concerns(to, number)), None)

    def use(self, fault: Fault) -> None:
        """Count that it happened."""
        if fault.times is not None:
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(f"{otherwise}.")


def _is_whole(value: Any, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any, most: float = 1e300) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit()


def _is_text(value: Any) -> bool:
    # JSON can name half a character, which no reply can carry.
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_header(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_HEADER and value.isascii() and value.isprintable()
