"""What the journal remembers of a text that was sent, in a format of its own.

Journals are read by other versions of this package, and for months. So what is written here stays as the
version before 0.1.0 wrote it, and what is read may lack anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.sms.message import SmsMessage

_TEXTS = ("result", "result_description", "xml", "to", "from", "encoding", "sent_at")


def detail_of(result: SendResult) -> dict[str, Any]:
    """Return what the journal keeps of a result."""
    return {
        "status": "sent",
        "result": result.result,
        "result_description": result.result_description,
        "xml": result.xml,
        "to": result.to,
        "from": result.from_,
        "segments": result.segments,
        "encoding": result.encoding,
        "sent_at": result.sent_at,
        "waited_seconds": result.waited_seconds,
        "attempts": result.attempts,
    }


def already_sent(detail: Mapping[str, Any]) -> SendResult:
    """Return the result of a text that was sent before; what is missing or of another type is left empty."""
    texts = {name: value if isinstance(value := detail.get(name), str) else "" for name in _TEXTS}
    waited = detail.get("waited_seconds")
    return SendResult(
        status="already_sent",
        result=texts["result"] or "success",
        result_description=texts["result_description"],
        xml=texts["xml"],
        to=texts["to"],
        from_=texts["from"],
        segments=_count(detail.get("segments")),
        encoding=texts["encoding"],
        sent_at=texts["sent_at"],
        waited_seconds=float(waited) if isinstance(waited, (int, float)) else 0.0,
        attempts=_count(detail.get("attempts")),
    )


def held_back(message: SmsMessage) -> SendResult:
    """Return the result of a text whose recipient must not be texted."""
    return SendResult(
        status="held_back",
        result="",
        result_description="",
        xml="",
        to=mask_number(message.to),
        from_="",
        segments=message.segments,
        encoding=message.encoding,
        sent_at="",
        waited_seconds=0.0,
        attempts=0,
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 1
