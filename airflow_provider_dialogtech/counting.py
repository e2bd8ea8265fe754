"""Counts in sentences: `1 segment`, `2 segments`."""

from __future__ import annotations


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun.

    :param count: how many there are.
    :param one: the noun for one of them.
    :param many: the noun for none or several; by default `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
