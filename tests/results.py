"""Results of messages that were sent, for tests of what reads them."""

from airflow_provider_dialogtech.delivery.result import SendResult


def a_result(status: str = "sent", **others: object) -> SendResult:
    values: dict[str, object] = {
        "result": "success",
        "result_description": "[1] Message Sent",
        "xml": "<xml/>",
        "to": "…7777",
        "from_": "…2111",
        "segments": 1,
        "encoding": "GSM-7",
        "sent_at": "2026-01-02",
        "waited_seconds": 0.0,
        "attempts": 1,
    }
    return SendResult(status=status, **{**values, **others})
