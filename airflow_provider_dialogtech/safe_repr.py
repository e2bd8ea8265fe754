"""What may be said of a thing that may be huge, or raise when it is asked for its text."""

from __future__ import annotations

import reprlib

_LONGEST_NAME = 60


def safe_str(thing: object, longest: int) -> str:
    """Return the text of a thing, at most so many characters of it; nothing where making it raises.

    How much time and memory it takes to make the text cannot be bounded here.
    """
    try:
        return str(str(thing)[:longest])
    except Exception:
        return ""


def safe_repr(thing: object) -> str:
    """Return a wrong argument as its author wrote it, shortened; for arguments that hold no number and no text."""
    try:
        return reprlib.repr(thing)[:_LONGEST_NAME]
    except Exception:
        return f"something of type {type_name(thing)}"


def type_name(thing: object) -> str:
    """Return the name of a thing's type, whatever its type does to hide it."""
    try:
        return str(type(thing).__name__)[:_LONGEST_NAME]
    except Exception:
        return "object"
