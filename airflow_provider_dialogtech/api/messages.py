"""What `sms.get_messages` lists, cut into messages without relying on the names of its elements: nobody documents them.

A message that cannot be told apart from its neighbours is cut in two rather than joined: what is missed proves
nothing, but one message's number beside another one's words would be a false proof.
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
"""So many bytes may a list of messages have."""
MOST_ELEMENTS = 400_000
# A message of more parts is none.
MOST_PARTS = 60

_SEPARATORS = "\t|;,"

Message = tuple[str, ...]
"""All that is said of one message, in the order in which it came."""


def listed_messages(body: bytes) -> list[Message] | None:
    """Return the messages of a list; None when the reply is no success.

    :param body: the bytes as they came, of bounded length.
    :raises NotDocumented: when it is no reply of the API.
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
    """Cut children that follow each other without anything around a message: a name that returns begins a new one."""
    run: dict[str, Element] = {}
    for child in element:
        if child.tag in run:
            yield from _as_message(tuple(_parts(run.values())))
            run = {}
        run[child.tag] = child
    yield from _as_message(tuple(_parts(run.values())))


def _as_message(parts: Message) -> Iterator[Message]:
    """Take what is written in one piece for lines of fields."""
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
    except csv.Error:  # a field of more than 128 KiB, say: no message has one
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
