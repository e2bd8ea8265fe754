"""A row as its message's template sees it: `recipient`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import StrictUndefined, UndefinedError

from airflow_provider_dialogtech.bulk.shapes import cell, column_names, whole
from airflow_provider_dialogtech.sms.missing import is_missing, missing_word


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
        return _seen(value, name, "recipient")

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


def is_none(value: object) -> bool:
    """Jinja's test `none`, which a missing value passes."""
    return value is None or isinstance(value, Missing)


def _seen(value: Any, name: Any, inside: str) -> Any:
    """Return a value with `Missing` for each missing one in it.

    :param value: the value.
    :param name: its name, or its index in a list.
    :param inside: the expression of what it is in.
    """
    is_name = isinstance(name, str) and name.isidentifier()
    written = f"{inside}.{name}" if is_name else f"{inside}[{name!r}]"
    if is_missing(value):
        shown = name if inside == "recipient" else written.removeprefix("recipient.")
        return Missing(_in_words(shown, value, written), exc=BadCell)
    if isinstance(value, Mapping):
        return {key: _seen(each, key, written) for key, each in value.items()}
    if type(value) in {list, tuple}:
        return [_seen(each, index, written) for index, each in enumerate(value)]
    return whole(value)


def _in_words(name: str, value: object, written: str) -> str:
    word = missing_word(value)
    problem = "is empty" if word is None else f"says {word}, as if it were empty"
    return f"its `{name}` {problem}; if it may be, write {{{{ {written} | default('…') }}}}"
