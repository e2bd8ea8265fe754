"""A row as its message's template sees it: `recipient`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import StrictUndefined, UndefinedError

from airflow_provider_dialogtech.bulk.shapes import cell, column_names
from airflow_provider_dialogtech.sms.missing import is_missing, missing_word

# A float counts whole numbers exactly up to here.
_LARGEST_WHOLE = 2**53


class BadCell(UndefinedError):
    """The template needs a value that the row lacks. Its message names the column, and quotes nothing else."""


class Recipient:
    """A row's values by name. It has no methods, which would shadow values named `items` or `count`.

    :param row: the row's values.
    """

    __slots__ = ("_row",)

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    def __getitem__(self, name: str) -> Any:
        if not isinstance(name, str):
            raise KeyError(name)
        try:
            value = cell(self._row, name)
        except KeyError:
            return StrictUndefined(f"it has no `{name}`; its columns are {column_names(self._row)}", exc=BadCell)
        if is_missing(value):
            return Missing(_in_words(name, value), exc=BadCell)
        # A data frame has floats in a column of whole numbers where one is missing.
        if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_WHOLE:
            return int(value)
        return value

    def __str__(self) -> str:
        raise BadCell("`recipient` is the whole row: name a column, as in {{ recipient.to }}")

    def __iter__(self) -> NoReturn:
        str(self)
        raise NotImplementedError


class Missing(StrictUndefined):
    """A missing value: false and equal to what is missing, as in `if` and `or`; any other use of it is an error."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return isinstance(other, Missing) or is_missing(other)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(None)


def _in_words(name: str, value: object) -> str:
    word = missing_word(value)
    problem = "is empty" if word is None else f"says {word}, as if it were empty"
    written = f"recipient.{name}" if name.isidentifier() else f"recipient[{name!r}]"
    return f"its `{name}` {problem}; if it may be, write {{{{ {written} | default('…') }}}}"
