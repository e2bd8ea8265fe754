"""Which messages are fit to be sent, and what is said about them."""

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


def test_a_message_is_ready_with_its_digits_its_encoding_and_its_segments() -> None:
    text = create("100 % of <rows> & more + 🎉\nBye ")

    assert (text.to, text.from_numbers) == ("5556667777", ("5554332111",))
    assert text.body == "100 % of <rows> & more + 🎉\nBye "
    assert (text.encoding, text.segments, text.remarks) == ("UCS-2", 1, ())


def test_what_a_log_shows_of_it_holds_neither_the_message_nor_a_number() -> None:
    shown = repr(create("the payroll is late"))

    assert "payroll" not in shown
    assert "555" not in shown


# Numbers


def test_the_same_sender_written_twice_is_one_and_the_order_stays() -> None:
    text = create(from_numbers=["+1 555 433 2222", FROM, 5554332222])

    assert text.from_numbers == ("5554332222", "5554332111")


def test_without_a_sender_the_refusal_says_where_to_set_one() -> None:
    assert "Give `from_`, or set `from_numbers` in the connection's extra." in refusal(from_numbers=[])


def test_the_recipient_is_no_candidate_to_send_from() -> None:
    assert create(from_numbers=["+1 555 666 7777", FROM]).from_numbers == ("5554332111",)


def test_a_message_to_its_only_sender_is_refused() -> None:
    said = refusal(from_numbers=["15556667777", 5556667777])

    assert "it would go to the number it leaves from, …7777" in said
    assert "5556667777" not in said


def test_a_wrong_sender_is_told_as_from_and_a_wrong_recipient_as_to() -> None:
    assert "`from_` …4332 " in refusal(from_numbers=[FROM, "555-4332"])
    assert "`to` …6777 " in refusal(to="555-666777")


# What a message may be


@pytest.mark.parametrize("nothing", [None, "", " ", "\n\t \r\n", "\u200b\ufeff", "\ufe0f", "\xa0\u3000\u2028"])
def test_a_message_that_shows_nothing_is_refused(nothing: object) -> None:
    assert "`message` is empty" in refusal(nothing)


def test_a_byte_order_mark_is_no_part_of_the_message() -> None:
    assert create("\ufeffHi").body == "Hi"
    assert "`message` is empty" in refusal("\ufeff")


@pytest.mark.parametrize("number", [10**5000, -(10**5000), 10**256], ids=["positive", "negative", "257 digits"])
def test_a_number_that_python_cannot_write_is_refused(number: int) -> None:
    assert "`message` is a number of more than 256 digits" in refusal(number)


@pytest.mark.parametrize(
    ("value", "text"), [(42, "42"), (0, "0"), (1.5, "1.5"), (True, "True"), (10**256 - 1, "9" * 256)]
)
def test_a_number_from_native_rendering_is_sent_as_its_digits(value: object, text: str) -> None:
    assert create(value).body == text


@pytest.mark.parametrize(
    ("value", "kind"), [({"rows": 5}, "dict"), ([1], "list"), (b"bytes", "bytes"), (object(), "object")]
)
def test_what_is_no_message_is_refused_by_its_type(value: object, kind: str) -> None:
    assert f"`message` must be text, not a {kind}" in refusal(value)


@pytest.mark.parametrize(
    ("char", "name"), [("\0", "U+0000"), ("\x1b", "U+001B"), ("\f", "U+000C"), ("\x92", "U+0092"), ("\ud83c", "U+D83C")]
)
def test_a_character_that_no_sms_can_show_is_refused_with_its_place(char: str, name: str) -> None:
    said = refusal(f"secret plan{char}")

    assert f"character 12 of `message` is {name}" in said
    assert "plan" not in said


def test_lines_and_tabs_go_out_as_they_are() -> None:
    assert create("a\r\nb\tc\n").body == "a\r\nb\tc\n"


# Length


def test_as_many_characters_as_the_api_takes_go_out_whole() -> None:
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
def test_truncate_cuts_to_what_the_api_takes_and_says_so(message: str, sent: str) -> None:
    text = create(message, on_too_long="truncate")

    assert text.body == sent
    assert text.remarks[0] == f"The message was truncated from {len(message)} to {len(sent)} characters."


def test_truncate_leaves_a_message_alone_that_fits() -> None:
    text = create("x" * 256, on_too_long="truncate")

    assert (text.body, text.remarks) == ("x" * 256, ())


