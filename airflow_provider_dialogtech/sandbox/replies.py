"""The vendor's replies, byte for byte as documented, and lists of messages, whose elements are undocumented."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias
from xml.sax.saxutils import escape, quoteattr

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def reply_xml(result: str, description: str, rows: Sequence[str] | None = None) -> str:
    """Write a reply.

    :param rows: the elements of `<data>`; None for a reply without it.
    """
    lines = "".join(f"  {row}\n" for row in rows or ())
    data = "" if rows is None else f" <data>\n{lines} </data>\n"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<!DOCTYPE response [\n"
        "<!ELEMENT response (result,result_description)>\n"
        "<!ELEMENT result (#PCDATA)>\n"
        "<!ELEMENT result_description (#PCDATA)>\n"
        "]>\n"
        "<response>\n"
        f" <result>{result}</result>\n"
        f" <result_description>{text_xml(description)}</result_description>\n"
        f"{data}"
        "</response>"
    )


def element_xml(name: str, content: str) -> str:
    """Write an element.

    :param content: its content, as XML.
    """
    return f"<{name}>{content}</{name}>"


def text_xml(text: str) -> str:
    """Escape a text for XML."""
    return escape(visible(text))


def visible(text: str) -> str:
    """Replace the characters of a text that XML cannot represent."""
    return _NOT_XML.sub("\ufffd", text)


Message: TypeAlias = Mapping[str, str]
"""A listed message: msg_id, from, to, date and body."""

_OTHER_NAMES = {"msg_id": "id", "from": "sender", "to": "recipient", "date": "sent", "body": "content"}


def _nested(message: Message) -> str:
    return element_xml("message", _siblings(message))


def _attributes(message: Message) -> str:
    return f"<message {' '.join(f'{name}={quoteattr(visible(value))}' for name, value in message.items())}/>"


def _siblings(message: Message) -> str:
    return "".join(element_xml(name, text_xml(value)) for name, value in message.items())


def _flat(message: Message) -> str:
    return text_xml("\t".join(" ".join(visible(value).splitlines()) for value in message.values()))


def _other_names(message: Message) -> str:
    """Write a message under other names, with the country code before its numbers."""
    named = {_OTHER_NAMES[name]: f"1{value}" if name in {"from", "to"} else value for name, value in message.items()}
    return element_xml("sms", _siblings(named))


SHAPES: Mapping[str, Callable[[Message], str]] = {
    "nested": _nested,
    "attributes": _attributes,
    "siblings": _siblings,
    "flat": _flat,
    "other-names": _other_names,
}
