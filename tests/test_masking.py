import base64
import html
import re
import sys
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_dialogtech.masking import clean, decode, encodings_of, mask_numbers, scrub, scrub_quotes
from airflow_provider_dialogtech.sms.numbers import AS_PEOPLE_WRITE

SECRET = "s3cr+t/=&% '\"key~ü"


def test_a_number_with_any_separator_of_the_parser_is_masked():
    accepted = [chr(code) for code in range(sys.maxunicode + 1) if AS_PEOPLE_WRITE.fullmatch(chr(code))]
    separators = [sign for sign in accepted if not sign.isdecimal()]
    assert len(separators) > 40
    for sign in separators:
        assert mask_numbers(f"to {sign.join(('212', '555', '0187'))}!") == "to …0187!", hex(ord(sign))


@pytest.mark.parametrize(
    "separator",
    [
        "",
        " ",
        "   ",
        "\xa0",
        "\u2013",
        "\u2212",
        "\xad",
        "\u200b",
        ",",
        ", ",
        "_",
        "*",
        "~",
        "] [",
        "\u2022",
        "\ufe0f\u20e3",
        "\u202e",
        "\x85",
    ],
)
def test_a_number_is_masked_with_any_separator(separator):
    assert mask_numbers(f"No {separator.join('2125550187')}.") == "No …0187."


@pytest.mark.parametrize("written", ["+1 (212) 555-0187", "(212)555-0187", "212\r\n555\t0187", "２１２５５５0187"])
def test_a_number_is_masked_in_usual_notations(written):
    assert mask_numbers(f"to {written} today") == "to …0187 today"


@pytest.mark.parametrize("text", ["1,234,567 rows", "12 of 345", "at 12:30:59", "999,999", "v3.11.7"])
def test_a_text_without_a_phone_number_is_unchanged(text):
    assert mask_numbers(text) == text


def test_a_number_with_the_commas_of_a_count_is_masked():
    assert mask_numbers("2,125,550,187") == "…0187"


@pytest.mark.parametrize("hostile", ["1 " * 50_000, "1" * 100_000, "1,234,567" * 10_000, "+(" * 50_000])
def test_masking_is_fast_for_hostile_texts(hostile):
    mask_numbers(hostile)


@pytest.mark.parametrize(
    "form",
    [
        str,
        str.upper,
        quote,
        lambda secret: quote(secret, safe=""),
        quote_plus,
        lambda secret: quote(quote(secret, safe=""), safe=""),
        html.escape,
        lambda secret: html.escape(secret).replace("&#x27;", "&apos;"),
        lambda secret: "".join(f"&#{ord(letter)};" for letter in secret),
        lambda secret: secret.replace("/", "\\/").replace('"', '\\"'),
        lambda secret: secret.encode().hex(),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.b64encode(f"k={secret}!".encode()).decode(),
    ],
)
def test_a_secret_is_scrubbed_in_every_form(form):
    scrubbed = scrub(f"before {form(SECRET)} after", SECRET)
    assert re.fullmatch(r"before \S{0,4}\*\*\*\S{0,5} after", scrubbed)


def test_a_text_without_a_secret_is_unchanged():
    text = "100%25 of &amp; \\u0041 at 12:30"
    assert scrub(text, SECRET) == text
    assert scrub(text) == scrub(text, "") == text


def test_a_secret_that_begins_with_another_is_scrubbed_whole():
    assert scrub("abcdef abc", "abc", "abcdef") == "*** ***"


def test_every_listed_form_is_scrubbed():
    for form in encodings_of(SECRET):
        assert "***" in scrub(f"<{form}>", SECRET)


def test_a_quote_of_the_message_is_scrubbed():
    quoted = "The nightly load of the warehouse failed"
    assert scrub_quotes("Bad words in 'nightly load of the ware'", quoted) == "Bad words in '***'"
    assert scrub_quotes("Bad words in 'THE NIGHTLY LOAD OF THE WAREHOUSE FAILED'.", quoted) == "Bad words in '***'."
    assert scrub_quotes("The number is wrong", quoted) == "The number is wrong"


def test_cleaning_leaves_one_line_of_visible_characters():
    assert clean(" a\x85b\u202ec\u2066d\ud800e\x9bf\r\n g\u200bh\0i ") == "a bcde f gh i"
    assert clean("Grüße, 世界 🎉 ’") == "Grüße, 世界 🎉 ’"


def test_decoding_undoes_nested_encodings_and_ends():
    assert decode("&amp;#37;41 %2541 \\u0041") == "A A A"
    decode("%25" * 20_000 + "41")
