"""Which messages that DialogTech lists are a text of the journal: told by digest, for the journal keeps no words."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote_plus

from airflow_provider_dialogtech.delivery.texts import JournalText
from airflow_provider_dialogtech.masking import digest

_PHONE = re.compile(r"[\d\s+().-]{7,40}")
_TIME = re.compile(
    r"(?:\d{4}[-/]\d\d[-/]\d\d|\d\d?[-/]\d\d?[-/]\d{4})[T ]\d\d?:\d\d(?::\d\d(?:\.\d{1,9})?)?"
    r"(?: ?(?:Z|UTC|[AP]M|[+-]\d\d:?\d\d))?",
    re.IGNORECASE,
)
_LONGEST_TEXT = 2000


def listed_as(text: JournalText, messages: Iterable[Sequence[str]]) -> list[str]:
    """Return the times of the listed messages that have the digest of a text's recipient and words.

    :param text: the text.
    :param messages: what DialogTech says of each message, of whatever meaning.
    :return: for each message that matches, the time as it stands there; empty where none can be recognised.
    """
    return [_time(message) for message in messages if _is(text, message)]


def _is(text: JournalText, message: Sequence[str]) -> bool:
    numbers = {number for part in message for number in _numbers(part) if number.endswith(text.recipient_tail)}
    return bool(numbers) and any(
        digest(number, words) == text.digest
        for part in message
        if len(part) <= _LONGEST_TEXT
        for words in _spellings(part)
        for number in numbers
    )


def _numbers(part: str) -> Iterator[str]:
    if not _PHONE.fullmatch(part.strip()):
        return
    digits = re.sub(r"\D", "", part)
    yield digits
    if digits.startswith("1"):  # the US's country code, which the journal leaves out
        yield digits[1:]


def _spellings(part: str) -> set[str]:
    """Return what the words may have been before they were put into a list."""
    plain = {part, part.strip(), html.unescape(part), unquote_plus(part)}
    return plain | {words.replace("\n", "\r\n") for words in plain}


def _time(message: Sequence[str]) -> str:
    return next((part.strip() for part in message if _TIME.fullmatch(part.strip())), "")
