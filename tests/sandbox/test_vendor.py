import time
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.sandbox.vendor import reply_xml
from tests.sandbox.calling import TO, call, get
from tests.vendors_page import SUCCESS


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_reply_is_the_vendors_sample_byte_for_byte(sandbox, method):
    answer = call(sandbox, method=method)
    assert (answer.status, answer.body) == (200, SUCCESS)
    assert "content-type: text/xml" in answer.head


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_message_arrives_unchanged(sandbox, method):
    message = "a&b=c+d%20 100% “quoted”\nline two\ttab €uro ñ 🎉 <b>&amp;"
    assert call(sandbox, method=method, message=message).result == "success"
    (arrival,) = sandbox.messages()
    assert (arrival["message"], arrival["method"]) == (message, method)


def test_an_arrival_records_the_whole_call(sandbox):
    before = time.time(), time.monotonic()
    call(sandbox, message="Grüße 🎉")
    after = time.time(), time.monotonic()
    (arrival,) = sandbox.messages()
    assert before[0] <= arrival.pop("at") <= after[0]
    assert before[1] <= arrival.pop("monotonic") <= after[1]
    assert arrival.pop("id") > 0
    assert arrival == {
        "action": "sms.send_message",
        "method": "GET",
        "to": TO,
        "from": sandbox.numbers[0],
        "message": "Grüße 🎉",
        "account": 1,
        "outcome": "accepted",
        "fault": None,
        "description": "[1] Message Sent",
        "encoding": "UCS-2",
        "segments": 1,
    }


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({"action": None}, "Missing parameter: action"),
        ({"action": "sms.explode"}, "Invalid action"),
        ({"to": None}, "Missing parameter: to"),
        ({"to": "(555) 666-7777"}, "Invalid parameter: to must be an unformatted phone number"),
        ({"to": "٣٣٣"}, "Invalid parameter: to must be an unformatted phone number"),
        ({"from_": None}, "Missing parameter: from"),
        ({"from_": "+15554332111"}, "Invalid parameter: from must be an unformatted phone number"),
        ({"from_": "5554339999"}, "Invalid parameter: from is not an SMS enabled number of this account"),
        ({"message": ""}, "Missing parameter: message"),
        ({"message": "x" * 257}, "Invalid parameter: message exceeds 256 characters"),
    ],
)
def test_a_wrong_parameter_is_refused_with_words(sandbox, changes, description):
    answer = call(sandbox, **changes)
    assert (answer.result, answer.description) == ("failed", description)
    assert answer.body == SUCCESS.replace(b"success", b"failed").replace(b"[1] Message Sent", description.encode())
    assert [arrival["outcome"] for arrival in sandbox.messages()] == ["refused"]


def test_256_characters_are_accepted_whatever_their_bytes(sandbox):
    assert call(sandbox, message="🎉" * 256).result == "success"


@pytest.mark.parametrize("changes", [{"access_key": "x"}, {"access_key": None}, {"secret_access_key": ""}])
def test_wrong_keys_are_refused(sandbox, changes):
    answer = call(sandbox, **changes)
    assert (answer.result, answer.description) == ("failed", "Invalid access_key or secret_access_key")
    assert [(arrival["outcome"], arrival["account"]) for arrival in sandbox.messages()] == [("bad_credentials", None)]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_http_methods_are_refused(sandbox, method):
    assert call(sandbox, method=method).status == 405
    assert sandbox.messages() == []


def test_the_numbers_are_listed(sandbox):
    answer = call(sandbox, action="sms.get_numbers", to=None, from_=None, message=None)
    assert answer.description == "[2] Numbers"
    listed = [element.text for element in ElementTree.fromstring(answer.body).iter("number")]  # noqa: S314 - our own
    assert tuple(listed) == sandbox.numbers


def messages_of(sandbox, **parameters):
    answer = call(sandbox, **{"action": "sms.get_messages", "to": None, "from_": None, "message": None, **parameters})
    assert answer.result == "success", answer.description
    return [element.text for element in ElementTree.fromstring(answer.body).iter("body")]  # noqa: S314 - our own


def test_sent_messages_are_listed_and_no_others(sandbox):
    call(sandbox, message="<first> & \x0bfinest")
    call(sandbox, message="refused" * 100)
    call(sandbox, message="second", from_=sandbox.numbers[1])
    today = time.strftime("%Y%m%d", time.gmtime(sandbox.messages()[0]["at"]))
    assert messages_of(sandbox) == ["<first> & \ufffdfinest", "second"]
    assert messages_of(sandbox, start_date=today, end_date="20990101") == ["<first> & \ufffdfinest", "second"]
    assert messages_of(sandbox, end_date="20200101") == []
    assert messages_of(sandbox, number=sandbox.numbers[1]) == ["second"]


