"""Classifies a refusal by its description, because DialogTech documents no error codes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Wording(NamedTuple):
    """A pattern in descriptions of refusals.

    :param pattern: a regular expression, matched case-insensitively.
    :param example: a sentence that it matches.
    """

    pattern: str
    example: str


# Never "exceed" alone: "message exceeds 256 characters" is not throttling.
THROTTLED = (
    Wording(r"throttl", "Request was throttled"),
    Wording(r"too many (?:\w{1,20} )?(?:requests|messages|texts|sms|calls)\b", "Too many SMS messages"),
    Wording(r"too (?:fast|quickly|frequent)", "Sending too fast"),
    Wording(r"\brate[ _-]?limit", "Rate limit reached"),
    Wording(r"\blimit(?:ed)?[ _-]rate", "A limited rate applies to this account"),
    Wording(r"\brate (?:is |was |has been )?(?:exceed|too high)", "Your sending rate is too high"),
    Wording(r"exceed\w{0,10} (?:\w{1,20} ){0,4}rate\b", "You exceeded the allowed sending rate"),
    # "40 sms per number per 60 seconds", but neither "used as from" nor "after 8 am"
    Wording(
        r"(?:limit|quota|maximum|max|allowed|exceed|only|sms|messages?|texts|requests)\b.{0,60}"
        r"(?:\b(?:per|a|an|each|every) (?:\d{1,9} )?|/ ?(?:\d{1,9} )?)(?:sec|seconds?|min|minutes?)\b",
        "Limit of 40 sms per number per 60 seconds",
    ),
    Wording(r"(?:sms|messages?|texts|requests) ?(?:/|per) ?[sm]\b", "4 sms/s is the most"),
    Wording(r"slow down", "Please slow down"),
    Wording(r"flood", "Flood protection is on"),
    Wording(
        r"(?:try again|retry|wait) (?:in |after |for )?(?:at least )?(?:a few |a |\d{1,9} )?"
        r"(?:s|sec|seconds?|moments?|minutes?)\b",
        "Please wait 30 seconds",
    ),
)

# "not authorized" alone may mean a number or a recipient, which refuses one message, not the account.
BAD_CREDENTIALS = (
    Wording(r"access[ _-]?key", "Invalid access_key or secret_access_key"),
    Wording(r"api[ _-]?key", "Invalid API key"),
    Wording(r"\b(?:secret|invalid|wrong|unknown|bad) key\b", "Unknown key"),
    Wording(r"credential", "Bad credentials"),
    Wording(r"authenticat", "Authentication failed"),
    Wording(
        r"^\W{0,9}(?:(?:access|account|error|request|user|you are)\b\W{0,9})?(?:un|not )authori[sz]ed\W{0,9}$",
        "Access not authorized.",
    ),
    Wording(r"authori[sz]ation (?:failed|required|denied)", "Authorization required"),
    Wording(r"not logged in", "You are not logged in"),
    Wording(r"log-?in (?:failed|invalid)", "Login failed"),
    Wording(r"(?:failed|invalid|wrong) log-?in", "Invalid login"),
)


def says(description: str, wordings: Iterable[Wording]) -> bool:
    """Return whether a description matches one of these patterns.

    :param description: the API's description, in one line of bounded length.
    :param wordings: a table of this file.
    """
    return any(re.search(wording.pattern, description, re.IGNORECASE) for wording in wordings)


def has_phrase(description: str, phrases: Iterable[str]) -> bool:
    """Return whether a description contains one of these words or phrases, case-insensitively.

    :param description: the API's description, in one line of bounded length.
    """
    said = description.casefold()
    return any(" ".join(phrase.casefold().split()) in said for phrase in phrases)
