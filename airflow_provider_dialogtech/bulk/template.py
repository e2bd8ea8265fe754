"""The message template of a list, rendered for each row, which it sees as `recipient`."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import StrictUndefined, UndefinedError

from airflow_provider_dialogtech.bulk.shapes import cell, column_names, plain, spilled, undecoded, whole
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import mask_numbers, safe_repr, safe_str, type_name, without_locals
from airflow_provider_dialogtech.settings.templates import (
    UNDEFINED,
    BadPiece,
    environment_of,
    in_single_braces,
    pieces_of,
    plain_text_of,
    template_of,
)
from airflow_provider_dialogtech.sms.message import SmsMessage, normalize_number
from airflow_provider_dialogtech.sms.missing import is_missing, missing_word

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import BaseOperator, Context

LONGEST_TEMPLATE = 100_000
"""No message of 256 characters needs a longer template, and compiling one takes time."""
LONGEST_READ = 10_000
_ABSENT = object()
_LONGEST_WORDS = 150
_MOST_VALUES = 1_000
_SHORTEST_VALUE = 3
_LONGEST_PATH = 100


class RowTemplate:
    """A message template, or the `.sms` file that holds it, compiled once.

    :param task: the task whose DAG has the template's folders, filters and macros.
    :param message: the template, or the path of its file, encoded in UTF-8.
    :param context: Airflow's variables, for the template.
    :raises InvalidMessage: when the template is invalid, or its file cannot be read.
    """

    @without_locals
    def __init__(self, task: BaseOperator, message: str, context: Context) -> None:
        if len(message) > LONGEST_TEMPLATE:
            raise InvalidMessage(f"`message` has more than {LONGEST_TEMPLATE:,} characters", before_any=True)
        # An undefined value is an error in the row.
        environment = environment_of(task, undefined=StrictUndefined)
        environment.tests = {**environment.tests, "none": is_none}
        self._suspect = message if in_single_braces(message, lambda _: True) else ""
        problem: InvalidMessage
        try:
            self._template = template_of(environment, message, task.template_ext)
        except InvalidMessage as error:
            problem = error
        except Exception as error:  # of any kind: deep nesting makes Jinja's and Python's parsers fail
            problem = InvalidMessage(f"`message` is not a valid template ({_in_words(error)})", before_any=True)
        else:
            self._context = context
            return
        raise problem

    def compose(self, row: Mapping[str, Any], *, number_of: Callable[[object], object], **options: Any) -> SmsMessage:
        """Return the message of a row.

        :param number_of: returns the number of a row's `to`, which may be a contact.
        :param options: the other arguments of `SmsMessage.create`.
        :raises InvalidMessage: when the row is invalid.
        """
        if spilled(row):
            raise InvalidMessage("it has more cells than there are columns: put a cell that has a comma into quotes")
        try:
            to = cell(row, "to")
        except KeyError:
            raise InvalidMessage("it has no `to`, which is where its phone number belongs") from None
        if problem := in_single_braces(self._suspect, lambda name: self._is_known(name, row)):
            raise InvalidMessage(f"its message {problem}")
        recipient = normalize_number(number_of(to), "to")
        body = self.render(row)
        return SmsMessage.create(to=recipient, message=body, **options)

    def _is_known(self, name: str, row: Mapping[str, Any]) -> bool:
        return name == "recipient" or name in self._context or _has(row, name)

    @without_locals
    def render(self, row: Mapping[str, Any]) -> str:
        """Return the body of a row, cut to `LONGEST_READ` characters.

        Neither the rendering time nor the size of a single value is bounded.

        :raises InvalidMessage: when it cannot be rendered, or needs a value that the row lacks.
        """
        try:
            return _beginning(pieces_of(self._template, ChainMap({"recipient": Recipient(row)}, self._context)))  # type: ignore[arg-type]
        except BadCell as error:
            problem = str(error)
        except InvalidMessage as error:
            problem = error.reason
        except BadPiece as error:
            problem = f"in its message, {error}; {error.advice[0].lower()}{error.advice[1:-1]}"
        except Exception as error:
            problem = f"its message cannot be rendered ({_in_words(error, row)})"
            name = UNDEFINED.match(safe_str(error, LONGEST_READ))
            if name is not None and _has(row, name[1]):
                problem = f"its message has {{{{ {name[1]} }}}}: write {{{{ recipient.{name[1]} }}}}"
        raise InvalidMessage(problem)


def _has(row: Mapping[str, Any], name: str) -> bool:
    return cell(row, name, _ABSENT) is not _ABSENT


def _beginning(pieces: Iterable[Any]) -> str:
    """Join the pieces until they exceed `LONGEST_READ` characters."""
    taken, length = [], 0
    for piece in pieces:
        taken.append(text := plain_text_of(piece))
        if signs := undecoded(text):
            raise BadPiece(f"{signs} is UTF-8 in another encoding", advice="Open the file with utf-8-sig.")
        length += len(text)
        if length > LONGEST_READ:
            break
    # Some editors write a byte order mark at the start of a file.
    return "".join(taken).removeprefix("\ufeff")[:LONGEST_READ]


def _in_words(error: Exception, row: Mapping[str, Any] | None = None) -> str:
    """Return an error's message without the row's values, which Python's errors often quote."""
    words = safe_str(error, LONGEST_READ)
    for value in _strings_in(row or {}):
        words = words.replace(value, "…")
    words = mask_numbers(words)[:_LONGEST_WORDS]
    return f"{type_name(error)}: {words}" if words else type_name(error)


def _strings_in(row: Mapping[str, Any]) -> list[str]:
    """Return the row's values as an error may quote them, the longest first, because one may contain another.

    Values shorter than `_SHORTEST_VALUE` are left out, because they occur in other words.
    """
    found: set[str] = set()
    waiting: list[Any] = [list(row.values())]
    for _ in range(_MOST_VALUES):
        if not waiting:
            break
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [list(value.values())]
        elif isinstance(value, list | tuple):
            waiting += value[:_MOST_VALUES]
        else:
            written = safe_str(value, LONGEST_READ)
            found |= {written, repr(written)[1:-1]}
    return sorted((text for text in found if len(text) >= _SHORTEST_VALUE), key=len, reverse=True)


class BadCell(UndefinedError):
    """The template needs a value that the row lacks. Its message names the column, and quotes nothing else."""


class Recipient:
    """A row's values by name. It has no methods, which would shadow values named `items` or `count`."""

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

    :param path: the names and indices that lead to it.
    """
    value = plain(value)
    if is_missing(value):
        return Missing(_why_missing(value, path), exc=BadCell)
    if isinstance(value, Mapping):
        return {key: _seen(each, (*path, key)) for key, each in value.items()}
    if type(value) in {list, tuple}:
        return [_seen(each, (*path, index)) for index, each in enumerate(value)]
    return whole(value)


def _why_missing(value: object, path: tuple[Any, ...]) -> str:
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
