"""Converts phone numbers from usual notations to the digits that the API takes."""

from __future__ import annotations

import re
from decimal import Decimal
from numbers import Integral
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import Opaque, mask_number, type_name, without_locals
from airflow_provider_dialogtech.sms.missing import is_missing, missing_word, strip

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

# Digits and separators, with the invisible direction marks that address books put around numbers.
AS_PEOPLE_WRITE = re.compile(r"[\d\s+()./\xad\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060\u2066-\u2069\u2212\ufeff-]*")
# A negative number is the result of a calculation, not a phone number. SAP writes the sign behind it.
_NEGATIVE = re.compile(r"\D*?[\u2010-\u2015\u2212-]|[\d.]+-\s*\Z")
# The longest phone number has 15 digits; the rest is room for separators.
LONGEST_WRITTEN = 100
_US_DIGITS = 10
# Neither an area code nor an exchange begins with 0 or 1. phonenumbers knows which area codes are assigned, but an old
# release of it does not know the new ones.
_NORTH_AMERICAN = re.compile(r"[2-9]\d\d[2-9]\d{6}")
_ADVICE = "A number that does not begin with + and a country code is read as a US number."

# What spreadsheets and links put around a number: '5556667777, ="5556667777", "5556667777", tel:5556667777
_AROUND = re.compile(r"[\s\ufeff]*=?[\s\"'’‘“`]*(?:tel:|sms:)?(.*?)[\s\"'’”`]*", re.IGNORECASE | re.DOTALL)
# As Asian keyboards write digits and signs.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_SEVERAL = re.compile(r"[,;|]\s*[\d+(]")
_MOST_DIGITS = 15
_EXTENSION = re.compile(r"(.*?\d)[\s(,;]*(?:ext(?:ension|n)?|[x#*,;wp])[\s.:=#]*\d{1,6}\)?", re.IGNORECASE | re.DOTALL)
# How a spreadsheet or a data frame writes a column of numbers.
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d*)?[eE][+-]?\d+")
_THOUSANDS = re.compile(r"\d{1,3}(?:([,'’])\d{3})(?:\1\d{3})*(?:\.\d*)?|\d{1,3}(?:\.\d{3})+,\d*")
# Between the groups of a phone number, the only dot stands behind several digits and before at least four.
_DECIMAL = re.compile(r"(?P<whole>[^.,]*\d)[.,](?P<rest>0+|\d{1,3})|\d?[.,]\d+")
_NO_DECIMALS = re.compile(r"[.,]0+\s*\Z")
_LARGEST = frozenset({str(2**31 - 1), str(2**32 - 1)})
_WHOLE_US = re.compile(rf"(?:\+?1)?\d{{{_US_DIGITS}}}", re.ASCII)
# In the reason, since the report of a list gives the reasons of its rows.
_OF_ANOTHER = ": if it is of another country, begin it with + and that country's code"
_AS_TEXT = "format its column as text and export it again"
_WHOLE = "Give the whole number."
_ONE = "Give one phone number. For several recipients use DialogTechSendBulkSmsOperator."


class Number(Opaque):
    """The digits of a normalized phone number. Its repr shows only the last four."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask_number(self))


@without_locals
def normalize_number(value: object, parameter: str) -> Number:
    """Convert a phone number to the digits that the API takes.

    Numbers of the US and its neighbours (+1) become ten digits, others their country code and number. A number must be
    in its country's numbering plan; whether it is assigned is not checked. Letters and extensions are refused. A float,
    also as text, is read as its digits if it is whole and has those of a US number. The function is idempotent.

    :param value: a string or a number, like `(555) 666-7777`, `+44 20 7946 0958`, `5556667777`.
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


def is_scientific(value: str) -> bool:
    """Return whether a text is a number in scientific notation, like 5.55667E+09."""
    return _SCIENTIFIC.fullmatch(strip(value)) is not None


def _written(value: object, parameter: str) -> str:
    if is_missing(_bare(value)):
        word = missing_word(value)
        problem = "is empty" if word is None else f"says {word}, as if it were empty"
        raise InvalidMessage(
            f"`{parameter}` {problem}", advice="Give a phone number. In a template, check what it refers to."
        )
    if isinstance(value, bool) or not isinstance(value, str | Integral | float | Decimal):
        kind = type_name(value)
        advice = _ONE if isinstance(value, list | tuple | set) else ""
        raise InvalidMessage(f"`{parameter}` must be a phone number as text, not a {kind}", advice=advice)
    # Python refuses to convert an int of thousands of digits to a string.
    if isinstance(value, Integral | Decimal) and abs(value) >= 10**LONGEST_WRITTEN:
        _refuse(parameter, "", "has more digits than any phone number", "Give a phone number.")
    # Formatted without an exponent, it would have as many zeros.
    if isinstance(value, Decimal) and value.adjusted() < 0:
        _refuse(parameter, "", "is less than 1", "Give a phone number.")
    written = _text_of(value)
    if len(written) > LONGEST_WRITTEN:
        problem = f"has more than {LONGEST_WRITTEN} characters"
        _refuse(parameter, written[-LONGEST_WRITTEN:], problem, "Give one phone number.")
    written = _without_decimals(_bare(written), parameter)
    if strip(written) in _LARGEST:
        problem = "is the largest number of a 32-bit column, which a database stores in place of a longer one"
        _refuse(parameter, written, problem, "If it is right, begin it with +1.")
    if (number := _without_extension(written)) != written:
        _refuse(parameter, number, "has an extension, which an SMS does not reach", "Give its digits, without it.")
    if _SEVERAL.search(written) or (not written.isdecimal() and _count(written) > _MOST_DIGITS):
        _refuse(parameter, written, "contains more than one number", _ONE)
    if not AS_PEOPLE_WRITE.fullmatch(written):
        problem = "contains characters that are not valid in a phone number"
        _refuse(parameter, written, problem, "Give its digits.")
    if _NEGATIVE.match(written):
        _refuse(parameter, written, "has a minus sign", "Give its digits.")
    return written


