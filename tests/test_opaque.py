"""Numbers and bodies that logs and tracebacks do not show."""

import json
import pickle
import re
import sqlite3
import traceback

import pytest

from airflow_provider_dialogtech.bulk.rows import Rows
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import Opaque, opaque, place_of, without_locals
from airflow_provider_dialogtech.sms.message import SmsMessage, normalize_number
from airflow_provider_dialogtech.sms.numbers import Number
from tests.hostile.looking import seen_of

BODY = "the payroll is late"
NUMBER = "5556667777"


def test_the_repr_shows_the_end_of_a_number_and_nothing_else():
    assert repr(Number(NUMBER)) == "'…7777'"
    assert repr((Number(NUMBER),)) == "('…7777',)"
    assert repr({"message": Opaque(BODY)}) == "{'message': '***'}"


def test_the_repr_of_a_piece_shows_no_more_than_that_of_the_whole():
    """rich and structlog cut a long string before they take its repr."""
    assert repr(Opaque(BODY)[:7]) == repr(Opaque(BODY)[0]) == "'***'"
    assert repr(Number(NUMBER)[:9]) == "'***'"
    assert Opaque(BODY)[:7] == BODY[:7]


def test_strings_and_ints_are_made_opaque_and_other_values_are_unchanged():
    for given in (BODY, int(NUMBER)):
        assert (type(opaque(given)), str(opaque(given))) == (Opaque, str(given))
    for given in (None, True, 1.5, 10**5000, Number(NUMBER), [NUMBER]):
        assert opaque(given) is given


@pytest.mark.parametrize("kind", [Number, Opaque])
def test_they_behave_as_strings(kind):
    value = kind(NUMBER)

    assert value == NUMBER
    assert type(str(value)) is str
    assert f"{value}" == NUMBER
    assert json.dumps({"to": value}) == f'{{"to": "{NUMBER}"}}'
    assert sqlite3.connect(":memory:").execute("SELECT ?", (value,)).fetchone() == (NUMBER,)
    again = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    assert (again, type(again)) == (value, kind)


def test_the_repr_of_a_message_and_of_its_fields_shows_no_number_and_no_body():
    message = SmsMessage.create(to=NUMBER, message=BODY, from_numbers=["5554332111"])

    seen = repr([message, *vars(message).values()])
    assert "666" not in seen
    assert "433" not in seen
    assert "payroll" not in seen


@pytest.mark.parametrize(
    "changes",
    [
        {"on_too_long": "split"},
        {"to": NUMBER + "77"},
        {"to": NUMBER + "x"},
        {"to": "+65 6123 4567"},
        {"to": [NUMBER]},
        {"to": {"number": NUMBER}},
        {"to": float(NUMBER) + 0.5},
        {"to": -int(NUMBER)},
        {"to": ""},
        {"from_numbers": []},
        {"from_numbers": [NUMBER]},
        {"from_numbers": [NUMBER, "555-4332"]},
        {"message": [BODY]},
        {"message": {BODY: NUMBER}},
        {"message": BODY + "\0"},
        {"message": BODY * 20},
        {"message": BODY * 20_000},
        {"message": " "},
        {"message": 10**5000},
    ],
)
def test_no_refusal_shows_a_number_or_a_body_even_in_the_locals_of_its_frames(changes):
    good = {"to": NUMBER, "message": BODY, "from_numbers": ["5554332111"]}
    with pytest.raises(InvalidMessage) as refused:
        SmsMessage.create(**(good | changes))

    seen = seen_of(refused.value)
    assert "message.py:create" in seen or "masking.py" in seen  # the frames were searched
    for canary in ("55566", "5554332", "61234", "payroll"):
        assert canary not in seen, seen
    assert refused.value.__cause__ is refused.value.__context__ is None


@pytest.mark.parametrize(
    "number", [NUMBER + "77", NUMBER + "x", NUMBER.encode(), -int(NUMBER), "+65 6123 4567"], ids=str
)
def test_no_refusal_of_a_number_shows_it(number):
    with pytest.raises(InvalidMessage) as refused:
        normalize_number(number, "to")

    assert not any(canary in seen_of(refused.value) for canary in ("55566", "61234"))


@pytest.mark.parametrize("recipients", [{"to": NUMBER}, 5556667777, f'["{NUMBER}"', NUMBER.encode()], ids=str)
def test_no_refusal_of_a_list_shows_it(recipients):
    with pytest.raises(InvalidMessage) as refused:
        Rows.of(recipients)

    assert "55566" not in seen_of(refused.value)


class Own(Exception):
    """An error of no package."""


@pytest.mark.parametrize("error", [InvalidMessage("no"), KeyError("name"), Own(), KeyboardInterrupt()], ids=repr)
def test_an_error_keeps_its_place_and_loses_its_values(error):
    def three_calls_down(to):
        number = to + ""
        raise error from ValueError(number)

    def between(to):
        held = [to]
        yield three_calls_down(*held)

    @without_locals
    @without_locals
    def send(number):
        return next(between(number))

    with pytest.raises(type(error)) as raised:
        send(NUMBER)
    frames = list(traceback.walk_tb(raised.value.__traceback__))
    names = [frame.f_code.co_name for frame, _ in frames]
    assert [name for name in names[1:] if name != "discreet"] == ["send", "between", "three_calls_down"]
    assert traceback.extract_tb(raised.value.__traceback__)[-1].line == "raise error from ValueError(number)"
    assert NUMBER not in "".join(repr(frame.f_locals) for frame, _ in frames[1:])
    assert NUMBER not in "".join(
        traceback.TracebackException.from_exception(raised.value, capture_locals=True).format()
    ).replace(f"NUMBER = {NUMBER!r}", "")
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_the_place_of_an_error_is_named_without_its_message():
    def fail():
        return {}[NUMBER]

    with pytest.raises(KeyError) as raised:
        fail()
    assert re.fullmatch(r"KeyError in fail, tests/test_opaque\.py line \d+", place_of(raised.value))
    assert place_of(KeyError(NUMBER)) == "KeyError"
