"""A message that is fit to be sent: its numbers, its length, and what there is to say about it."""

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
from airflow_provider_dialogtech.sms.numbers import Number, normalize_number

__all__ = ["LONGEST_READ", "MAX_LENGTH", "SmsMessage", "normalize_number", "shorten"]

MAX_LENGTH = 256
"""The most characters the API takes, counted here as Unicode code points: the vendor does not say what it counts."""

LONGEST_READ = LONGEST_COMPOSED
"""No more characters of a message are looked at: smart encoding can make one fit that is longer than 256, not this."""

_LINE_CHARACTERS = "\n\r\t"


@dataclass(frozen=True)
class SmsMessage:
    """A message that passed every check of ours. Make it with `create`.

    :param to: the recipient's digits.
    :param from_numbers: the digits of the numbers it may leave from, in the order of preference.
    :param message: what goes out, letter for letter.
    :param encoding: `GSM-7` or `UCS-2`.
    :param segments: how many SMS segments it is sent and billed as.
    :param remarks: lines for the log. They hold neither the message nor a full phone number.
    """

    # Their types keep what a person wrote, and to whom, out of logs that show this object.
    to: Number
    from_numbers: tuple[Number, ...]
    body: Opaque
    encoding: str
    segments: int
    remarks: tuple[str, ...]

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
        """Check a message and make it ready to be sent.

        :param to: the number it goes to, as people write it.
        :param message: what it says: at most 256 Unicode code points (the vendor says 256 characters, and not which).
            A number, as native rendering makes one, is sent as its digits.
        :param from_numbers: the numbers it may leave from. One that equals `to` is left out.
        :param on_too_long: what to do with more than 256 characters: `fail`, or `truncate` at a word.
        :param smart_encoding: replace typographic characters (curly quotes, dashes, non-breaking spaces) by their
            GSM-7 equals if that makes the whole message GSM-7 and leaves it within 256 characters.
        :raises InvalidMessage: when one of these cannot be sent; nothing was sent then.
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
        text = _fitted(whole, on_too_long)
        size = measure(text)
        cut_from = len(written) if len(written) > LONGEST_READ else len(whole)
        return cls(recipient, senders, Opaque(text), size.encoding, size.segments, _remarks(cut_from, text, size))


def _senders(from_numbers: Sequence[object], recipient: Number) -> tuple[Number, ...]:
    numbers = dict.fromkeys(normalize_number(number, "from_") for number in from_numbers)
    if not numbers:
        raise InvalidMessage(
            "there is no number to send it from",
            advice="Give `from_`, or set `from_numbers` in the connection's extra.",
        )
    numbers.pop(recipient, None)
    if not numbers:
        raise InvalidMessage(
            f"it would go to the number it leaves from, {mask_number(recipient)}",
            advice="Give another `to` or `from_`.",
        )
    return tuple(numbers)


def _written(message: object) -> str:
    if message is not None and not isinstance(message, str | int | float):
        kind = type_name(message)
        raise InvalidMessage(f"`message` must be text, not a {kind}", advice="Render it to text.")
    # Python refuses to write a number of thousands of digits, and needs long for it where it does not.
    if isinstance(message, int) and abs(message) >= 10**MAX_LENGTH:
        raise InvalidMessage(f"`message` is a number of more than {MAX_LENGTH} digits", advice="Render it to text.")
    # Some editors begin a file with a byte order mark. It is not seen, and would make the whole message UCS-2.
    return "" if message is None else str(message).removeprefix("\ufeff")


def _readable(text: str, on_too_long: str) -> str:
    """Bound what is looked at:

    to compose the accents of a message takes time that grows with the square of its length.
    """
    if len(text) > LONGEST_READ and on_too_long == "fail":
        raise _too_long(text)
    return text[:LONGEST_READ]


def _checked(text: str) -> str:
    # In GSM-7 all that is not seen is a space or nothing, so smart encoding never leaves an empty message either.
    if not to_gsm7(text).strip():
        raise InvalidMessage("`message` is empty", advice="Check what its template or its function gives.")
    for position, char in enumerate(text, start=1):
        if unicodedata.category(char) in {"Cc", "Cs"} and char not in _LINE_CHARACTERS:
            raise InvalidMessage(
                f"character {position} of `message` is U+{ord(char):04X}, which no SMS can show",
                advice="Check how the message was decoded.",
            )
    return text


def _smart(text: str) -> str:
    plain = to_gsm7(text)
    # An ellipsis becomes three full stops: that must not make a message too long that would have gone out as it is.
    return text if len(text) <= MAX_LENGTH < len(plain) else plain


def _fitted(text: str, on_too_long: str) -> str:
    if len(text) > MAX_LENGTH and on_too_long == "fail":
        raise _too_long(text)
    return shorten(text, MAX_LENGTH)


def _too_long(text: str) -> InvalidMessage:
    return InvalidMessage(
        f"`message` has {len(text)} characters, and DialogTech takes at most {MAX_LENGTH}",
        advice='Shorten it, or use on_too_long="truncate".',
    )


def _remarks(length: int, text: str, size: Measure) -> tuple[str, ...]:
    remarks = []
    if length > len(text):
        remarks.append(f"The message was truncated from {length} to {len(text)} characters.")
    culprit = first_beyond_gsm7(text)
    if culprit and (fewer := segments_in_gsm7(text)) < size.segments:
        avoidable = "; smart_encoding=True would avoid it" if is_gsm7(_smart(text)) else ""
        remarks.append(
            f"The character {_named(culprit)} makes this message UCS-2: "
            f"{size.segments} segments instead of {fewer}{avoidable}."
        )
    return tuple(remarks)


def _named(char: str) -> str:
    name = f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()
    return f"{char} ({name})" if char.isprintable() else name


_JOINER = "\u200d"


def shorten(text: str, limit: int) -> str:
    """Cut a message to at most `limit` characters, at a word where one ends in the second half, and mark the cut.

    The mark is `...` where the rest is GSM-7, since the ellipsis `…` would make the whole message UCS-2; else it is
    `…`.

    :param message: the message; what is short enough is returned as it is.
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
