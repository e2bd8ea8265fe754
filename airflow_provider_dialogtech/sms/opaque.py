"""Numbers, texts and errors that say nothing of what they must not.

Airflow 3.0 prints a traceback with the locals of its frames, and so do other tools: what stands in a local is shown.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from airflow_provider_dialogtech.api.errors import InvalidMessage
from airflow_provider_dialogtech.masking import mask_number

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST_NAME = 60


class Number(str):
    """The digits of a phone number that was normalized. Logs and tracebacks show its last four."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask_number(self))


class Text(str):
    """What a text says. Logs and tracebacks show how long it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<a text of {len(self)} characters>"


def without_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Make what a function refuses show none of the frames in which it was found out, nor the function's arguments."""

    @wraps(function)
    def refusing(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except InvalidMessage as error:
            refusal = error.with_traceback(None)
        del args, kwargs
        refusal.__cause__ = refusal.__context__ = None
        raise refusal

    return refusing


def words_of(thing: object, most: int) -> str:
    """Return what a thing says of itself, at most so many characters of it; nothing where it raises.

    How long it takes to say it, and how much memory, cannot be bounded here.
    """
    try:
        return str(str(thing)[:most])
    except Exception:
        return ""


def type_name(thing: object) -> str:
    """Return the name of a thing's type, whatever its type does to hide it."""
    try:
        return str(type(thing).__name__)[:_LONGEST_NAME]
    except Exception:
        return "object"


def shown(thing: object) -> str:
    """Return a wrong argument as its author wrote it, shortened; for arguments that hold no number and no text."""
    try:
        return reprlib.repr(thing)[:_LONGEST_NAME]
    except Exception:
        return f"something of type {type_name(thing)}"
