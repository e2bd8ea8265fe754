"""Phone numbers in usual notations."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from numbers import Integral

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.sms.message import normalize_number
from tests.hostile.looking import soon


@pytest.mark.parametrize(
    "written",
    [
        "(555) 666-7777",
        "+1 555 666 7777",
        "+1 (555) 666-7777",
        "555.666.7777",
        "1-555-666-7777",
        "555–666–7777",
        "555/666-7777",
        "15556667777",
        "5556667777",
        " 5556667777\n",
        "\u202a+1\xa0555\xa0666\xa07777\u202c",
        "011 1 555 666 7777",
        5556667777,
        15556667777,
        "5556667777.0",
        "15556667777.00",
        "5556667777,0",
        5556667777.0,
        Decimal("5556667777"),
        Decimal("5.5566677770E9"),
        "'5556667777",
        "’5556667777",
        '"5556667777"',
        '="5556667777"',
        "tel:+1-555-666-7777",
        "TEL: 5556667777",
        "５５５６６６７７７７",
        "（５５５）６６６－７７７７",
        "＋1 555 666 7777",
        "5556667777\u200b",
        "\ufeff5556667777",
        "555\u2011666\u20117777",
        "5.556.667.777",
        "+1.5556667777",
        "+15556667777.0",
        "5\u202f556\u202f667\u202f777",
        "٥٥٥٦٦٦٧٧٧٧",
    ],
)
def test_usual_notations_become_ten_digits(written: object) -> None:
    assert normalize_number(written, "to") == "5556667777"


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("+44 20 7946 0958", "442079460958"),
        ("011 44 20 7946 0958", "442079460958"),
        ("+44 (0)20 7946 0958", "442079460958"),
        ("+61 491 570 156", "61491570156"),
        ("+39 06 1234 5678", "390612345678"),
        ("+1 416 555 0123", "4165550123"),
    ],
)
def test_other_countries_become_country_code_and_number(written: str, digits: str) -> None:
    assert normalize_number(written, "to") == digits


@pytest.mark.parametrize("written", ["+44 20 7946 0958", "(555) 666-7777"])
def test_normalizing_twice_changes_nothing(written: str) -> None:
    once = normalize_number(written, "to")

    assert normalize_number(once, "to") == once


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("911", "too short"),
        ("242433", "too short"),
        ("666-7777", "lacks its area code"),
        ("+49171", "too short for a number of +49"),
        ("555 666 77777", "too long"),
        ("442079460958", "too long for a number of the US: if it is of another country, begin it with + "),
        ("+999 123 456 789", "is not a phone number"),
        ("5556667777, 5556668888", "contains more than one number. Give one phone number."),
        ("5556667777\n5556668888", "contains more than one number"),
        ("5556667777 x123", "…7777 has an extension"),
        ("1-800-FLOWERS", "not valid in a phone number"),
        ("*67 5556667777", "not valid in a phone number"),
        ("{{ var.value.phone }}", "not valid in a phone number"),
        ("+", "is not a phone number"),
        ("0", "is not a phone number"),
        (10**99, "is not a phone number"),
        (10**100, "more digits than any phone number"),
        (-5, "has a minus sign"),
        (-2125550187, "has a minus sign"),
        ("-2125550187", "has a minus sign"),
        (" (\u2212212) 555-0187", "has a minus sign"),
        ("\u202a\u2013212 555 0187", "has a minus sign"),
        ("1-555-666-777", "a digit may be missing"),
        ("0556667777", "an area code or an exchange that begins with 0 or 1"),
        ("155 666 7777", "an area code or an exchange that begins with 0 or 1"),
        ("(555) 066-7777", "an area code or an exchange that begins with 0 or 1"),
        ("+1 555 166 7777", "an area code or an exchange that begins with 0 or 1"),
        ("+44 2079 46095", "is not a number in the numbering plan of +44"),
        ("555666707.0", "is a decimal number without the ten digits"),
        ("555 666 707.0", "is a decimal number without the ten digits"),
        ("25556667777.0", "is a decimal number without the ten digits"),
        ("5556667777.5", "is a decimal number without the ten digits"),
        ("+442079460958.0", "is a decimal number without the ten digits"),
        (555666707.0, "is a decimal number without the ten digits"),
        (5556667777.25, "is a decimal number without the ten digits"),
        ("5.55667E+09", "is in scientific notation"),
        ("5,55667E+09", "is in scientific notation"),
        (5.556667777e30, "is in scientific notation"),
        ("5,556,667,777", "is written with separators between thousands"),
        (float("inf"), "not valid in a phone number"),
        (Decimal("Infinity"), "more digits than any phone number"),
        (Decimal("1E+99999"), "more digits than any phone number"),
        (Decimal("1E-999999999"), "is less than 1"),
        ("555-666-7777; 555-666-8888", "contains more than one number"),
        ("555-666-7777 | 555-666-8888", "contains more than one number"),
        ("5556667777 ext. 12", "…7777 has an extension"),
        ("tel:5556667777;ext=12", "…7777 has an extension"),
        ("(555) 666-7777 (x12)", "…7777 has an extension"),
        ("555.666.7777 #12", "…7777 has an extension"),
        ("5556667777,,12", "…7777 has an extension"),
        ("+44 20 7946 0958 extension 5", "…0958 has an extension"),
        ("5556667777 or 5556668888", "contains more than one number"),
        ("5556667777 / 5556668888", "contains more than one number"),
        ("5556667777 5556668888", "contains more than one number"),
        ("5556667777-", "has a minus sign"),
        (2147483647, "is the largest number of a 32-bit column"),
        ("2147483647.0", "is the largest number of a 32-bit column"),
        ("4294967295", "is the largest number of a 32-bit column"),
        ("5556667777.00-", "has a minus sign"),
        ("5.556667777", "is a decimal number"),
        ("1.5556667777", "is a decimal number"),
        ("5,556667777", "is a decimal number"),
        (".5556667777", "is a decimal number"),
        ("5'556'667'777", "…7777 is written with separators between thousands"),
        ("5’556’667’777.00", "…7777 is written with separators between thousands"),
        ("5.556.667.777,00", "…7777 is written with separators between thousands"),
    ],
)
def test_an_impossible_number_is_refused_with_the_problem(written: object, problem: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        normalize_number(written, "to")

    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (lambda: 10**5000, "more digits than any phone number"),
        (lambda: -(10**5000), "more digits than any phone number"),
        (lambda: "5" * 10_000_000, "more than 100 characters"),
        (lambda: "5" + " " * 10_000_000, "more than 100 characters"),
    ],
    ids=["int", "negative int", "digits", "spaces"],
)
def test_a_far_too_long_number_is_refused_at_once(number: Callable[[], object], problem: str) -> None:
    written = number()
    with soon(), pytest.raises(InvalidMessage, match=problem):
        normalize_number(written, "to")


@pytest.mark.parametrize("written", ["+65 6123 4567", "+47 22 12 34 56", "+5556667777"])
def test_a_foreign_number_that_the_api_would_read_as_a_us_number_is_refused(written: str) -> None:
    with pytest.raises(InvalidMessage, match="would read it as a US number"):
        normalize_number(written, "to")


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        "",
        "  \n",
        "\xa0\u200b",
        "'",
        '=""',
        float("nan"),
        Decimal("NaN"),
        Decimal("sNaN"),
        "N/A",
        "nan",
        "#REF!",
        "NULL",
    ],
)
def test_a_missing_number_is_reported_by_its_parameter(nothing: object) -> None:
    with pytest.raises(InvalidMessage, match=r"`from_` (is empty|says \S+, as if it were empty)\. Give a phone number"):
        normalize_number(nothing, "from_")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "bool"),
        (Fraction(5556667777), "Fraction"),
        (["5556667777"], "list"),
        ({"to": "5556667777"}, "dict"),
        (b"5556667777", "bytes"),
    ],
)
def test_a_value_that_is_neither_string_nor_int_is_refused_by_its_type(value: object, kind: str) -> None:
    with pytest.raises(InvalidMessage, match=f"`to` must be a phone number as text, not a {kind}") as refused:
        normalize_number(value, "to")

    assert "666" not in str(refused.value)


@pytest.mark.parametrize(
    "written",
    ["555 666 77778", "5556667777x", "1-555-666-777", "+65 6123 4567", "999999999999999999", "+999 123 456 789"],
)
def test_a_refusal_names_the_parameter_and_shows_the_last_four_digits_only(written: str) -> None:
    digits = "".join(filter(str.isdigit, written))

    with pytest.raises(InvalidMessage) as refused:
        normalize_number(written, "from_")

    shown = "".join(traceback.format_exception(refused.value, chain=True)[-1:])
    assert f"`from_` …{digits[-4:]} " in shown
    assert written not in shown
    assert digits[-5:] not in shown
    assert refused.value.__context__ is None


@settings(deadline=None)
@given(
    st.text(max_size=30)
    | st.text("0123456789+-() .x", max_size=25)
    | st.integers()
    | st.floats()
    | st.none()
    | st.binary()
)
def test_any_value_is_normalized_or_refused(value: object) -> None:
    try:
        digits = normalize_number(value, "to")
    except InvalidMessage:
        return
    assert digits.isdecimal()
    assert digits.isascii()
    assert len(digits) >= 7


@settings(deadline=None)
@given(
    st.sampled_from(["({}) {}-{}", "{}{}{}", "+1 {} {} {}", "1-{}-{}-{}", "{}.{}.{}", "+1{}{}{}"]),
    st.from_regex(r"[2-9][0-9]{2}", fullmatch=True),
    st.from_regex(r"[2-9][0-9]{2}", fullmatch=True),
    st.from_regex(r"[0-9]{4}", fullmatch=True),
)
def test_every_notation_gives_the_same_digits(form: str, area: str, exchange: str, line: str) -> None:
    assert normalize_number(form.format(area, exchange, line), "to") == area + exchange + line


def test_no_foreign_number_reaches_the_api_as_a_us_number() -> None:
    kind = phonenumbers.PhoneNumberType.MOBILE
    examples = (phonenumbers.example_number_for_type(region, kind) for region in sorted(phonenumbers.SUPPORTED_REGIONS))
    numbers = [example for example in examples if example]
    wrong = {}
    for number in numbers:
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        try:
            digits = normalize_number(e164, "to")
        except InvalidMessage as refusal:
            if len(e164) != len("+") + 10:
                wrong[e164] = str(refusal)
        else:
            is_american = number.country_code == 1
            if digits != (e164[2:] if is_american else e164[1:]) or (len(digits) == 10) != is_american:
                wrong[e164] = digits

    assert len(numbers) > 200
    assert not wrong


def test_importing_the_message_does_not_load_phonenumbers() -> None:
    script = "import sys, airflow_provider_dialogtech.sms.message; print('phonenumbers' in sys.modules)"

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "False"


class Numpys:
    """An integer of numpy, as far as Python knows it."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __int__(self) -> int:
        return self._value

    def __abs__(self) -> int:
        return abs(self._value)


Integral.register(Numpys)


def test_an_integer_of_another_library_is_read_as_its_digits() -> None:
    assert normalize_number(Numpys(5556667777), "to") == "5556667777"
    with pytest.raises(InvalidMessage, match="too short"):
        normalize_number(Numpys(556667777), "to")
