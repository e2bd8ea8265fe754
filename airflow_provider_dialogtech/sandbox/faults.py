"""Faults on demand: what a real API does on a bad day."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

# Which fault comes before the text is accepted, which after, and what it is.
BEFORE = {
    "hang_before_accept": "the text is not accepted and no answer comes",
    "reset_before_accept": "the connection is reset, the text is not accepted",
    "error_before_accept": "an HTTP error, the text is not accepted",
    "refused": "the API says failed",
    "throttled": "the API refuses the text for its rate",
}
AFTER = {
    "late": "the text is accepted and answered after so many seconds",
    "hang_after_accept": "the text is accepted and no answer comes",
    "reset_after_accept": "the text is accepted, then the connection is reset",
    "error_after_accept": "the text is accepted, then an HTTP error comes",
    "garbage_after_accept": "the text is accepted, then a page of HTML comes",
    "truncated_after_accept": "the text is accepted, then half a reply comes",
    "zero_count": "the reply is a success that counts no text",
}
NAMES = BEFORE | AFTER


@dataclass
class Fault:
    """What is to go wrong.

    :param fault: its name.
    :param times: with how many texts; None for all from now on.
    :param to: only with texts to this number.
    :param number: only with texts from this number.
    :param seconds: how late an answer comes.
    :param status: the HTTP status of an error, or of a throttled reply.
    :param description: the words of a refusal.
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
        if wanted.get("fault") not in NAMES:
            raise ValueError(f"There is no such fault; there are {', '.join(NAMES)}.")
        fault = cls(**wanted)
        fault._check()
        return fault

    def _check(self) -> None:
        _require(_is_whole(self.times, 1) or self.times is None, "times must be a whole number of at least 1, or null")
        _require(_is_number(self.seconds), "seconds must be a number of at least 0")
        _require(self.status is None or _is_whole(self.status, 200, 599), "status must be an HTTP status")

    def concerns(self, text: Mapping[str, str]) -> bool:
        """Say whether it is to happen to this text."""
        return self.to in {None, text.get("to")} and self.number in {None, text.get("from")}


class Faults:
    """The faults that are asked for, each used up by the texts it happens to."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def take(self, text: Mapping[str, str]) -> Fault | None:
        """Return the fault that happens to this text: the first that was asked for."""
        fault = next((fault for fault in self._faults if fault.concerns(text)), None)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)
        return fault


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(f"{otherwise}.")


def _is_whole(value: Any, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
