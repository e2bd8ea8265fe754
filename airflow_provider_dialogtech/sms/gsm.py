"""The encoding and the segments of a message's body, after 3GPP TS 23.038.

A body whose every character is in the GSM-7 alphabet is packed in septets, any other in UCS-2 (UTF-16 code units). What
does not fit one SMS is split into segments, each with a header of its own.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")  # two septets each: an escape and the character
_GSM7 = _BASIC | _EXTENSION

LONGEST_COMPOSED = 4096
"""Longest body whose accents are composed, in characters: composing takes time quadratic in the number of successive
accents (160,000 take half a minute)."""

# Typography only: no letter becomes another, so neither "ç" nor the Cyrillic "А" is listed.
_EQUALS = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛‹›′‵`´ʹʻʼʽˈ", "'"),
        **dict.fromkeys("“”„‟«»″‶ʺ〃", '"'),
        **dict.fromkeys("‐‑‒–—―−⁃﹘﹣-", "-"),
        **{"⸺": "--", "⸻": "---"},
        **{"․": ".", "‥": "..", "…": "..."},
        **dict.fromkeys("•‣∙◦●▪", "*"),
        **{"·": ".", "⁄": "/", "∕": "/", "∗": "*", "ˆ": "^", "˜": "~", "‴": "'''"},
        **dict.fromkeys(
            "\t\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
        ),
        **dict.fromkeys("\u2028\u2029", "\n"),
        # Invisible: soft hyphen, zero-width characters, direction marks, variation selectors.
        **dict.fromkeys("\xad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e", ""),
        **dict.fromkeys("\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff", ""),
        **{"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl"},
    }
)


@dataclass(frozen=True)
class Measure:
    """How carriers encode and bill a body.

    :param encoding: `GSM-7` or `UCS-2`.
    :param segments: the number of SMS segments that are sent and billed.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    segments: int


def measure(body: str) -> Measure:
    """Return a body's encoding and its number of segments."""
    if is_gsm7(body):
        return Measure("GSM-7", _segments([1 + (char in _EXTENSION) for char in body], alone=160, each=153))
    return Measure("UCS-2", _segments([1 + (char > "\uffff") for char in body], alone=70, each=67))


def is_gsm7(body: str) -> bool:
    """Return whether every character is in the GSM-7 alphabet."""
    return _GSM7.issuperset(body)


def to_gsm7(body: str) -> str:
    """Replace typographic characters by their GSM-7 equivalents if that makes the whole body GSM-7.

    Otherwise the body is returned unchanged. Letters are never replaced.
    """
    replaced = _replaced(body)
    return replaced if is_gsm7(replaced) else body


def first_beyond_gsm7(body: str) -> str | None:
    """Return the character that causes UCS-2: the first without a GSM-7 equivalent, else the first with one."""
    return next((char for char in _replaced(body) + body if char not in _GSM7), None)


def segments_in_gsm7(body: str) -> int:
    """Count the segments with each character beyond GSM-7 as its equivalent, or as one septet where it has none."""
    return measure("".join(char if char in _GSM7 else "?" for char in _replaced(body))).segments


def _replaced(body: str) -> str:
    # Composed, because GSM-7 has "é" but no combining accents.
    composed = unicodedata.normalize("NFC", body) if len(body) <= LONGEST_COMPOSED else body
    return composed.translate(_EQUALS)


def _segments(widths: list[int], *, alone: int, each: int) -> int:
    if sum(widths) <= alone:
        return 1
    segments, used = 1, 0
    for width in widths:
        # Escape pairs and surrogate pairs are never split: the next segment begins early instead.
        if used + width > each:
            segments, used = segments + 1, 0
        used += width
    return segments
