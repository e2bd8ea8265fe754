"""How handsets see a text: its encoding, its segments, and what would fit the smaller alphabet.

3GPP TS 23.038 has it so: a text whose every character is in the GSM-7 alphabet is packed in septets, any other in UCS-2
(UTF-16 code units). What does not fit one SMS is split into segments, each of which loses room to a header.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")  # each is an escape and a second septet
_GSM7 = _BASIC | _EXTENSION

LONGEST_COMPOSED = 4096
"""Letters and their accents are made one in texts up to so many characters: many accents in a row take time that grows
with the square of their number (160,000 of them half a minute), and no SMS is that long."""

# Typography only: no letter is taken for another, so neither "ç" nor the Cyrillic "А" is here.
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
        # Soft hyphen, zero-width characters, direction marks and variation selectors: nothing is seen of them.
        **dict.fromkeys("\xad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e", ""),
        **dict.fromkeys("\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff", ""),
        **{"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl"},
    }
)


@dataclass(frozen=True)
class Measure:
    """What the carriers make of a text.

    :param encoding: `GSM-7` or `UCS-2`.
    :param segments: how many SMS segments it is sent and billed as.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    segments: int


def measure(text: str) -> Measure:
    """Return a text's encoding and how many segments it is sent as."""
    if is_gsm7(text):
        return Measure("GSM-7", _segments([1 + (char in _EXTENSION) for char in text], alone=160, each=153))
    return Measure("UCS-2", _segments([1 + (char > "\uffff") for char in text], alone=70, each=67))


def is_gsm7(text: str) -> bool:
    """Return whether every character is in the GSM-7 alphabet."""
    return _GSM7.issuperset(text)


def to_gsm7(text: str) -> str:
    """Replace typographic characters by their GSM-7 equals where that makes the whole text GSM-7.

    Any other text is returned as it is. Letters stay the letters they are, so one whose accent GSM-7 lacks keeps the
    whole text as it is.
    """
    replaced = _replaced(text)
    return replaced if is_gsm7(replaced) else text


def first_beyond_gsm7(text: str) -> str | None:
    """Return the character to blame for UCS-2: the first that has no equal in GSM-7, else the first that has one."""
    return next((char for char in _replaced(text) + text if char not in _GSM7), None)


def segments_in_gsm7(text: str) -> int:
    """Count the segments if each character beyond GSM-7 were its equal there or, where it has none, one septet."""
    return measure("".join(char if char in _GSM7 else "?" for char in _replaced(text))).segments


def _replaced(text: str) -> str:
    # Composed, for GSM-7 has "é" but no accent that stands alone.
    composed = unicodedata.normalize("NFC", text) if len(text) <= LONGEST_COMPOSED else text
    return composed.translate(_EQUALS)


def _segments(widths: list[int], *, alone: int, each: int) -> int:
    if sum(widths) <= alone:
        return 1
    segments, used = 1, 0
    for width in widths:
        # An escape pair and a surrogate pair are never split: the next segment begins early instead.
        if used + width > each:
            segments, used = segments + 1, 0
        used += width
    return segments
