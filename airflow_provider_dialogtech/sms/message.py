"""A checked message: its numbers, its body, its encoding, and remarks for the log."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import Opaque, mask_number, safe_repr, type_name, without_locals
from airflow_provider_dialogtech.sms.gsm import (
    LONGEST_COMPOSED,
    Measure,
    first_beyond_gsm7,
    is_gsm7,
    measure,
    segments_in_gsm7,
    to_gsm7,
)
from airflow_provider_dialogtech.sms.missing import is_missing
from airflow_provider_dialogtech.sms.numbers import Number, normalize_number

__all__ = ["LONGEST_READ", "MAX_LENGTH", "SmsMessage", "normalize_number", "shorten"]

MAX_LENGTH = 256
"""Longest body that the API accepts, in Unicode code points. The vendor says "characters" without a definition."""

LONGEST_READ = LONGEST_COMPOSED
"""Longest body that is read, in characters. It exceeds `MAX_LENGTH` because smart encoding may shorten a body."""

_LINE_CHARACTERS = "\n\r\t"
_UNDECODED = "\ufffd"


@dataclass(frozen=True)
class SmsMessage:
    """A message that passed every check. Make it with `create`.

    :param to: the recipient's number, in digits.
    :param from_numbers: the numbers it may be sent from, in digits, in order of preference.
    :param body: the body as it is sent.
    :param encoding: `GSM-7` or `UCS-2`.
    :param segments: the number of SMS segments that are sent and billed.
    :param remarks: lines for the log, without the body and without full phone numbers.
    :param whole: the body before it was truncated.
    """

    # The types of these fields hide the body and the numbers in logs that show this object.
    to: Number
    from_numbers: tuple[Number, ...]
    body: Opaque
    encoding: str
    segments: int
    remarks: tuple[str, ...]
    whole: Opaque

    @classmethod
    @without_locals
    def create(
        cls,
        *,
        to: object,
        message: object,
        from_numbers: Sequence[object],
        on_too_long: str = "fail",
        smart_encoding: bool = False,
    ) -> SmsMessage:
        """Check a message and prepare it for sending.

        :param to: the recipient's number, in any usual notation.
        :param message: the body, at most 256 Unicode code points. A number, such as native rendering returns, is sent
            as its digits.
        :param from_numbers: the numbers it may be sent from. One that equals `to` is left out.
        :param on_too_long: what to do with more than 256 characters: `fail`, or `truncate` at a word.
        :param smart_encoding: replace typographic characters (curly quotes, dashes, non-breaking spaces) by their
            GSM-7 equivalents if that makes the whole body GSM-7 and keeps it within 256 characters.
        :raises InvalidMessage: when an argument is invalid.
        """
        if not isinstance(on_too_long, str) or on_too_long not in {"fail", "truncate"}:
            given = safe_repr(on_too_long)
            raise InvalidMessage(f"`on_too_long` must be fail or truncate, not {given}")
        recipient = normalize_number(to, "to")
        senders = _senders(from_numbers, recipient)
        written = _written(message)
        whole = _checked(_readable(written, on_too_long))
        if smart_encoding:
            whole = _smart(whole)
        body = _fitted(whole, on_too_long)
        size = measure(body)
        cut_from = len(written) if len(written) > LONGEST_READ else len(whole)
        remarks = _remarks(cut_from, body, size)
        return cls(recipient, senders, Opaque(body), size.encoding, size.segments, remarks, Opaque(whole))


def _senders(from_numbers: Sequence[object], recipient: Number) -> tuple[Number, ...]:
    numbers = dict.fromkeys(
        # Of a long list, each row has all of them, as the hook has normalized them.
        number if isinstance(number, Number) else normalize_number(number, "from_")
        for number in from_numbers
    )
    if not numbers:
        raise InvalidMessage(
            "no number to send from is set",
            advice="Give `from_`, or set `from_numbers` in the connection.",
        )
    numbers.pop(recipient, None)
    if not numbers:
        raise InvalidMessage(
            f"`to` and `from_` are the same number, {mask_number(recipient)}",
            advice="Give another `to` or `from_`.",
        )
    return tuple(numbers)


def _written(message: object) -> str:
    # A cell without a value, of a column that a task is mapped over.
    if not isinstance(message, str) and is_missing(message):
        return ""
    if not isinstance(message, str | int | float):
        kind = type_name(message)
        raise InvalidMessage(f"`message` must be text, not a {kind}", advice="Render it to text.")
    # Python cannot convert a number of thousands of digits, or takes long to.
    if isinstance(message, int) and abs(message) >= 10**MAX_LENGTH:
        raise InvalidMessage(f"`message` is a number of more than {MAX_LENGTH} digits", advice="Render it to text.")
    # Some editors begin a file with a byte order mark, which is invisible and would make the whole body UCS-2.
    return str(message).removeprefix("\ufeff")


def _readable(body: str, on_too_long: str) -> str:
    """Bound the body, because composing its accents takes quadratic time."""
    if len(body) > LONGEST_READ and on_too_long == "fail":
        raise _too_long(body)
    return body[:LONGEST_READ]


def _checked(body: str) -> str:
    # GSM-7 turns invisible characters into spaces or nothing, so smart encoding cannot leave an empty body either.
    if not to_gsm7(body).strip():
        raise InvalidMessage("`message` is empty", advice="Check what its template or its function returns.")
    for position, char in enumerate(body, start=1):
        if char == _UNDECODED or (unicodedata.category(char) in {"Cc", "Cs"} and char not in _LINE_CHARACTERS):
            raise InvalidMessage(
                f"character {position} of `message` is U+{ord(char):04X}, which an SMS cannot show",
                advice="Check how the message was decoded.",
            )
    return body


def _smart(body: str) -> str:
    plain = to_gsm7(body)
    # An ellipsis becomes three full stops, which must not make a body too long that fits unchanged.
    return body if len(body) <= MAX_LENGTH < len(plain) else plain


def _fitted(body: str, on_too_long: str) -> str:
    if len(body) > MAX_LENGTH and on_too_long == "fail":
        raise _too_long(body)
    fitted = shorten(body, MAX_LENGTH)
    if _LINK.match(body) and not fitted.strip(". …"):  # nothing but a link, which is left out
        raise _too_long(body)
    return fitted


def _too_long(body: str) -> InvalidMessage:
    return InvalidMessage(
        f"`message` has {len(body)} characters, and DialogTech accepts at most {MAX_LENGTH}",
        advice='Shorten it, or use on_too_long="truncate".',
    )


def _remarks(length: int, body: str, size: Measure) -> tuple[str, ...]:
    remarks = []
    if length > len(body):
        remarks.append(f"The message was truncated from {length} to {len(body)} characters.")
    culprit = first_beyond_gsm7(body)
    if culprit and (fewer := segments_in_gsm7(body)) < size.segments:
        avoidable = "; smart_encoding=True would avoid it" if is_gsm7(_smart(body)) else ""
        remarks.append(
            f"The character {_named(culprit)} makes this message UCS-2: "
            f"{size.segments} segments instead of {fewer}{avoidable}."
        )
    return tuple(remarks)


def _named(char: str) -> str:
    name = f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()
    return f"{char} ({name})" if char.isprintable() else name


_JOINER = "\u200d"

# A cut link leads nowhere.
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)


def shorten(text: str, limit: int) -> str:
    """Cut a text to at most `limit` characters, at a word where one ends in the second half, and mark the cut.

    A link is kept whole or left out. The mark is `...` where the rest is GSM-7, since the ellipsis `…` would make the
    whole text UCS-2; else it is `…`. A space parts it from a link.

    :param text: the text, returned unchanged if it is short enough.
    :param limit: the most characters (Unicode code points) to return.
    """
    if len(text) <= max(limit, 0):
        return text
    mark = "..." if is_gsm7(_head(text, limit - len("…"))) else "…"
    head = _head(text, limit - len(mark))
    if ends_with_link(head):
        head = _head(text, limit - len(f" {mark}"))
    return f"{head}{' ' * ends_with_link(head)}{mark}"[: max(limit, 0)]


def ends_with_link(text: str) -> bool:
    """Return whether a text ends with a link, which what follows it would become a part of."""
    return any(link.end() == len(text) for link in _LINK.finditer(text))


def _head(text: str, room: int) -> str:
    end = _end_of_character(text, max(room, 0))
    if not text[end].isspace():
        end = _end_of_word(text, end)
    link = next((link for link in _LINK.finditer(text, 0, LONGEST_READ) if link.start() < end < link.end()), None)
    return text[: link.start() if link else end].rstrip()


def _end_of_word(text: str, end: int) -> int:
    gap = re.search(r"\s\S*\Z", text[:end])
    return gap.start() if gap and gap.start() >= end // 2 else end


def _end_of_character(text: str, end: int) -> int:
    """Step back until no accent, emoji or flag is split; split it if nothing else would remain."""
    return next((at for at in range(end, 0, -1) if not _belongs_together(text, at)), end)


def _belongs_together(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    if _JOINER in {before, after} or unicodedata.category(after).startswith("M"):
        return True
    return _is_modifier(after) or (_is_flag_half(after) and _flag_halves_before(text, at) % 2 == 1)


def _is_modifier(char: str) -> bool:
    return "\U0001f3fb" <= char <= "\U0001f3ff" or "\U000e0020" <= char <= "\U000e007f"


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _flag_halves_before(text: str, at: int) -> int:
    return sum(1 for _ in takewhile(_is_flag_half, reversed(text[:at])))
