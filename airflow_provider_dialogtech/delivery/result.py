"""The result of a message that did not fail, and what the journal keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    InvalidConnection,
    InvalidMessage,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
    WaitTooLong,
)
from airflow_provider_dialogtech.journal.metrics import MESSAGES, MISSED_SLOTS, WAITED, Recorder
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.sms.message import SmsMessage


class SendResult(dict[str, Any]):
    """The outcome of a message that did not fail.

    It is a dict of plain JSON, so that a task can return it as it is: Airflow 3 refuses to read an object of any other
    class back from XCom. Each value is also an attribute (`from` is `from_`).

    :param status: `sent` now, `already_sent` under the same idempotency key before, or `held_back`: the connection's
        `only_to` excludes its recipient, and nothing was sent.
    :param result: the API's word: `success`.
    :param result_description: the API's description: `[1] Message Sent`.
    :param xml: the API's reply as it came.
    :param to: the recipient, shortened: `…7777`.
    :param from_: the number it left from, shortened.
    :param segments: the number of SMS segments.
    :param encoding: `GSM-7` or `UCS-2`.
    :param sent_at: when its request left: ISO 8601, UTC.
    :param waited_seconds: how long it waited for its slot, in seconds.
    :param attempts: the number of requests.
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

    def __init__(self, **values: Any) -> None:
        if unknown := values.keys() - {*SendResult.__annotations__, *_EMPTY}:
            raise TypeError(f"a result has no {', '.join(sorted(unknown))}")
        super().__init__(_EMPTY | {name.rstrip("_"): value for name, value in values.items()})

    def __getattr__(self, name: str) -> Any:
        # Only what is declared above: a name with underscores that Python looks up must stay missing.
        if name in SendResult.__annotations__ and (key := name.rstrip("_")) in self:
            return self[key]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def as_xcom(self) -> dict[str, Any]:
        """Return it as a plain dict, as the operator pushes it."""
        return dict(self)


# A result's values in the order of the XCom.
_EMPTY: dict[str, Any] = {
    "status": "",
    "result": "",
    "result_description": "",
    "xml": "",
    "to": "",
    "from": "",
    "segments": 0,
    "encoding": "",
    "sent_at": "",
    "waited_seconds": 0.0,
    "attempts": 0,
}


def detail_of(result: SendResult) -> dict[str, Any]:
    """Return what the journal keeps of a result."""
    return {**result, "status": "sent"}


def already_sent(detail: Mapping[str, Any]) -> SendResult:
    """Return the result of a message that was sent before; what is missing or of another type is left empty."""
    known: dict[str, Any] = {
        name: value for name, empty in _EMPTY.items() if _is_like(value := detail.get(name), empty)
    }
    known |= {"status": "already_sent", "result": known.get("result") or "success"}
    return SendResult(
        **{"segments": 1, "attempts": 1, **known, "waited_seconds": float(known.get("waited_seconds", 0))}
    )


def _is_like(value: object, empty: object) -> bool:
    kinds = (int, float) if isinstance(empty, float) else type(empty)
    return isinstance(value, kinds) and not isinstance(value, bool)


def held_back(message: SmsMessage) -> SendResult:
    """Return the result of a message that `only_to` holds back."""
    to = mask_number(message.to)
    return SendResult(status="held_back", to=to, segments=message.segments, encoding=message.encoding)


# The first that fits names the outcome.
OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (InDoubt, "in_doubt"),
    (BadCredentials, "bad_credentials"),
    (Refused, "refused"),
    (Throttled, "throttled"),
    (Unreachable, "unreachable"),
    (WaitTooLong, "wait_too_long"),
    (JournalUnavailable, "journal_unavailable"),
    (InvalidMessage, "invalid"),
    (InvalidConnection, "invalid"),
    (DialogTechError, "not_sent"),
)


def record_outcome(recorder: Recorder, ending: SendResult | BaseException, missed_slots: int) -> None:
    """Record a message's outcome.

    :param missed_slots: how many slots it lost.
    """
    recorder.count(f"{MESSAGES}.{_outcome(ending)}")
    if missed_slots > 0:
        recorder.count(MISSED_SLOTS, missed_slots)
    if isinstance(ending, SendResult) and ending.status == "sent":
        recorder.time(WAITED, ending.waited_seconds)


def _outcome(ending: SendResult | BaseException) -> str:
    if isinstance(ending, SendResult):
        return ending.status
    return next((name for kind, name in OUTCOMES if isinstance(ending, kind)), "stopped")
