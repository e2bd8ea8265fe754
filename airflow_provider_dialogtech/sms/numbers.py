"""Phone numbers, from what people write to what the API takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import Opaque, mask_number, type_name, without_locals

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

# Digits and what sets them apart; address books wrap their numbers in invisible direction marks.
AS_PEOPLE_WRITE = re.compile(r"[\d\s+()./\xad\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060\u2066-\u2069\u2212\ufeff-]*")
# A minus is no part of a number: one that is less than nothing comes from a sum, not from an address book.
_BEGINS_WITH_MINUS = re.compile(r"\D*?[\u2010-\u2015\u2212-]")
# The longest has 15 digits. More room than people need to set them apart, and little to look through.
LONGEST_WRITTEN = 100
_US_DIGITS = 10
_ADVICE = "The US is meant unless a number begins with + and a country code."


class Number(Opaque):
    """The digits of a phone number that was normalized. Logs and tracebacks show its last four."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask_number(self))


@without_locals
def normalize_number(value: object, parameter: str) -> Number:
    """Turn a phone number as people write it into the digits that the API takes.

    Numbers of the US and its neighbours (+1) become ten digits, others their country code and number. A number need
    only be possible; whether it exists is not checked. Letters and extensions are refused: in a list of numbers they
    are a slip more often than a wish. Normalizing twice changes nothing.

    :param value: text or an int, like `(555) 666-7777`, `+44 20 7946 0958`, `5556667777`.
    :param parameter: the parameter's name, for the error.
    :return: digits only, which logs and tracebacks do not show in full.
    :raises InvalidMessage: when that is no possible phone number. At most its last four digits are shown.
    """
    # Without its + another country's number would not be known again.
    if isinstance(value, Number):
        return value
    written = _written(value, parameter)
    number = _parsed(written)
    if number is None:
        _refuse(parameter, written, "is no phone number")
    if problem := _problem(number):
        _refuse(parameter, written, *problem)
    return Number(_digits(number))


def _written(value: object, parameter: str) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise InvalidMessage(f"`{parameter}` is empty", advice="Give a phone number.")
    if isinstance(value, bool) or not isinstance(value, str | int):
        kind = type_name(value)
        raise InvalidMessage(f"`{parameter}` must be a phone number as text, not a {kind}")
    # A number of thousands of digits has no text: Python refuses to write it.
    if isinstance(value, int) and abs(value) >= 10**LONGEST_WRITTEN:
        _refuse(parameter, "", "has more digits than any phone number", "Give a phone number.")
    written = str(value)
    if len(written) > LONGEST_WRITTEN:
        problem = f"has more than {LONGEST_WRITTEN} characters"
        _refuse(parameter, written[-LONGEST_WRITTEN:], problem, "Give one phone number.")
    if "," in written:
        advice = "Give one phone number. A list of people is for DialogTechSendBulkSmsOperator."
        _refuse(parameter, written, "is more than one number", advice)
    if not AS_PEOPLE_WRITE.fullmatch(written):
        _refuse(
            parameter, written, "has letters or signs that no phone number has", "Give its digits, and no extension."
        )
    if _BEGINS_WITH_MINUS.match(written):
        _refuse(parameter, written, "begins with a minus, which no phone number does", "Give its digits.")
    return written


def _parsed(written: str) -> PhoneNumber | None:
    from phonenumbers import NumberParseException, parse

    try:
        return parse(written, "US")
    except NumberParseException:
        return None


def _problem(number: PhoneNumber) -> tuple[str, str] | None:
    """Return what is wrong with a number, and what to do about it."""
    from phonenumbers import ValidationResult, is_possible_number_with_reason

    problems: dict[int, tuple[str, str] | None] = {
        ValidationResult.TOO_SHORT: (f"is too short for a number of {_country(number)}", _ADVICE),
        ValidationResult.TOO_LONG: (f"is too long for a number of {_country(number)}", _ADVICE),
        ValidationResult.IS_POSSIBLE_LOCAL_ONLY: ("lacks its area code", "Give the whole number."),
        ValidationResult.IS_POSSIBLE: None,
    }
    if problem := problems.get(is_possible_number_with_reason(number), ("is no phone number", _ADVICE)):
        return problem
    if number.country_code == 1 and _digits(number)[0] in "01":
        return "does not begin with a valid US area code, so a digit may be missing", "Give the whole number."
    # The API is given no +, so it would take such a number for one of the US, and text a stranger.
    if number.country_code != 1 and len(_digits(number)) == _US_DIGITS:
        foreign = f"is a number of {_country(number)}, but DialogTech would take it for one of the US"
        return foreign, "If it is one of the US, begin it with +1."
    return None


def _country(number: PhoneNumber) -> str:
    return "the US" if number.country_code == 1 else f"+{number.country_code}"


def _digits(number: PhoneNumber) -> str:
    from phonenumbers import national_significant_number

    national: str = national_significant_number(number)
    return national if number.country_code == 1 else f"{number.country_code}{national}"


def _refuse(parameter: str, written: str, problem: str, advice: str = _ADVICE) -> NoReturn:
    raise InvalidMessage(f"`{parameter}` {mask_number(written)} {problem}", advice=advice)
