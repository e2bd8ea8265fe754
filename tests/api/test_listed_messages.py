"""Lists of messages in many shapes, split into messages."""

import pytest

from airflow_provider_dialogtech.api.messages import MOST_PARTS, listed_messages
from airflow_provider_dialogtech.api.reply import NotDocumented

ADA = ("1", "5554332111", "5556667771", "2026-01-02 03:04:05", "Hi Ada, it’s <done>")
GRACE = ("2", "5554332111", "5556667772", "2026-01-02 03:04:06", "Hi Grace")
NAMES = ("id", "from", "to", "date", "body")


def reply(data: str, result: str = "success") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE response [<!ELEMENT result (#PCDATA)>]>'
        f"<response><result>{result}</result><result_description>[2] Messages</result_description>{data}</response>"
    ).encode()


def escaped(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def elements(message) -> str:
    return "".join(f"<{name}>{escaped(value)}</{name}>\n" for name, value in zip(NAMES, message, strict=True))


def attributes(message) -> str:
    return " ".join(f'{name}="{escaped(value)}"' for name, value in zip(NAMES, message, strict=True))


SHAPES = {
    "nested": lambda *found: "<data>" + "".join(f"<message>{elements(one)}</message>" for one in found) + "</data>",
    "nested deeper": lambda *found: (
        "<data><account><messages>"
        + "".join(f"<m><meta><id>{one[0]}</id></meta>{elements(one[:])}</m>" for one in found)
        + "</messages></account></data>"
    ),
    "attributes": lambda *found: "<data>" + "".join(f"<message {attributes(one)}/>" for one in found) + "</data>",
    "siblings": lambda *found: "<data>" + "".join(map(elements, found)) + "</data>",
    "in the response itself": lambda *found: "".join(f"<message>{elements(one)}</message>" for one in found),
    "lines": lambda *found: "<data>\n" + "\n".join(escaped("\t".join(one)) for one in found) + "\n</data>",
    "quoted lines": lambda *found: (
        "<data>" + "\n".join(escaped(",".join(f'"{part}"' for part in one)) for one in found) + "</data>"
    ),
    "a line in each element": lambda *found: (
        "<data>" + "".join(f"<row>{escaped('|'.join(one))}</row>" for one in found) + "</data>"
    ),
}


def holds(message, wanted) -> bool:
    return {part.strip() for part in message} >= set(wanted)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_message_is_found_and_holds_nothing_of_another(shape):
    messages = listed_messages(reply(SHAPES[shape](ADA, GRACE)))
    for wanted, other in ((ADA, GRACE), (GRACE, ADA)):
        (found,) = [message for message in messages if holds(message, wanted)]
        strangers = set(other) - set(wanted)
        assert not strangers & {part.strip() for part in found}
    for message in messages:
        assert not ("5556667771" in message and "Hi Grace" in message)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_single_message_is_found(shape):
    assert [message for message in listed_messages(reply(SHAPES[shape](ADA))) if holds(message, ADA)]


def test_lists_of_several_numbers_are_lists_of_messages():
    of_a_number = f"<number><m>{elements(ADA)}</m><m>{elements(GRACE)}</m></number>"
    messages = listed_messages(reply(f"<data>{of_a_number * 2}</data>"))
    assert [holds(message, ADA) for message in messages] == [True, False] * 2
    assert [holds(message, GRACE) for message in messages] == [False, True] * 2


def test_several_recipients_of_one_message_are_missed_rather_than_mixed_up():
    several = "<to>5556667771</to><to>5556667772</to><body>Hi</body>"
    messages = listed_messages(reply(f"<data><m>{several}</m><m>{elements(GRACE)}</m></data>"))
    assert ("5556667772", "Hi") in messages
    assert not any({"5556667771", "Hi Grace"} <= set(message) for message in messages)


@pytest.mark.parametrize("data", ["", "<data/>", "<data>\n</data>", "<data>none</data>", "<data>none;</data>"])
def test_an_empty_list_has_no_message(data):
    assert listed_messages(reply(data)) == []


def test_a_refusal_is_not_a_list():
    assert listed_messages(reply("", "failed")) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"<html></html>", b"no XML", b"<response", reply("<data>")],
)
def test_what_is_not_a_reply_raises(body):
    with pytest.raises(NotDocumented):
        listed_messages(body)


def test_an_element_with_too_many_parts_is_not_a_message():
    parts = "".join(f"<p{n}>x{n}</p{n}>" for n in range(MOST_PARTS + 1))
    assert listed_messages(reply(f"<data>{parts}</data>")) == []


def test_the_worst_eight_mebibytes_are_read_in_bounded_time():
    many = "<m><a>5556667777</a><b>x</b></m>" * 130_000
    assert len(listed_messages(reply(f"<data>{many}</data>"))) == 130_000
    with pytest.raises(NotDocumented):
        listed_messages(reply("<data>" + "<a/>" * 1_000_000 + "</data>"))
    separators = reply("<data>" + ",;|\t" * 1_000_000 + "</data>")
    assert listed_messages(separators) == []
    assert listed_messages(reply('<data>"' + "x," * 1_000_000 + "</data>")) == []
