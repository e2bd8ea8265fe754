"""The vendor's replies, byte for byte as on its page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_UNSPEAKABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def reply_xml(result: str, description: str, rows: Sequence[str] | None = None) -> str:
    """Write a reply.

    :param rows: what its `<data>` holds; None for a reply without one.
    """
    data = "" if rows is None else f" <data>\n{''.join(rows)} </data>\n"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<!DOCTYPE response [\n"
        "<!ELEMENT response (result,result_description)>\n"
        "<!ELEMENT result (#PCDATA)>\n"
        "<!ELEMENT result_description (#PCDATA)>\n"
        "]>\n"
        "<response>\n"
        f" <result>{result}</result>\n"
        f" <result_description>{_text(description)}</result_description>\n"
        f"{data}"
        "</response>"
    )


def row_xml(name: str, content: str | Mapping[str, str]) -> str:
    """Write one row of a reply's data: an element, or one that holds others."""
    if isinstance(content, str):
        return f"  <{name}>{_text(content)}</{name}>\n"
    inner = "".join(f"   <{key}>{_text(value)}</{key}>\n" for key, value in content.items())
    return f"  <{name}>\n{inner}  </{name}>\n"


def _text(text: str) -> str:
    """Escape a text, and replace what XML has no way to say."""
    return escape(_UNSPEAKABLE.sub("\ufffd", text))
