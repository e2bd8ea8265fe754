"""The vendor's replies, byte for byte as on its page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

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
