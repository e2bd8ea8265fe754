"""What became of a text that did not fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal


class SendResult(dict[str, Any]):
    """What became of a text that did not fail.

    It is a dict of plain JSON, so that a task can return it as it is: Airflow 3 refuses to read an object of any other
    class back from XCom. Each value is an attribute, too (`from` is `from_`).

    :param status: `sent` now, `already_sent` under the same idempotency key before, or `held_back`, since the
        connection's `only_to` does not name its recipient: nothing was sent then.
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

    status: Literal["sent", "already_sent", "held_back"]
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

    def __init__(  # noqa: PLR0917 - the values in the order of the XCom
        self,
        status: Literal["sent", "already_sent", "held_back"],
        result: str,
        result_description: str,
        xml: str,
        to: str,
        from_: str,
        segments: int,
        encoding: str,
        sent_at: str,
        waited_seconds: float,
        attempts: int,
    ) -> None:
        super().__init__(
            {
                "status": status,
                "result": result,
                "result_description": result_description,
                "xml": xml,
                "to": to,
                "from": from_,
                "segments": segments,
                "encoding": encoding,
                "sent_at": sent_at,
                "waited_seconds": waited_seconds,
                "attempts": attempts,
            }
        )

    def __getattr__(self, name: str) -> Any:
        # Only what is declared above: a name with underscores that Python looks up must stay missing.
        if name in SendResult.__annotations__ and (key := name.rstrip("_")) in self:
            return self[key]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def as_xcom(self) -> dict[str, Any]:
        """Return it as a plain dict, as the operator pushes it."""
        return dict(self)

    @classmethod
    def from_xcom(cls, xcom: Mapping[str, Any]) -> SendResult:
        """Read what `as_xcom` returned."""
        return cls(**{"from_" if name == "from" else name: value for name, value in xcom.items()})
