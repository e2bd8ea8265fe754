"""What the journal remembers of a message, as other versions of this package have written it."""

import pytest

from airflow_provider_dialogtech.delivery.result import already_sent, detail_of, held_back
from airflow_provider_dialogtech.sms.message import SmsMessage
from tests.results import a_result

SENT = a_result(segments=2, encoding="UCS-2", waited_seconds=0.5, attempts=3)


def test_a_result_is_read_back_as_it_was_written():
    assert already_sent(detail_of(SENT)) == {**SENT, "status": "already_sent"}


@pytest.mark.parametrize(
    ("detail", "changes"),
    [
        ({}, {}),
        ({"segments": "many", "attempts": True, "waited_seconds": "long", "to": 7}, {}),
        ({"segments": 0, "attempts": 7, "waited_seconds": 2}, {"segments": 0, "attempts": 7, "waited_seconds": 2.0}),
        ({"result": "", "from": None, "xml": "<xml/>"}, {"xml": "<xml/>"}),
    ],
)
def test_what_is_missing_or_of_another_type_is_left_empty(detail, changes):
    words = {"result_description": "", "xml": "", "to": "", "from": "", "encoding": "", "sent_at": ""}
    numbers = {"segments": 1, "waited_seconds": 0.0, "attempts": 1}
    found = already_sent(detail)
    assert found == {"status": "already_sent", "result": "success", **words, **numbers, **changes}
    assert type(found.waited_seconds) is float


def test_what_was_held_back_has_taken_no_try_and_no_time():
    message = SmsMessage.create(to="5556667777", message="ж" * 71, from_numbers=["5554332111"])
    found = held_back(message)
    assert (found.status, found.to, found.segments, found.encoding) == ("held_back", "…7777", 2, "UCS-2")
    assert (found.attempts, found.waited_seconds, found.from_, found.sent_at) == (0, 0.0, "", "")
