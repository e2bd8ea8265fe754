"""Keys, numbers, texts and errors that say nothing of what they must not.

Airflow 3.0 prints a traceback with the locals of its frames, and so do other tools: what stands in a local is shown.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import mask_number

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_LONGEST_NAME = 60
_LONGEST_NUMBER_BITS = 256


class Private(Generic[T_co]):
    """Holds what no traceback may show: tools that print the locals of a frame meet `***`.

    :param value: what to hold.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T_co) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "***"

    def reveal(self) -> T_co:
        """Return the value. It must not become a local of a frame that can raise."""
        return self._value


class Opaque(str):
    """A key, a number or a text: used as it is, shown as `'***'`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def opaque(value: Any) -> Any:
    """Return text, or a whole number in digits, as text that does not show itself; anything else as it is."""
    if isinstance(value, str) and type(value) in {str, Opaque}:
        return Opaque(value)
    # What is longer is no phone number, and Python refuses to write thousands of digits.
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _LONGEST_NUMBER_BITS:
        return Opaque(value)
    return value


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