def _bare(value: Any) -> Any:
    """Return a number as text without what stands around it; another value unchanged."""
    if not isinstance(value, str) or len(value) > LONGEST_WRITTEN:
        return value
    found = _AROUND.fullmatch(value.translate(_FULL_WIDTH))
    return found[1] if found else value


def _text_of(value: str | Integral | float | Decimal) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(float(value) if isinstance(value, float) else int(value))


def _without_decimals(written: str, parameter: str) -> str:
    """Return the digits of a number that was written as a float, like 5556667777.0, if it has those of a US number."""
    bare = strip(written)
    if is_scientific(bare):
        _refuse(parameter, "", f"is in scientific notation, so it may have lost digits: {_AS_TEXT}", _WHOLE)
    if _THOUSANDS.fullmatch(bare):
        shown = _NO_DECIMALS.sub("", bare)
        _refuse(parameter, shown, f"is written with separators between thousands: {_AS_TEXT}", _WHOLE)
    decimal = _DECIMAL.fullmatch(bare)
    if decimal is None:
        return written
    whole = decimal["whole"] or bare
    if _WHOLE_US.fullmatch(whole) and not decimal["rest"].strip("0"):
        return whole
    return _refuse(parameter, whole, f"is a decimal number without the ten digits of a US number: {_AS_TEXT}", _WHOLE)


def _without_extension(written: str) -> str:
    found = _EXTENSION.fullmatch(written)
    return found[1] if found and _count(found[1]) >= _US_DIGITS else written


def _count(written: str) -> int:
    return sum(map(str.isdigit, written))


def last_digits(written: str) -> str:
    """Return the last four digits of a number as it is written, without decimals and an extension: `…7777`."""
    return mask_number(_without_extension(_NO_DECIMALS.sub("", written)))


def _parsed(written: str) -> PhoneNumber | None:
    from phonenumbers import NumberParseException, parse

    try:
        # It does not know every blank, such as the narrow one between French thousands.
        return parse(" ".join(written.split()), "US")
    except NumberParseException:
        return None


def _problem(number: PhoneNumber) -> tuple[str, str] | None:
    """Return what is wrong with a number, and what to do about it."""
    from phonenumbers import ValidationResult, is_possible_number_with_reason, is_valid_number

    too_short = (f"is too short for a number of {_country(number)}", _ADVICE)
    problems: dict[int, tuple[str, str] | None] = {
        ValidationResult.TOO_SHORT: too_short,
        ValidationResult.TOO_LONG: (f"is too long for a number of {_country(number)}{_OF_ANOTHER}", _WHOLE),
        ValidationResult.IS_POSSIBLE_LOCAL_ONLY: ("lacks its area code", _WHOLE)
        if number.country_code == 1
        else too_short,
        ValidationResult.IS_POSSIBLE: None,
    }
    if problem := problems.get(is_possible_number_with_reason(number), ("is not a phone number", _ADVICE)):
        return problem
    if number.country_code == 1:
        if _NORTH_AMERICAN.fullmatch(_digits(number)):
            return None
        lost = f"has an area code or an exchange that begins with 0 or 1, so a digit may be missing{_OF_ANOTHER}"
        return lost, _WHOLE
    # The API takes no +, so it would send the message to the US number with these digits.
    if len(_digits(number)) == _US_DIGITS:
        foreign = f"is a number of {_country(number)}, but DialogTech would read it as a US number"
        return foreign, "If it is a US number, begin it with +1."
    if not is_valid_number(number):
        return f"is not a number in the numbering plan of {_country(number)}", "Check its digits."
    return None


def _country(number: PhoneNumber) -> str:
    return "the US" if number.country_code == 1 else f"+{number.country_code}"


def _digits(number: PhoneNumber) -> str:
    from phonenumbers import national_significant_number

    national: str = national_significant_number(number)
    return national if number.country_code == 1 else f"{number.country_code}{national}"


def _refuse(parameter: str, written: str, problem: str, advice: str = _ADVICE) -> NoReturn:
    raise InvalidMessage(f"`{parameter}` {mask_number(written)} {problem}", advice=advice)
