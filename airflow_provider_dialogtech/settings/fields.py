"""The fields of a connection's extra: one table, from which both kinds of form and the checks are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Field:
    """A field of the connection's extra.

    :param name: its key in the extra.
    :param label: its name in the form.
    :param kind: the JSON type of its value.
    :param description: what it is for, and what holds when it is empty.
    :param choices: the only values it may have; the first is preselected.
    :param minimum: the least number it may be.
    :param maximum: the greatest number it may be, or how many characters it may have.
    """

    name: str
    label: str
    kind: Literal["string", "integer", "number"]
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def bounds(self) -> str:
        """What the value must be, in words."""
        kind = "a whole number" if self.kind == "integer" else "a number"
        return f"{kind} from {self.minimum:,} to {self.maximum:,}"


MOST_NUMBERS = 1000
MOST_WORDS = 50
SHORTEST_WORD = 2
LONGEST_WORD = 100

EXTRA_FIELDS = (
    Field(
        "from_numbers",
        "From numbers",
        "string",
        "SMS-enabled DialogTech numbers of the account, separated by commas. A text without a sender leaves from the "
        "one that may send first.",
    ),
    Field(
        "alert_to",
        "Alert recipients",
        "string",
        "Numbers or contacts that alerts without a recipient go to, separated by commas.",
    ),
    Field(
        "contacts",
        "Contacts",
        "string",
        'Names for numbers, as JSON: {"oncall": "(555) 666-7777", "finance": ["…", "…"]}. A name may stand wherever a '
        "recipient's number may.",
    ),
    Field(
        "only_to",
        "Only to",
        "string",
        "The only numbers or contacts that are texted, separated by commas; texts to anybody else are held back, and "
        "their tasks succeed. [] holds everything back. Empty: everybody is texted.",
    ),
    Field(
        "alert_budget",
        "Alerts per recipient",
        "integer",
        "How many alerts a recipient gets in 10 minutes at most. Empty: 10.",
        minimum=1,
        maximum=1000,
    ),
    Field(
        "http_method", "HTTP method", "string", "How the API is called: GET as documented, or POST.", ("GET", "POST")
    ),
    Field(
        "timeout",
        "Time-out (seconds)",
        "number",
        "How long one call of the API may take. Empty: 30.",
        minimum=0.1,
        maximum=600,
    ),
    Field(
        "account_per_second",
        "Texts per account and second",
        "integer",
        "The account's limit, if not 4. Empty: 4.",
        minimum=1,
        maximum=1000,
    ),
    Field(
        "number_per_second",
        "Texts per number and second",
        "integer",
        "The numbers' limit, if not 1. Empty: 1.",
        minimum=1,
        maximum=1000,
    ),
    Field(
        "number_per_minute",
        "Texts per number and minute",
        "integer",
        "The numbers' limit, if not 40. Empty: 40.",
        minimum=1,
        maximum=10_000,
    ),
    Field(
        "alert_reserve",
        "Texts kept for alerts",
        "integer",
        "How many texts per number and minute only alerts may use: less than a number may send in a minute. "
        "Empty: a tenth of that.",
        minimum=0,
        maximum=9_999,
    ),
    Field(
        "throttled_words",
        "Words that mean throttled",
        "string",
        "Words or phrases, separated by commas, in DialogTech's reason that mean that it throttled a text. Empty: the "
        "known wordings.",
    ),
    Field(
        "account",
        "Account",
        "string",
        "A name for the DialogTech account. Connections with the same name share the limits, also with different "
        "access keys. Empty: connections with the same access key do.",
        maximum=250,
    ),
)

FIELDS = {field.name: field for field in EXTRA_FIELDS}