def test_a_wrong_date_is_refused(sandbox):
    answer = call(sandbox, action="sms.get_messages", start_date="2026-01-01")
    assert answer.description == "Invalid parameter: start_date and end_date must be YYYYMMDD"


def data_of(listing):
    with running_sandbox(
        arguments=[f"--listing={listing}", "--account-per-second=9", "--number-per-second=9"]
    ) as sandbox:
        for message in ("<first> & 'finest' \x0b", "second,\nand more"):
            call(sandbox, message=message)
        answer = call(sandbox, action="sms.get_messages", to=None, from_=None, message=None)
    return ElementTree.fromstring(answer.body).find("data")  # noqa: S314 - our own


def test_messages_are_listed_as_elements_with_attributes():
    listed = [dict(message.attrib) for message in data_of("attributes").iter("message")]
    assert [(message["to"], message["body"]) for message in listed] == [
        (TO, "<first> & 'finest' \ufffd"),
        (TO, "second,\nand more"),
    ]


def test_messages_are_listed_as_elements_side_by_side():
    data = data_of("siblings")
    assert [element.tag for element in data] == ["msg_id", "from", "to", "date", "body"] * 2
    assert [body.text for body in data.findall("body")] == ["<first> & 'finest' \ufffd", "second,\nand more"]


def test_messages_are_listed_as_lines():
    lines = [line.strip().split("\t") for line in data_of("flat").text.strip().splitlines()]
    assert [(line[2], line[4]) for line in lines] == [(TO, "<first> & 'finest' \ufffd"), (TO, "second, and more")]


def test_messages_are_listed_under_other_names_and_with_the_country_code():
    messages = data_of("other-names").findall("sms")
    assert [(message.findtext("recipient"), message.findtext("content")) for message in messages] == [
        ("1" + TO, "<first> & 'finest' \ufffd"),
        ("1" + TO, "second,\nand more"),
    ]


@given(st.text(max_size=300))
def test_a_reply_is_xml_with_any_description(description):
    parsed = ElementTree.fromstring(reply_xml("failed", description).encode())  # noqa: S314 - our own
    assert parsed.findtext("result") == "failed"


def test_each_account_has_its_own_keys_numbers_and_limits():
    further = ["--account=second:pass:with:colons:5550000001,5550000002", "--account=third:pass:5550000003"]
    with running_sandbox(arguments=["--number-per-minute=1", *further]) as sandbox:
        second = {"access_key": "second", "secret_access_key": "pass:with:colons"}
        third = {"access_key": "third", "secret_access_key": "pass"}
        assert call(sandbox).result == "success"
        assert call(sandbox, **second, from_="5550000002").result == "success"
        assert call(sandbox, **third, from_="5550000003").result == "success"
        assert call(sandbox, **third, from_="5550000003").description.startswith("Rate limit")
        assert "not an SMS enabled number" in call(sandbox, **third, from_="5550000001").description
        assert call(sandbox, access_key="second", secret_access_key="pass").description.startswith("Invalid access_key")
        assert [arrival["account"] for arrival in sandbox.messages()] == [1, 2, 3, 3, 3, None]
        assert call(sandbox, **second, action="sms.get_numbers").description == "[2] Numbers"
        assert messages_of(sandbox, **third) == ["Hello"]


def test_the_keys_are_neither_recorded_nor_shown(sandbox):
    call(sandbox)
    call(sandbox, method="POST")
    call(sandbox, secret_access_key=sandbox.secret_access_key + "x")
    everything = [get(sandbox, page) for page in ("", "sandbox/messages", "sandbox/limits", "inbox/inbox.js")]
    secret = sandbox.secret_access_key
    for form in (sandbox.access_key, secret, quote(secret), quote(secret, safe=""), quote_plus(secret)):
        assert not any(form in page for page in everything)


def test_a_call_has_the_time_of_its_arrival_not_of_its_answer():
    with running_sandbox(latency=0.5) as sandbox:
        assert call(sandbox).result == "success"
        answered = time.monotonic()
        (arrival,) = sandbox.messages()
    assert answered - arrival["monotonic"] >= 0.5
