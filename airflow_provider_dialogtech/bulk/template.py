"""The message template of a list, rendered for each row."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import mask_numbers, safe_str, type_name, without_locals

if TYPE_CHECKING:
    from airflow_provider_dialogtech._compat import BaseOperator, Context
    from airflow_provider_dialogtech.sms.message import SmsMessage

LONGEST_TEMPLATE = 100_000
"""No message of 256 characters needs a longer template, and compiling one takes time."""


class RowTemplate:
    """A message template, or the `.sms` file that holds it, compiled once.

    :param task: the task whose DAG has the template's folders, filters and macros.
    :param message: the template, or the path of its file, encoded in UTF-8.
    :param context: Airflow's variables, for the template.
    :raises InvalidMessage: when the template is invalid, or its file cannot be read.
    """

    @without_locals
    def __init__(self, task: BaseOperator, message: str, context: Context) -> None:
        import jinja2
        from jinja2.sandbox import SandboxedEnvironment

        dag = task.get_dag()
        # Never the native environment: a message renders to a string. An undefined value is an error in the row.
        environment = dag.get_template_env(force_sandboxed=True) if dag is not None else SandboxedEnvironment()
        environment = environment.overlay(undefined=jinja2.StrictUndefined)
        if len(message) > LONGEST_TEMPLATE:
            raise InvalidMessage(f"`message` has more than {LONGEST_TEMPLATE:,} characters", before_any=True)
        advice = ""
        try:
            if message.endswith(tuple(task.template_ext)):
                self._template = environment.get_template(message)
            else:
                self._template = environment.from_string(message)
        except UnicodeDecodeError:
            name = mask_numbers(message)[:_LONGEST_WORDS]
            problem, advice = f"cannot be read: the file {name} is not in UTF-8", "Save it as UTF-8."
        except Exception as error:  # of any kind: deep nesting makes Jinja's and Python's parsers fail
            problem = f"is not a valid template ({_in_words(error)})"
        else:
            self._context = context
            return
        raise InvalidMessage(f"`message` {problem}", advice=advice, before_any=True)

    def compose(self, row: Mapping[str, Any], *, number_of: Callable[[object], object], **options: Any) -> SmsMessage:
        """Return the message of a row.

        :param row: the row's values.
        :param number_of: returns the number of a row's `to`, which may be a contact.
        :param options: the other arguments of `SmsMessage.create`.
        :raises InvalidMessage: when the row is invalid.
        """
        from airflow_provider_dialogtech.sms.message import SmsMessage

        if "to" not in row:
            raise InvalidMessage("it has no `to`, which is where its phone number belongs")
        return SmsMessage.create(to=number_of(row["to"]), message=self.render(row), **options)

    @without_locals
    def render(self, row: Mapping[str, Any]) -> str:
        """Return the body of a row, cut to `LONGEST_READ` characters.

        Neither the rendering time nor the size of a single value is bounded.

        :param row: the row's values.
        :raises InvalidMessage: when it cannot be rendered.
        """
        template = self._template
        environment = template.environment
        # Without a copy of the context, as in Airflow: its deprecated variables warn when they are read.
        variables: Any = ChainMap({"recipient": Recipient(row)}, self._context, template.globals)  # type: ignore[arg-type]
        context = environment.context_class(environment, variables, template.name, template.blocks)
        try:
            return _beginning(template.root_render_func(context))
        except Exception as error:
            problem = f"its message cannot be rendered ({_in_words(error, row)})"
        raise InvalidMessage(problem)


def _beginning(pieces: Iterable[str]) -> str:
    """Join the pieces until they exceed `LONGEST_READ` characters."""
    taken, length = [], 0
    for piece in pieces:
        taken.append(piece)
        length += len(piece)
        if length > LONGEST_READ:
            break
    # Some editors write a byte order mark at the start of a file.
    return "".join(taken).removeprefix("\ufeff")[:LONGEST_READ]


def _in_words(error: Exception, row: Mapping[str, Any] | None = None) -> str:
    """Return an error's message without the row's values, which Python's errors often quote."""
    words = safe_str(error, LONGEST_READ).replace(_RECIPIENT_IN_JINJAS_WORDS, "recipient")
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


class Recipient:
    """A row's values by name. It has no methods, which would shadow values named `items` or `count`.

    :param row: the row's values.
    """

    __slots__ = ("_row",)

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    def __getitem__(self, name: str) -> Any:
        return self._row[name]


_RECIPIENT_IN_JINJAS_WORDS = f"{Recipient.__module__}.{Recipient.__qualname__} object"
_LONGEST_WORDS = 150
LONGEST_READ = 10_000
_MOST_VALUES = 1_000
_SHORTEST_VALUE = 3
