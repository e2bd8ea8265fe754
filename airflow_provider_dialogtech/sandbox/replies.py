"""The vendor's replies, byte for byte as on its page, and the lists of messages, whose elements nobody documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias
from xml.sax.saxutils import escape, quoteattr

_UNSPEAKABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def reply_xml(result: str, description: str, rows: Sequence[str] | None = None) -> str:
    """Write a reply.

    :param rows: what its `<data>` holds; None for a reply without one.
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

    :param content: what stands in it, as XML: text, or other elements.
    """
    return f"<{name}>{content}</{name}>"


def text_xml(text: str) -> str:
    """Write a text."""
    return escape(visible(text))


def visible(text: str) -> str:
    """Replace in a text what XML has no way to say."""
    return _UNSPEAKABLE.sub("\ufffd", text)


Message: TypeAlias = Mapping[str, str]
"""What is told of a message: msg_id, from, to, date and body."""

_OTHER_NAMES = {"msg_id": "id", "from": "sender", "to": "recipient", "date": "sent", "body": "content"}


def _nested(message: Message) -> str:
    return element_xml("message", _siblings(message))


def _attributes(message: Message) -> str:
    return f"<message {' '.join(f'{name}={quoteattr(visible(text))}' for name, text in message.items())}/>"


def _siblings(message: Message) -> str:
    return "".join(element_xml(name, text_xml(text)) for name, text in message.items())


def _flat(message: Message) -> str:
    return text_xml("\t".join(" ".join(visible(text).splitlines()) for text in message.values()))


def _other_names(message: Message) -> str:
    """Write other names, and the numbers of the US with their country code."""
    told = {_OTHER_NAMES[name]: f"1{text}" if name in {"from", "to"} else text for name, text in message.items()}
    return element_xml("sms", _siblings(told))


SHAPES: Mapping[str, Callable[[Message], str]] = {
    "nested": _nested,
    "attributes": _attributes,
    "siblings": _siblings,
    "flat": _flat,
    "other-names": _other_names,
}
