"""Refuses what a task in a YAML DAG (Airflow 3.4) would send otherwise than it is written.

In such a file, an argument is a template, or the name of a file, only if it is marked; and YAML reads words without
quotes as numbers, times and switches.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_dialogtech.bulk.shapes import fold
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import type_name
from airflow_provider_dialogtech.settings.templates import expression_in, is_file

_QUOTE_NUMBER = 'Quote the number: without quotes, YAML drops the plus of "+6581234567".'


def is_unmarked(task: Any, name: str) -> bool:
    """Return whether an argument that could be a template is none, because a YAML DAG does not mark it as one.

    :param task: the operator.
    :param name: the argument.
    """
    return name in type(task).template_fields and name not in task.template_fields


def require_as_written(task: Any) -> None:
    """Refuse a message that would be sent otherwise than it is written.

    :param task: the operator.
    :raises InvalidMessage: when that is so.
    """
    if is_unmarked(task, "to") and not isinstance(task.to, str):
        raise _not_text("`to`", task.to)
    _require_quoted_sender(task)
    if not is_unmarked(task, "message"):
        return
    if not isinstance(task.message, str):
        raise _not_text("`message`", task.message, advice="Quote it.")
    if expression := expression_in(task.message):
        raise InvalidMessage(
            f"`message` contains {expression}, which Airflow did not render",
            advice="In a YAML DAG, mark it as a template: message: {$t: …}.",
        )
    if is_file(task.message, type(task).template_ext):
        raise InvalidMessage(
            "`message` is the name of a file, which Airflow did not read",
            advice="In a YAML DAG, mark it as one: message: {$t: {$f: …}}.",
        )


def require_quoted_numbers(task: Any) -> None:
    """Refuse a list in a YAML DAG one of whose numbers, or whose sender, has no quotes.

    :param task: the operator.
    :raises InvalidMessage: when that is so.
    """
    _require_quoted_sender(task)
    if not is_unmarked(task, "recipients") or not isinstance(task.recipients, Iterable):
        return
    for place, row in enumerate(task.recipients, 1):
        numbers = [row[name] for name in row if fold(str(name)) == "to"] if isinstance(row, dict) else [row]
        for number in numbers:
            if number is not None and not isinstance(number, str):
                raise _not_text(f"the number of row {place}", number, before_any=True)


def _require_quoted_sender(task: Any) -> None:
    if is_unmarked(task, "from_") and isinstance(task.from_, int | float):
        raise _not_text("`from_`", task.from_, before_any=True)


def _not_text(what: str, value: object, *, advice: str = _QUOTE_NUMBER, before_any: bool = False) -> InvalidMessage:
    return InvalidMessage(f"YAML reads {what} as {type_name(value)}, not as text", advice=advice, before_any=before_any)
