"""Text that does not show itself where a traceback shows local variables, as Airflow's console does."""

from __future__ import annotations

from typing import Any

_LONGEST_NUMBER_BITS = 256


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
