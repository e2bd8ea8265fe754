"""How a list of messages is written. What the vendor calls its elements is documented nowhere, so there are several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias
from xml.sax.saxutils import quoteattr

from airflow_provider_dialogtech.sandbox.wire import element_xml, text_xml, visible

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
