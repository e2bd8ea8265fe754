"""Which messages are accepted, and the remarks about them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dialogtech.exceptions import InvalidMessage, NotSent
from airflow_provider_dialogtech.sms.gsm import is_gsm7, measure, to_gsm7
from airflow_provider_dialogtech.sms.message import MAX_LENGTH, SmsMessage
from tests.hostile.looking import soon

TO = "(555) 666-7777"
FROM = "555-433-2111"


def create(message: object = "Rows loaded: 5", **changes: Any) -> SmsMessage:
    return SmsMessage.create(**{"to": TO, "from_numbers": [FROM], "message": message, **changes})


def refusal(message: object = "Rows loaded: 5", **changes: Any) -> str:
    with pytest.raises(InvalidMessage) as refused:
        create(message, **changes)
    assert isinstance(refused.value, NotSent)
    assert str(refused.value).startswith("The message was not sent: ")
    return str(refused.value)


def test_a_message_has_its_digits_its_encoding_and_its_segments() -> None:
    sms = create("100 % of <rows> & more + 🎉\nBye ")

    assert (sms.to, sms.from_numbers) == ("5556667777", ("5554332111",))
    assert sms.body == "100 % of <rows> & more + 🎉\nBye "
    assert (sms.encoding, sms.segments, sms.remarks) == ("UCS-2", 1, ())


def test_the_repr_shows_neither_the_body_nor_a_number() -> None:
    shown = repr(create("the payroll is late"))

    assert "payroll" not in shown
    assert "555" not in shown


# Numbers


def test_the_same_sender_written_twice_is_one_and_the_order_stays() -> None:
    sms = create(from_numbers=["+1 555 433 2222", FROM, 5554332222])

    assert sms.from_numbers == ("5554332222", "5554332111")


def test_without_a_sender_the_refusal_says_where_to_set_one() -> None:
    assert "Give `from_`, or set `from_numbers` in the connection." in refusal(from_numbers=[])


def test_a_message_is_not_sent_from_its_recipient() -> None:
    assert create(from_numbers=["+1 555 666 7777", FROM]).from_numbers == ("5554332111",)


def test_a_message_to_its_only_sender_is_refused() -> None:
    said = refusal(from_numbers=["15556667777", 5556667777])

    assert "`to` and `from_` are the same number, …7777" in said
    assert "5556667777" not in said


def test_a_wrong_sender_is_reported_as_from_and_a_wrong_recipient_as_to() -> None:
    assert "`from_` …4332 " in refusal(from_numbers=[FROM, "555-4332"])
    assert "`to` …6777 " in refusal(to="555-666777")


# What a message may be


@pytest.mark.parametrize(
    "nothing", [None, float("nan"), "", " ", "\n\t \r\n", "\u200b\ufeff", "\ufe0f", "\xa0\u3000\u2028"]
)
def test_an_invisible_message_is_refused(nothing: object) -> None:
    assert "`message` is empty" in refusal(nothing)


def test_a_byte_order_mark_is_removed() -> None:
    assert create("\ufeffHi").body == "Hi"
    assert "`message` is empty" in refusal("\ufeff")


@pytest.mark.parametrize("number", [10**5000, -(10**5000), 10**256], ids=["positive", "negative", "257 digits"])
def test_a_number_that_python_cannot_write_is_refused(number: int) -> None:
    assert "`message` is a number of more than 256 digits" in refusal(number)


@pytest.mark.parametrize(
    ("value", "body"), [(42, "42"), (0, "0"), (1.5, "1.5"), (True, "True"), (10**256 - 1, "9" * 256)]
)
def test_a_number_from_native_rendering_is_sent_as_its_digits(value: object, body: str) -> None:
    assert create(value).body == body


@pytest.mark.parametrize(
    ("value", "kind"), [({"rows": 5}, "dict"), ([1], "list"), (b"bytes", "bytes"), (object(), "object")]
)
def test_a_message_of_another_type_is_refused_by_its_type(value: object, kind: str) -> None:
    assert f"`message` must be text, not a {kind}" in refusal(value)


@pytest.mark.parametrize(
    ("char", "name"), [("\0", "U+0000"), ("\x1b", "U+001B"), ("\f", "U+000C"), ("\x92", "U+0092"), ("\ud83c", "U+D83C")]
)
def test_a_character_that_an_sms_cannot_show_is_refused_with_its_position(char: str, name: str) -> None:
    said = refusal(f"secret plan{char}")

    assert f"character 12 of `message` is {name}" in said
    assert "plan" not in said


def test_line_breaks_and_tabs_are_sent_unchanged() -> None:
    assert create("a\r\nb\tc\n").body == "a\r\nb\tc\n"


# Length


def test_the_longest_message_is_sent_whole() -> None:
    assert MAX_LENGTH == 256
    assert create("x" * 256).body == "x" * 256
    assert create("🎉" * 256).body == "🎉" * 256


def test_one_character_too_many_is_refused_with_both_lengths() -> None:
    said = refusal("x" * 257)

    assert "257 characters" in said
    assert "at most 256" in said
    assert 'on_too_long="truncate"' in said


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("x" * 300, "x" * 253 + "..."),
        ("ж" * 300, "ж" * 255 + "…"),
        ("word " * 60, "word " * 49 + "word..."),
        ("x" * 257, "x" * 253 + "..."),
    ],
)
def test_truncate_cuts_to_the_longest_message_and_remarks_on_it(message: str, sent: str) -> None:
    sms = create(message, on_too_long="truncate")

    assert sms.body == sent
    assert sms.remarks[0] == f"The message was truncated from {len(message)} to {len(sent)} characters."


def test_a_message_that_is_one_long_link_is_not_cut() -> None:
    with pytest.raises(InvalidMessage, match="has 257 characters"):
        create("https://example.com/".ljust(257, "x"), on_too_long="truncate")
    assert create("." * 300, on_too_long="truncate").body == "." * 256


def test_truncate_leaves_a_message_that_fits_unchanged() -> None:
    sms = create("x" * 256, on_too_long="truncate")

    assert (sms.body, sms.remarks) == ("x" * 256, ())


@pytest.mark.parametrize("length", [5, 300])
def test_an_unknown_on_too_long_is_refused_by_name(length: int) -> None:
    assert "`on_too_long` must be fail or truncate, not 'split'" in refusal("x" * length, on_too_long="split")


ACCENTS = "e" + "\u0301\u0323" * 80_000  # composing and ordering them takes Python half a minute
HUGE = "word " * 2_000_000


@pytest.mark.parametrize("smart", [False, True])
@pytest.mark.parametrize("message", [ACCENTS, HUGE], ids=["accents", "10 MB"])
def test_a_message_of_any_length_is_refused_at_once(message: str, smart: bool) -> None:
    with soon():
        assert f"has {len(message)} characters" in refusal(message, smart_encoding=smart)


@pytest.mark.parametrize("smart", [False, True])
@pytest.mark.parametrize("message", [ACCENTS, HUGE], ids=["accents", "10 MB"])
def test_a_message_of_any_length_is_truncated_at_once(message: str, smart: bool) -> None:
    with soon():
        sms = create(message, on_too_long="truncate", smart_encoding=smart)
    assert len(sms.body) <= 256
    assert sms.remarks[0] == f"The message was truncated from {len(message)} to {len(sms.body)} characters."


@pytest.mark.parametrize("on_too_long", ["fail", "truncate"])
def test_smart_encoding_fits_a_message_of_4096_mostly_invisible_characters(on_too_long: str) -> None:
    sms = create("cafe\u0301" + "\u200b" * 4091, smart_encoding=True, on_too_long=on_too_long)

    assert (sms.body, sms.remarks) == ("café", ())


def test_smart_encoding_fits_no_longer_message() -> None:
    assert "has 4097 characters" in refusal("It’s" + "\u200b" * 4093, smart_encoding=True)


# Encoding


def test_the_character_that_costs_segments_is_named_with_the_remedy() -> None:
    sms = create("It’s " * 20)

    assert sms.body == "It’s " * 20
    assert sms.remarks == (
        "The character ’ (U+2019 RIGHT SINGLE QUOTATION MARK) makes this message UCS-2: 2 segments instead of 1; "
        "smart_encoding=True would avoid it.",
    )


def test_an_irreplaceable_character_is_named_without_a_remedy() -> None:
    sms = create("It’s 🎉 " * 20)

    assert sms.remarks == (
        "The character 🎉 (U+1F389 PARTY POPPER) makes this message UCS-2: 3 segments instead of 1.",
    )


def test_an_invisible_character_is_only_named() -> None:
    assert create("x\u200b" * 50).remarks[0].startswith("The character U+200B ZERO WIDTH SPACE makes")


def test_ucs2_that_costs_nothing_is_not_remarked_on() -> None:
    assert create("It’s 🎉").remarks == ()


def test_smart_encoding_saves_the_segments_and_the_remark() -> None:
    sms = create("It’s " * 20, smart_encoding=True)

    assert sms.body == "It's " * 20
    assert (sms.encoding, sms.segments, sms.remarks) == ("GSM-7", 1, ())


def test_smart_encoding_leaves_a_message_that_stays_ucs2_unchanged() -> None:
    assert create("It’s ça", smart_encoding=True).body == "It’s ça"


def test_smart_encoding_comes_before_the_length() -> None:
    assert create("\u200bIt’s" + "x" * 252, smart_encoding=True).body == "It's" + "x" * 252


def test_smart_encoding_never_makes_a_fitting_message_too_long() -> None:
    sms = create("x" * 255 + "…", smart_encoding=True)

    assert sms.body == "x" * 255 + "…"
    assert sms.remarks == (
        "The character … (U+2026 HORIZONTAL ELLIPSIS) makes this message UCS-2: 4 segments instead of 2.",
    )


def test_a_truncated_message_is_encoded_smartly() -> None:
    assert create("It’s " * 60, smart_encoding=True, on_too_long="truncate").body == "It's " * 49 + "It's..."


@settings(deadline=None)
@given(
    st.text(max_size=300) | st.text("ab ’…\n€ж👩\u200d\u0301", min_size=200, max_size=400),
    st.sampled_from(["fail", "truncate"]),
    st.booleans(),
)
def test_any_message_is_refused_or_valid(message: str, on_too_long: str, smart: bool) -> None:
    try:
        sms = create(message, on_too_long=on_too_long, smart_encoding=smart)
    except InvalidMessage:
        assert len(message) > MAX_LENGTH or not message.isprintable() or not to_gsm7(message).strip()
        return
    assert 0 < len(sms.body) <= 256
    assert sms.body.encode()
    assert (sms.encoding, sms.segments) == (measure(sms.body).encoding, measure(sms.body).segments)
    if len(message) <= 256 and (is_gsm7(message) or not smart):
        assert sms.body == message.removeprefix("\ufeff")
    assert len(message) < 30 or not any(message in remark for remark in sms.remarks)
