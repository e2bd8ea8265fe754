"""Converts phone numbers from usual notations to the digits that the API takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import Opaque, mask_number, type_name, without_locals

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

# Digits and separators, with the invisible direction marks that address books put around numbers.
AS_PEOPLE_WRITE = re.compile(r"[\d\s+()./\xad\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060\u2066-\u2069\u2212\ufeff-]*")
# A negative number is the result of a calculation, not a phone number.
_BEGINS_WITH_MINUS = re.compile(r"\D*?[\u2010-\u2015\u2212-]")
# The longest phone number has 15 digits; the rest is room for separators.
LONGEST_WRITTEN = 100
_US_DIGITS = 10
_ADVICE = "A number that does not begin with + and a country code is read as a US number."


class Number(Opaque):
    """The digits of a normalized phone number. Its repr shows only the last four."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask_number(self))


@without_locals
def normalize_number(value: object, parameter: str) -> Number:
    """Convert a phone number to the digits that the API takes.

    Numbers of the US and its neighbours (+1) become ten digits, others their country code and number. A number must be
    possible; whether it exists is not checked. Letters and extensions are refused. The function is idempotent.

    :param value: a string or an int, like `(555) 666-7777`, `+44 20 7946 0958`, `5556667777`.
    :param parameter: the parameter's name, for the error.
    :return: the digits; their repr shows only the last four.
    :raises InvalidMessage: when it is not a possible phone number. The error shows at most its last four digits.
    """
    # Already normalized: without its + a foreign number would be read as a US number.
    if isinstance(value, Number):
        return value
    written = _written(value, parameter)
    number = _parsed(written)
    if number is None:
        _refuse(parameter, written, "is not a phone number")
    if problem := _problem(number):
        _refuse(parameter, written, *problem)
    return Number(_digits(number))


def _written(value: object, parameter: str) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise InvalidMessage(f"`{parameter}` is empty", advice="Give a phone number.")
    if isinstance(value, bool) or not isinstance(value, str | int):
        kind = type_name(value)
        raise InvalidMessage(f"`{parameter}` must be a phone number as text, not a {kind}")
    # Python refuses to convert an int of thousands of digits to a string.
    if isinstance(value, int) and abs(value) >= 10**LONGEST_WRITTEN:
        _refuse(parameter, "", "has more digits than any phone number", "Give a phone number.")
    written = str(value)
    if len(written) > LONGEST_WRITTEN:
        problem = f"has more than {LONGEST_WRITTEN} characters"
        _refuse(parameter, written[-LONGEST_WRITTEN:], problem, "Give one phone number.")
    if "," in written:
        advice = "Give one phone number. For several recipients use DialogTechSendBulkSmsOperator."
        _refuse(parameter, written, "contains more than one number", advice)
    if not AS_PEOPLE_WRITE.fullmatch(written):
        problem = "contains characters that are not valid in a phone number"
        _refuse(parameter, written, problem, "Give its digits, without an extension.")
    if _BEGINS_WITH_MINUS.match(written):
        _refuse(parameter, written, "begins with a minus sign", "Give its digits.")
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
    if problem := problems.get(is_possible_number_with_reason(number), ("is not a phone number", _ADVICE)):
        return problem
    if number.country_code == 1 and _digits(number)[0] in "01":
        return "does not begin with a valid US area code, so a digit may be missing", "Give the whole number."
    # The API takes no +, so it would send the message to the US number with these digits.
    if number.country_code != 1 and len(_digits(number)) == _US_DIGITS:
        foreign = f"is a number of {_country(number)}, but DialogTech would read it as a US number"
        return foreign, "If it is a US number, begin it with +1."
    return None


def _country(number: PhoneNumber) -> str:
    return "the US" if number.country_code == 1 else f"+{number.country_code}"


def _digits(number: PhoneNumber) -> str:
    from phonenumbers import national_significant_number

    national: str = national_significant_number(number)
    return national if number.country_code == 1 else f"{number.country_code}{national}"


def _refuse(parameter: str, written: str, problem: str, advice: str = _ADVICE) -> NoReturn:
    raise InvalidMessage(f"`{parameter}` {mask_number(written)} {problem}", advice=advice)
