"""Colours of the inbox page, from its files; tests/sandbox/test_inbox.py needs a browser."""

import colorsys
import re
from pathlib import Path

import pytest

from airflow_provider_dialogtech.sandbox import app

INBOX = Path(app.__file__).with_name("inbox")
CSS = (INBOX / "inbox.css").read_text()
READABLE = 4.5  # WCAG 2, level AA
WHITE = (1.0, 1.0, 1.0)


def luminance(color):
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_white_letters_are_legible_on_a_face_of_every_colour():
    saturation, lightness = map(int, re.search(r"hsl\(var\(--hue\) (\d+)% (\d+)%\)", CSS).groups())
    faces = [colorsys.hls_to_rgb(hue / 360, lightness / 100, saturation / 100) for hue in range(360)]
    assert min(contrast(face, WHITE) for face in faces) >= READABLE


def themes():
    """Read the colours of the light theme and of the dark one."""
    return [
        {
            name: tuple(int(digit * (3 - len(value) // 3) if len(value) == 3 else digit, 16) / 255 for digit in digits)
            for name, value in re.findall(r"--([\w-]+): #([0-9a-f]{3,6});", block)
            for digits in [re.findall("." if len(value) == 3 else "..", value)]
        }
        for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    ]


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
@pytest.mark.parametrize(
    ("words", "ground"),
    [
        ("ink", "card"),
        ("ink", "bubble"),
        ("quiet", "card"),
        ("quiet", "page"),
        ("quiet", "hover"),
        ("quiet", "track"),
        ("good", "good-fill"),
        ("bad", "bad-fill"),
        ("bad", "card"),
        ("wide", "wide-fill"),
    ],
)
def test_words_are_legible_on_their_background(theme, words, ground):
    assert contrast(theme[words], theme[ground]) >= READABLE
