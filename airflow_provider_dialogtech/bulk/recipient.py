"""A row as its message's template sees it: `recipient`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import StrictUndefined, UndefinedError

from airflow_provider_dialogtech.bulk.shapes import cell, column_names, whole
from airflow_provider_dialogtech.masking import mask_numbers, safe_repr
from airflow_provider_dialogtech.sms.missing import is_missing, missing_word

_LONGEST_PATH = 100


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
        return _seen(value, (name,))

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


def _seen(value: Any, path: tuple[Any, ...]) -> Any:
    """Return a value with `Missing` for each missing one in it.

    :param value: the value.
    :param path: the names and indices that lead to it.
    """
    if is_missing(value):
        return Missing(_in_words(value, path), exc=BadCell)
    if isinstance(value, Mapping):
        return {key: _seen(each, (*path, key)) for key, each in value.items()}
    if type(value) in {list, tuple}:
        return [_seen(each, (*path, index)) for index, each in enumerate(value)]
    return whole(value)


def _in_words(value: object, path: tuple[Any, ...]) -> str:
    word = missing_word(value)
    problem = "is empty" if word is None else f"says {word}, as if it were empty"
    # The keys of a value in a row may be a stranger's.
    written = mask_numbers("".join(map(_step, path)))[:_LONGEST_PATH]
    shown = path[0] if len(path) == 1 else written.removeprefix(".")
    return f"its `{shown}` {problem}; if it may be, write {{{{ recipient{written} | default('…') }}}}"


def _step(name: object) -> str:
    if not isinstance(name, str):
        return f"[{safe_repr(name)}]"
    return f".{name}" if name.isidentifier() else f"[{name[:_LONGEST_PATH]!r}]"
