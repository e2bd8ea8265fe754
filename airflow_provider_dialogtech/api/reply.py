"""The API's reply: XML with a result and its description, as the vendor's page documents it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


# What a reply in UTF-16 may begin with: a byte order mark, or `<`.
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}


class NotDocumented(ValueError):
    """The reply is not the documented XML."""


@dataclass(frozen=True)
class ApiReply:
    """A reply of the documented shape.

    :param result: `success` or `failed`.
    :param description: what the API says of it, such as `[1] Message Sent`.
    :param xml: the reply as it came.
    :param numbers: what stands in it that looks like phone numbers, in digits and without the US's country code.
    """

    result: str
    description: str
    xml: str
    numbers: tuple[str, ...] = field(default=(), repr=False)


def parse_reply(body: bytes) -> ApiReply:
    """Read a reply. It may bring a DTD, as the vendor's does, but no entity and nothing from elsewhere.

    :param body: the bytes as they came.
    :raises NotDocumented: when it is anything but the documented XML.
    """
    root = _parse(body)
    if root.tag != "response":
        raise NotDocumented("its root is not <response>")
    result = (root.findtext("result") or "").strip().lower()
    if result not in {"success", "failed"}:
        raise NotDocumented("its <result> is neither success nor failed")
    description = (root.findtext("result_description") or "").strip()
    return ApiReply(result, description, _decode(body), tuple(_numbers(root)))


def _parse(body: bytes) -> Element:
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(body, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    # The parser raises its own errors, and others for what is no text at all.
    except Exception as error:
        problem = type(error).__name__
    else:
        return root
    raise NotDocumented(f"it is no XML that may be read ({problem})")


def _decode(body: bytes) -> str:
    """Return the bytes as text; the parser has read them in the encoding that they declare themselves."""
    for mark, encoding in _WIDE.items():
        if body.startswith(mark):
            return body.decode(encoding, errors="replace")
    declared = re.match(rb"""<\?xml[^>]*encoding=["']([A-Za-z0-9._-]+)""", body)
    try:
        return body.decode(declared.group(1).decode() if declared else "utf-8-sig", errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")


def _numbers(root: Element) -> list[str]:
    """Find what looks like a phone number, wherever it stands: the names of the elements are documented nowhere."""
    elements = [element for element in root.iter() if element.tag not in {"result", "result_description"}]
    texts = [text for element in elements for text in (element.text, element.tail, *element.attrib.values()) if text]
    items = [re.sub(r"[ +().-]", "", item) for text in texts for item in re.split(r"[,;|\s]{2,}|[,;|\r\n\t]", text)]
    numbers = [re.sub(r"^1(?=[2-9][0-9]{9}$)", "", item) for item in items if re.fullmatch(r"[0-9]{10,15}", item)]
    return list(dict.fromkeys(numbers))
