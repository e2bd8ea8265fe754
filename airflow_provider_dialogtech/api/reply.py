"""The API's reply: XML with a result and its description, as the vendor's page documents it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


class NotDocumented(ValueError):
    """The reply is not the documented XML."""


@dataclass(frozen=True)
class ApiReply:
    """A reply of the documented shape.

    :param result: `success` or `failed`.
    :param description: what the API says of it, such as `[1] Message Sent`.
    :param xml: the reply as it came.
    :param numbers: what stands in it that looks like phone numbers, in digits.
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
    description = " ".join((root.findtext("result_description") or "").split())
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
    import re

    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", errors="replace")
    declared = re.match(rb"""<\?xml[^>]*encoding=["']([A-Za-z0-9._-]+)""", body)
    try:
        return body.decode(declared.group(1).decode() if declared else "utf-8-sig", errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")


def _numbers(root: Element) -> list[str]:
    """Find what looks like a phone number, wherever it stands: the names of the elements are documented nowhere."""
    texts = (element.text or "" for element in root.iter() if element.tag not in {"result", "result_description"})
    digits = ("".join(character for character in text if character not in " +().-") for text in texts)
    return [number for number in digits if number.isascii() and number.isdigit() and 10 <= len(number) <= 15]  # noqa: PLR2004 - E.164
