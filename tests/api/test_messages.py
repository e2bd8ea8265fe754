"""The request for a list of messages, and how its reply is read."""

from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.exceptions import BadCredentials, DialogTechError, NotSent, Refused, Throttled
from tests.api.server import answering, failed, say_nothing, serving
from tests.api.server import http as an_answer
from tests.api.test_listed_messages import ADA, GRACE, SHAPES, holds, reply

DAYS = (date(2026, 1, 2), date(2026, 1, 3))


def messages_from(behave, *more, timeout=60):
    with serving(behave) as server:
        client = DialogTechClient("acc3ss", "s3cret", server.url, timeout=timeout)
        return client.get_messages(*DAYS, *more), server.requests[0]


@pytest.mark.parametrize("number", [None, "5554332111"])
def test_the_messages_of_some_days_are_requested_and_listed(number):
    found, request = messages_from(answering(an_answer(reply(SHAPES["nested"](ADA, GRACE)))), number)
    assert [any(holds(message, wanted) for message in found) for wanted in (ADA, GRACE)] == [True, True]
    asked = parse_qs(urlsplit(request.split(b" ")[1].decode()).query)
    assert asked == {
        "action": ["sms.get_messages"],
        "access_key": ["acc3ss"],
        "secret_access_key": ["s3cret"],
        "start_date": ["20260102"],
        "end_date": ["20260103"],
        **({"number": [number]} if number else {}),
    }


@pytest.mark.parametrize(
    ("behave", "kind"),
    [
        (say_nothing, NotSent),
        (answering(an_answer(b"<html/>")), NotSent),
        (answering(an_answer(b"", "500 Oops")), NotSent),
        (answering(an_answer(reply(""), "202 Accepted")), NotSent),
        (answering(an_answer(failed("No such number"))), Refused),
        (answering(an_answer(failed("Invalid access_key"))), BadCredentials),
        (answering(an_answer(b"", "401 Unauthorized")), BadCredentials),
        (answering(an_answer(b"", "429 Too Many Requests")), Throttled),
    ],
)
def test_a_reply_that_is_not_a_list_raises_a_named_error(behave, kind):
    with pytest.raises(DialogTechError) as raised:
        messages_from(behave, timeout=2 if behave is say_nothing else 60)
    assert type(raised.value) is kind


def a_list_of(size: int) -> bytes:
    """Return an answer of this size in bytes, head and body together."""
    data = SHAPES["nested"](ADA)
    rest = size - len(an_answer(reply(data + " " * 1_000_000))) + 1_000_000
    return an_answer(reply(data + " " * rest))


@pytest.mark.parametrize("over", [0, 1])
def test_a_list_has_at_most_eight_mebibytes(over):
    answer = a_list_of((8 << 20) + over)
    assert len(answer) == (8 << 20) + over
    if over:
        with pytest.raises(NotSent, match="too large"):
            messages_from(answering(answer))
    else:
        assert len(messages_from(answering(answer))[0]) == 1