@pytest.mark.parametrize("length", [5, 300])
def test_an_unknown_way_with_long_messages_is_refused_by_its_name(length: int) -> None:
    assert "`on_too_long` must be fail or truncate, not 'split'" in refusal("x" * length, on_too_long="split")


ACCENTS = "e" + "\u0301\u0323" * 80_000  # to compose and order them takes Python half a minute
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
        text = create(message, on_too_long="truncate", smart_encoding=smart)
    assert len(text.body) <= 256
    assert text.remarks[0] == f"The message was truncated from {len(message)} to {len(text.body)} characters."


@pytest.mark.parametrize("on_too_long", ["fail", "truncate"])
def test_smart_encoding_makes_a_message_fit_that_has_4096_characters_of_which_few_are_seen(on_too_long: str) -> None:
    text = create("cafe\u0301" + "\u200b" * 4091, smart_encoding=True, on_too_long=on_too_long)

    assert (text.body, text.remarks) == ("café", ())


def test_smart_encoding_makes_no_message_fit_that_is_longer() -> None:
    assert "has 4097 characters" in refusal("It’s" + "\u200b" * 4093, smart_encoding=True)


# Encoding


def test_the_character_that_costs_segments_is_named_with_the_way_out() -> None:
    text = create("It’s " * 20)

    assert text.body == "It’s " * 20
    assert text.remarks == (
        "The character ’ (U+2019 RIGHT SINGLE QUOTATION MARK) makes this message UCS-2: 2 segments instead of 1; "
        "smart_encoding=True would avoid it.",
    )


def test_a_character_that_nothing_replaces_is_named_without_a_way_out() -> None:
    text = create("It’s 🎉 " * 20)

    assert text.remarks == (
        "The character 🎉 (U+1F389 PARTY POPPER) makes this message UCS-2: 3 segments instead of 1.",
    )


def test_a_character_that_is_not_seen_is_named_only() -> None:
    assert create("x\u200b" * 50).remarks[0].startswith("The character U+200B ZERO WIDTH SPACE makes")


def test_ucs2_that_costs_nothing_is_not_remarked_on() -> None:
    assert create("It’s 🎉").remarks == ()


def test_smart_encoding_saves_the_segments_and_the_remark() -> None:
    text = create("It’s " * 20, smart_encoding=True)

    assert text.body == "It's " * 20
    assert (text.encoding, text.segments, text.remarks) == ("GSM-7", 1, ())


def test_smart_encoding_leaves_a_message_letter_for_letter_that_stays_ucs2() -> None:
    assert create("It’s ça", smart_encoding=True).body == "It’s ça"


def test_smart_encoding_comes_before_the_length() -> None:
    assert create("\u200bIt’s" + "x" * 252, smart_encoding=True).body == "It's" + "x" * 252


def test_smart_encoding_never_makes_a_message_too_long_that_fits() -> None:
    text = create("x" * 255 + "…", smart_encoding=True)

    assert text.body == "x" * 255 + "…"
    assert text.remarks == (
        "The character … (U+2026 HORIZONTAL ELLIPSIS) makes this message UCS-2: 4 segments instead of 2.",
    )


def test_a_truncated_message_is_encoded_smartly_too() -> None:
    assert create("It’s " * 60, smart_encoding=True, on_too_long="truncate").body == "It's " * 49 + "It's..."


@settings(deadline=None)
@given(
    st.text(max_size=300) | st.text("ab ’…\n€ж👩\u200d\u0301", min_size=200, max_size=400),
    st.sampled_from(["fail", "truncate"]),
    st.booleans(),
)
def test_whatever_is_written_is_refused_or_fit_to_be_sent(message: str, on_too_long: str, smart: bool) -> None:
    try:
        text = create(message, on_too_long=on_too_long, smart_encoding=smart)
    except InvalidMessage:
        assert len(message) > MAX_LENGTH or not message.isprintable() or not to_gsm7(message).strip()
        return
    assert 0 < len(text.body) <= 256
    assert text.body.encode()
    assert (text.encoding, text.segments) == (measure(text.body).encoding, measure(text.body).segments)
    if len(message) <= 256 and (is_gsm7(message) or not smart):
        assert text.body == message.removeprefix("\ufeff")
    assert len(message) < 30 or not any(message in remark for remark in text.remarks)
