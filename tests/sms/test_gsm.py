"""Encodings and segments, compared with 3GPP TS 23.038 and smsutil."""

from __future__ import annotations

import sys
import unicodedata

import pytest
import smsutil
from hypothesis import example, given, settings
from hypothesis import strategies as st
from smsutil.codecs import GSM_CHARSET, is_valid_gsm

from airflow_provider_dialogtech.sms.gsm import Measure, first_beyond_gsm7, is_gsm7, measure, segments_in_gsm7, to_gsm7
from tests.hostile.looking import soon

ESCAPE = "\x1b"  # smsutil counts the escape as a character; in the standard it only introduces one
GSM7 = GSM_CHARSET.replace(ESCAPE, "")
TYPOGRAPHIC = "‘’“”–—…•′″\xa0\u2009\u200b\ufeff\t`´«»ﬁ"

# Long runs reach the edges of segments; two-septet characters and surrogate pairs move those edges.
runs = st.tuples(st.sampled_from(["a", "€", "[", "\n", "ж", "🎉", "’"]), st.integers(0, 170)).map(
    lambda run: run[0] * run[1]
)
gsm_bodies = st.one_of(
    st.text(GSM7, min_size=1, max_size=400), st.lists(st.sampled_from("a€[\n"), min_size=150, max_size=330).map("".join)
)
any_bodies = st.one_of(
    st.text(min_size=1, max_size=160),
    st.lists(runs, min_size=1, max_size=4).map("".join).filter(bool),
    st.lists(st.sampled_from("aж🎉"), min_size=60, max_size=150).map("".join),
).map(lambda body: body.replace(ESCAPE, "") or "a")


@pytest.mark.parametrize(
    ("body", "encoding", "segments"),
    [
        ("a", "GSM-7", 1),
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3),
        ("€" * 80, "GSM-7", 1),
        ("€" * 81, "GSM-7", 2),
        ("€" * 152, "GSM-7", 2),  # 76 pairs to a segment of 153 septets: the last one stays empty
        ("€" * 153, "GSM-7", 3),
        ("a" * 152 + "€" + "a" * 151, "GSM-7", 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 3),
        ("ж" * 70, "UCS-2", 1),
        ("ж" * 71, "UCS-2", 2),
        ("ж" * 134, "UCS-2", 2),
        ("ж" * 135, "UCS-2", 3),
        ("🎉" * 35, "UCS-2", 1),
        ("🎉" * 36, "UCS-2", 2),
        ("🎉" * 66, "UCS-2", 2),  # 33 pairs to a segment of 67 units
        ("🎉" * 67, "UCS-2", 3),
        ("\uffff" * 70, "UCS-2", 1),  # the last character of one unit
        ("\U00010000" * 36, "UCS-2", 2),  # the first of two
        ("a" * 159 + "’", "UCS-2", 3),
    ],
)
def test_segments_are_counted_as_in_the_standard(body: str, encoding: str, segments: int) -> None:
    assert measure(body) == Measure(encoding, segments)


def test_the_alphabet_is_that_of_smsutil() -> None:
    ours = {char for char in map(chr, range(sys.maxunicode + 1)) if is_gsm7(char)}

    assert ours == set(GSM7)
    assert len(ours) == 127 + 10  # every 7-bit code but the escape, and the extension table


@settings(deadline=None)
@given(gsm_bodies | any_bodies)
@example("€" * 76 + "a" + "€" * 76)
@example("\n")
def test_encoding_and_segments_agree_with_smsutil(body: str) -> None:
    oracle = smsutil.split(body)

    found = measure(body)

    assert found.encoding == {"gsm0338": "GSM-7", "utf_16_be": "UCS-2"}[oracle.encoding]
    assert found.segments == len(oracle.parts)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("It’s “done” – nearly…", 'It\'s "done" - nearly...'),
        ("‹a› «b» ‚c‘ „d”", "'a' \"b\" 'c' \"d\""),
        ("5\u202f000\xa0rows\u2009in\u30003\u2032 20\u2033", "5 000 rows in 3' 20\""),
        ("\ufeffzero\u200bwidth\u2060 and soft\xadhyphen", "zerowidth and softhyphen"),
        ("• one\u2028• two", "* one\n* two"),
        ("`load`\ttook −3 %", "'load' took -3 %"),
        ("ﬁle, eﬀect, oﬃce", "file, effect, office"),
        ("cafe\u0301", "café"),  # the same letter, composed
        ("5 €, [x] {y}", "5 €, [x] {y}"),
    ],
)
def test_typographic_characters_have_gsm7_equivalents(written: str, plain: str) -> None:
    assert to_gsm7(written) == plain


@pytest.mark.parametrize(("unseen", "plain"), [(4091, "café"), (4092, None)])
def test_accents_are_composed_in_bodies_of_up_to_4096_characters(unseen: int, plain: str | None) -> None:
    body = "cafe\u0301" + "\u200b" * unseen

    assert to_gsm7(body) == (plain or body)


@pytest.mark.parametrize("body", ["“ça va”", "it’s 🎉", "“да”", "naïve – no", "½…", "“ŵ”"])
def test_a_body_that_cannot_be_wholly_gsm7_is_unchanged(body: str) -> None:
    assert to_gsm7(body) == body


@settings(deadline=None)
@given(st.text(st.sampled_from(GSM7 + TYPOGRAPHIC + "çж🎉\u0301"), max_size=60) | st.text(max_size=60))
def test_transliteration_is_all_or_nothing_and_touches_no_letter(body: str) -> None:
    plain = to_gsm7(body)

    assert plain == body or is_gsm7(plain)
    assert to_gsm7(plain) == plain
    assert _letters(plain) == _letters(body)
    if is_gsm7(body):
        assert plain == body


def _letters(body: str) -> list[str]:
    compatible = unicodedata.normalize("NFKC", body).replace("ʹ", "")
    return [char for char in compatible if unicodedata.category(char) in {"Lu", "Ll", "Lo", "Nd"}]


def test_the_first_irreplaceable_character_causes_ucs2() -> None:
    assert first_beyond_gsm7("it’s – 🎉 да") == "🎉"


def test_the_first_replaceable_character_causes_ucs2_where_all_are_replaceable() -> None:
    assert first_beyond_gsm7("it’s – so") == "’"


def test_no_character_causes_ucs2_in_a_gsm7_body() -> None:
    assert first_beyond_gsm7("It's 5 €\n") is None


@settings(deadline=None)
@given(any_bodies)
def test_a_character_causes_ucs2_exactly_in_bodies_beyond_gsm7(body: str) -> None:
    culprit = first_beyond_gsm7(body)

    assert (culprit is None) == is_valid_gsm(body)
    assert culprit is None or not is_gsm7(culprit)


def test_a_combining_accent_causes_ucs2_where_composing_it_would_help() -> None:
    assert first_beyond_gsm7("cafe\u0301") == "\u0301"


def test_segments_in_gsm7_count_equivalents() -> None:
    assert segments_in_gsm7("…" * 54) == 2
    assert segments_in_gsm7("ж" * 160) == 1
    assert segments_in_gsm7("cafe\u0301 " * 32) == 1


@pytest.mark.parametrize("ask", [to_gsm7, first_beyond_gsm7, segments_in_gsm7, measure])
def test_a_body_of_many_accents_is_handled_at_once(ask):
    with soon():
        ask("e" + "\u0301\u0323" * 80_000)
