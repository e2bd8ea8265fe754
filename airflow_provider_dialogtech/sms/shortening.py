"""Cut a text that is too long where a reader minds it least."""

from __future__ import annotations

import re
import unicodedata
from itertools import takewhile

from airflow_provider_dialogtech.sms.gsm import is_gsm7

_JOINER = "\u200d"


def shorten(text: str, limit: int) -> str:
    """Cut a text to at most `limit` characters, at a word where one ends in the second half, and mark the cut.

    The mark is `...` where the rest is GSM-7, since the ellipsis `…` would make the whole text UCS-2; else it is `…`.

    :param text: the text; what is short enough is returned as it is.
    :param limit: the most characters (Unicode code points) to return.
    """
    if len(text) <= max(limit, 0):
        return text
    head = _head(text, limit - len("…"))
    if is_gsm7(head):
        return (_head(text, limit - len("...")) + "...")[: max(limit, 0)]
    return head + "…"


def _head(text: str, room: int) -> str:
    end = _end_of_character(text, max(room, 0))
    if not text[end].isspace():
        end = _end_of_word(text, end)
    return text[:end].rstrip()


def _end_of_word(text: str, end: int) -> int:
    gap = re.search(r"\s\S*\Z", text[:end])
    return gap.start() if gap and gap.start() >= end // 2 else end


def _end_of_character(text: str, end: int) -> int:
    """Step back to where no accent, emoji or flag is torn apart; where nothing would be left, tear it."""
    return next((at for at in range(end, 0, -1) if not _belongs_together(text, at)), end)


def _belongs_together(text: str, at: int) -> bool:
    left, right = text[at - 1], text[at]
    if _JOINER in {left, right} or unicodedata.category(right).startswith("M"):
        return True
    return _is_modifier(right) or (_is_flag_half(right) and _flag_halves_before(text, at) % 2 == 1)


def _is_modifier(char: str) -> bool:
    return "\U0001f3fb" <= char <= "\U0001f3ff" or "\U000e0020" <= char <= "\U000e007f"


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _flag_halves_before(text: str, at: int) -> int:
    return sum(1 for _ in takewhile(_is_flag_half, reversed(text[:at])))
