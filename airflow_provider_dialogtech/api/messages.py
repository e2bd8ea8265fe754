"""Splits the reply of `sms.get_messages` into messages without relying on element names, which are undocumented.

An ambiguous message is split in two, never joined with its neighbour: a missed message proves nothing, but the number
of one beside the body of another would be false proof that it was sent.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_provider_dialogtech.api.reply import RESULT, NotDocumented, parse_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LARGEST_LISTING = 8 * 1024 * 1024
"""Largest accepted message list, in bytes."""
MOST_ELEMENTS = 400_000
# An element with more parts is not taken for a message.
MOST_PARTS = 60

_SEPARATORS = "\t|;,"

Message = tuple[str, ...]
"""All values of one message, in the order of the reply."""


def listed_messages(body: bytes) -> list[Message] | None:
    """Return the messages of a list; None when the reply does not report success.

    :param body: the reply's body, of bounded length.
    :raises NotDocumented: when it is not a reply of the API.
    """
    root = parse_xml(body, MOST_ELEMENTS)
    if root.tag != "response":
        raise NotDocumented("its root is not <response>")
    if (root.findtext("result") or "").strip().lower() != "success":
        return None
    for documented in [child for child in root if child.tag in RESULT]:
        root.remove(documented)
    return [message for message in _messages(root) if 1 < len(message) <= MOST_PARTS]


def _messages(element: Element) -> Iterator[Message]:
    repeated = {tag for tag, count in Counter(child.tag for child in element).items() if count > 1}
    wholes = [child for child in element if child.tag in repeated and _has_parts(child)]
    if len(wholes) > 1:
        for whole in wholes:
            yield from _messages(whole)
    elif repeated:
        yield from _cut(element)
    elif lists := [child for child in element if _holds_list(child)]:
        for child in lists:
            yield from _messages(child)
    else:
        yield from _as_message(tuple(_parts([element])))


def _cut(element: Element) -> Iterator[Message]:
    """Split a flat sequence of fields: a tag that occurs again begins the next message."""
    fields: dict[str, Element] = {}
    for child in element:
        if child.tag in fields:
            yield from _as_message(tuple(_parts(fields.values())))
            fields = {}
        fields[child.tag] = child
    yield from _as_message(tuple(_parts(fields.values())))


def _as_message(parts: Message) -> Iterator[Message]:
    """Yield a message of several parts as it is; split a single part into lines of separated fields."""
    if len(parts) != 1:
        yield parts
        return
    (whole,) = parts
    for line in whole.splitlines():
        for separator in _SEPARATORS:
            if separator in line:
                yield tuple(field for field in _fields(line, separator) if field.strip())


def _fields(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error:  # for example a field of more than 128 KiB, which no message has
        return []


def _parts(elements: Iterable[Element]) -> Iterator[str]:
    for element in elements:
        for one in element.iter():
            for text in (*one.attrib.values(), one.text, one.tail):
                if text and text.strip():
                    yield text


def _has_parts(element: Element) -> bool:
    parts = _parts([element])
    return next(parts, None) is not None and next(parts, None) is not None


def _holds_list(element: Element) -> bool:
    return any(len({child.tag for child in one}) < len(one) for one in element.iter())
