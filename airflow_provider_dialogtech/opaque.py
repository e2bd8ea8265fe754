"""Keys, numbers, texts and errors that do not show what they must not.

Airflow 3.0 prints a traceback with the locals of its frames, and so do other tools: what a local holds is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# What is longer is no phone number, and Python refuses to write thousands of digits.
_LONGEST_NUMBER_BITS = 256


class Opaque(str):
    """A key, a number or a text: used as it is, shown as `'***'`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def opaque(value: Any) -> Any:
    """Return text, or a whole number in digits, as text that does not show itself; anything else as it is."""
    if type(value) is str:
        return Opaque(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _LONGEST_NUMBER_BITS:
        return Opaque(value)
    return value


def without_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Make what a function raises show none of the frames below it, neither their locals nor what led to it."""

    @wraps(function)
    def discreet(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            raised = error
        # Outside the except block, so that the error does not become its own context.
        del args, kwargs
        raised.__cause__ = raised.__context__ = None
        raise raised.with_traceback(None)

    return discreet
