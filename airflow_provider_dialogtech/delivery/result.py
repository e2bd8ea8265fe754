"""What became of a text that was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class SendResult:
    """A text that is out.

    :param status: `sent` now, or `already_sent` under the same idempotency key before.
    :param result: the API's word: `success`.
    :param result_description: the API's description: `[1] Message Sent`.
    :param xml: the API's reply as it came.
    :param to: the recipient, shortened: `…7777`.
    :param from_: the number it left from, shortened.
    :param segments: how many SMS segments the carriers make of it.
    :param encoding: `GSM-7` or `UCS-2`.
    :param sent_at: when its request left: ISO 8601, UTC.
    :param waited_seconds: how long it waited for its slot.
    :param attempts: how many requests it took.
    """

    status: Literal["sent", "already_sent"]
    result: str
    result_description: str
    xml: str
    to: str
    from_: str
    segments: int
    encoding: str
    sent_at: str
    waited_seconds: float
    attempts: int

    def as_xcom(self) -> dict[str, Any]:
        """Return plain JSON, as the operator pushes it."""
        return {name.rstrip("_"): value for name, value in vars(self).items()}

    @classmethod
    def from_xcom(cls, xcom: Mapping[str, Any]) -> SendResult:
        """Read what `as_xcom` returned."""
        return cls(**{"from_" if name == "from" else name: value for name, value in xcom.items()})
