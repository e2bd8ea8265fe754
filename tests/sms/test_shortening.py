"""Where `shorten` cuts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dialogtech.sms.gsm import is_gsm7
from airflow_provider_dialogtech.sms.message import shorten

FAMILY = "👨‍👩‍👧"


def test_a_text_that_fits_is_unchanged() -> None:
    assert shorten("ten chars ", 10) == "ten chars "


def test_a_gsm7_text_is_cut_at_a_word_and_stays_gsm7() -> None:
    assert shorten("The load of customers failed", 20) == "The load of..."
    assert shorten("The load of customers failed", 24) == "The load of customers..."


def test_another_text_is_cut_with_an_ellipsis() -> None:
    assert shorten("Загрузка клиентов не удалась", 20) == "Загрузка клиентов…"


def test_the_mark_depends_on_the_rest_of_the_text() -> None:
    assert shorten("The load failed ’twas", 20) == "The load failed..."


def test_a_word_that_begins_early_is_cut_in_its_middle() -> None:
    assert shorten("See the-log-of-the-very-long-run", 20) == "See the-log-of-th..."


LINK = "https://example.com/runs/1"


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("See https://example.com/a/very/long/path", 20, "See..."),
        (f"See {LINK} now", 20, "See..."),
        (f"See {LINK} for all of the log", 34, f"See {LINK} ..."),
        (f"See {LINK} for all of the log", 33, "See..."),
        (f"See {LINK} for all of the log", 42, f"See {LINK} for all..."),
        (f"Смотри {LINK} подробнее", 35, f"Смотри {LINK} …"),
        (f"See {LINK}?{'q' * 99} and more", 60, "See..."),
        ("The log: www.example.com/a/very/long/path", 30, "The log:..."),
        ("The log: HTTPS://EXAMPLE.COM/A/VERY/LONG/PATH", 30, "The log:..."),
        (f"{LINK} {LINK} {LINK}", 60, f"{LINK} {LINK} ..."),
        (LINK * 2, 40, "..."),
    ],
)
def test_a_link_is_kept_whole_or_left_out(text, limit, cut) -> None:
    assert shorten(text, limit) == cut
    assert len(cut) <= limit


def test_no_space_precedes_the_mark() -> None:
    assert shorten("one two    three four", 14) == "one two..."


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        (FAMILY * 3, 12, FAMILY * 2 + "…"),
        ("ж" * 4 + "👍🏽" + "ж", 6, "жжжж…"),
        ("ж" * 4 + "❤️" + "ж", 6, "жжжж…"),
        ("жe\u0301жж", 3, "ж…"),
        ("🇺🇸🇨🇦🇲🇽", 4, "🇺🇸…"),
        ("🇺🇸🇨🇦🇲🇽", 5, "🇺🇸🇨🇦…"),
        ("ж🇺🇸🇨🇦", 4, "ж🇺🇸…"),
        ("🇳🇿🇿🇦🇺🇸", 4, "🇳🇿…"),
        ("🇦🇺🇦🇹🇺🇸", 4, "🇦🇺…"),
    ],
)
def test_no_emoji_flag_or_accent_is_split(text: str, limit: int, cut: str) -> None:
    assert shorten(text, limit) == cut


@pytest.mark.parametrize("sign", ["\U0001f3fb", "\U0001f3ff", "\U000e0020", "\U000e007f"])
def test_no_skin_tone_and_no_flag_tag_is_split_from_its_emoji(sign: str) -> None:
    assert shorten("ж" * 4 + "👍" + sign + "ж", 6) == "жжжж…"


def test_a_single_long_character_is_split_rather_than_lost() -> None:
    assert shorten("e" + "\u0301" * 50, 10) == "e" + "\u0301" * 8 + "…"


@pytest.mark.parametrize(("limit", "cut"), [(-1, ""), (0, ""), (1, "."), (2, ".."), (3, "..."), (4, "a...")])
def test_a_limit_is_kept_however_small(limit: int, cut: str) -> None:
    assert shorten("abcdef", limit) == cut


@pytest.mark.parametrize(("text", "limit", "cut"), [("", -1, ""), ("", 0, ""), ("a", 0, ""), ("a", 1, "a")])
def test_a_very_short_text_is_cut_as_any_other(text: str, limit: int, cut: str) -> None:
    assert shorten(text, limit) == cut


@settings(deadline=None)
@given(st.text(max_size=80) | st.text("ab ж’\n\u0301\u200d👩🇺🏽", max_size=80), st.integers(-2, 90))
def test_a_cut_text_is_its_own_beginning_within_the_limit(text: str, limit: int) -> None:
    short = shorten(text, limit)

    assert len(short) <= max(limit, 0)
    if len(text) <= limit:
        assert short == text
    elif limit >= len("..."):
        mark = "..." if is_gsm7(short) else "…"
        assert short.endswith(mark)
        head = short.removesuffix(mark)
        assert text.startswith(head)
        assert head == head.rstrip()


@settings(deadline=None)
@given(
    st.text("aж", min_size=1, max_size=8),
    st.lists(st.sampled_from(["a", " ", "e\u0301", FAMILY, "❤️", "🇺🇸"]), min_size=8, max_size=40),
)
def test_a_cut_falls_between_visible_characters(start: str, seen: list[str]) -> None:
    text = start + "".join(seen)
    short = shorten(text, len(text) - 1)

    kept = short.removesuffix("…").removesuffix("...")
    edges = {len(start + "".join(seen[:count])) for count in range(len(seen) + 1)} | set(range(len(start)))
    assert len(kept) in edges
    assert not unicodedata.category(text[len(kept)]).startswith("M")
