"""The API's reply: XML with a result and its description, as the vendor's page documents it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# The documented reply has three elements, two deep; a list of numbers has more.
MOST_ELEMENTS = 5000
DEEPEST = 16
RESULT = {"result", "result_description"}


class NotDocumented(ValueError):
    """The reply is not the documented XML."""


@dataclass(frozen=True)
class ApiReply:
    """A reply of the documented shape, and nothing else of it.

    :param result: `success` or `failed`.
    :param description: what the API says of it, such as `[1] Message Sent`.
    :param numbers: what looks like phone numbers in it, in digits and without the US's country code.
    """

    result: str
    description: str
    numbers: tuple[str, ...] = field(default=(), repr=False)

    @property
    def xml(self) -> str:
        """The reply in the documented shape."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<response><result>{self.result}</result>"
            f"<result_description>{escape(self.description, quote=False)}</result_description></response>"
        )


def parse_reply(body: bytes) -> ApiReply:
    """Read a reply. It may bring a DTD, as the vendor's does, but no entity, no attributes and nothing from elsewhere.

    :param body: the bytes as they came, of bounded length.
    :raises NotDocumented: when it is anything but the documented XML.
    """
    root = parse_xml(body)
    if root.tag != "response":
        raise NotDocumented("its root is not <response>")
    result = (root.findtext("result") or "").strip().lower()
    if result not in {"success", "failed"}:
        raise NotDocumented("its <result> is neither success nor failed")
    return ApiReply(result, root.findtext("result_description") or "", tuple(_numbers(root)))


def parse_xml(body: bytes, most_elements: int = MOST_ELEMENTS) -> Element:
    """Parse XML from a stranger.

    :param body: the bytes as they came, of bounded length.
    :param most_elements: how many elements it may have.
    :raises NotDocumented: when it is no XML, or brings more along than it may.
    """
    from defusedxml.ElementTree import DefusedXMLParser

    def forbid(*_: object) -> None:
        raise NotDocumented("its DTD declares more than elements")

    try:
        parser: Any = DefusedXMLParser(
            target=_bounded_builder(most_elements), forbid_dtd=False, forbid_entities=True, forbid_external=True
        )
        # Default attributes of a few bytes grow with each element.
        parser.parser.AttlistDeclHandler = forbid
        parser.feed(body)
        root: Element = parser.close()
    # The parser raises its own errors, and others for what is no text at all.
    except Exception as error:
        problem = type(error).__name__
    else:
        return root
    raise NotDocumented(f"it is no XML that may be read ({problem})")


def _bounded_builder(most_elements: int) -> Any:
    from xml.etree.ElementTree import TreeBuilder

    class BoundedBuilder(TreeBuilder):
        """Builds a tree of no more elements, and no deeper, than a reply may have."""

        elements = depth = 0

        def start(self, tag: Any, attrs: Any, /) -> Any:
            self.elements += 1
            self.depth += 1
            if self.elements > most_elements or self.depth > DEEPEST:
                raise NotDocumented("it has too many elements")
            return super().start(tag, attrs)

        def end(self, tag: Any, /) -> Any:
            self.depth -= 1
            return super().end(tag)

    return BoundedBuilder()


def _numbers(root: Element) -> list[str]:
    """Find what looks like a phone number, wherever it stands: the names of the elements are documented nowhere."""
    elements = [element for element in root.iter() if element.tag not in RESULT]
    texts = [text for element in elements for text in (element.text, element.tail, *element.attrib.values()) if text]
    items = [re.sub(r"[ +().-]", "", item) for text in texts for item in re.split(r"[,;|\s]{2,}|[,;|\r\n\t]", text)]
    numbers = [re.sub(r"^1(?=[2-9][0-9]{9}$)", "", item) for item in items if re.fullmatch(r"[0-9]{10,15}", item)]
    return list(dict.fromkeys(numbers))
