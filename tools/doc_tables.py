"""Generates the documentation's tables of settings, connection fields, states, arguments and errors from the code.

The tables are part of the pages, so that they can be read without a built site. `python -m tools.doc_tables` updates
them.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_dialogtech import exceptions
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.states import MOVES
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.bulk import DialogTechSendBulkSmsOperator
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator
from airflow_provider_dialogtech.settings.config import OPTIONS
from airflow_provider_dialogtech.settings.fields import EXTRA_FIELDS, Field

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = Path(exceptions.__file__).parent

_TABLE = re.compile(r"(<!-- table: ([A-Za-z_ ]+) -->\n).*?(<!-- end of the table -->\n)", re.DOTALL)


def with_tables(markdown: str) -> str:
    """Return a page with current tables."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{_TABLES[found[2]]()}\n\n{found[3]}", markdown)


def settings_table() -> str:
    """Return the table of the settings of `[dialogtech]`."""
    rows = [(f"`{name}`", option["description"], _code(option["default"])) for name, option in OPTIONS.items()]
    return _table(("setting", "what it is", "default"), rows)


def fields_table() -> str:
    """Return the table of the fields of a connection's extra."""
    rows = [(f"`{field.name}`", field.label, field.description, _values(field)) for field in EXTRA_FIELDS]
    return _table(("key in the extra", "in the form", "what it is", "values"), rows)


def states_table() -> str:
    """Return the table of the moves of a message between states."""
    rows = [
        (
            " or ".join(f"`{state}`" for state in move.before) or "new",
            " or ".join(f"`{state}`" for state in move.after),
            move.by,
            move.when,
            f"`{move.step}`",
        )
        for move in MOVES
    ]
    return _table(("from", "to", "by", "when", "statement"), rows)


def arguments_table(owner: Any) -> str:
    """Return the table of the arguments of a class or a function, with the words of its docstring."""
    defaults = _defaults(owner)
    rows = [(f"`{name}`", words, defaults.get(name, "")) for name, words in _documented(owner)]
    return _table(("argument", "what it is", "default"), rows)


def result_table() -> str:
    """Return the table of the fields of a result."""
    rows = [(f"`{name.rstrip('_')}`", words) for name, words in _documented(SendResult)]
    return _table(("field", "what it is"), rows)


def errors_table() -> str:
    """Return the table of the errors, each with the fields that its base has not."""
    rows = []
    for name in sorted(exceptions.__all__, key=_depth):
        error = getattr(exceptions, name)
        of_base = dict(_documented(error.__mro__[1]))
        fields = [f"`{field}`: {words}" for field, words in _documented(error) if field not in of_base]
        bases = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
        happened = (inspect.getdoc(error) or "").split("\n\n")[0]
        rows.append((f"`{name}`", bases, " ".join(happened.split()), "<br>".join(fields)))
    return _table(("error", "is a", "what happened", "its fields"), rows)


def reasons_list() -> str:
    """Return the reasons that the package's errors give, as they are written in the code, by what they are about."""
    sections: dict[str, set[str]] = {}
    for folder, name, reason in written_reasons():
        sections.setdefault(_ABOUT.get(folder, "Other"), set()).add(f"- {reason} (`{name}`)")
    lists = ((title, sorted(sections[title], key=str.casefold)) for title in sorted(sections))
    return "\n\n".join("\n".join((f"## {title}", "", *reasons)) for title, reasons in lists)


def written_reasons() -> Iterator[tuple[str, str, str]]:
    """Yield the folder of each error that the code raises, its class, and its reason with `…` for each value."""
    for source in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if source.parent.name == "sms" and isinstance(node, ast.expr) and _PROBLEM.match(_text_of(node)):
                yield "sms", exceptions.InvalidMessage.__name__, f"`…` {_text_of(node).rstrip(' :…')}"
            if isinstance(node, ast.Call) and node.args:
                name = ast.unparse(node.func).rpartition(".")[2]
                reason = _text_of(node.args[0])
                if name in exceptions.__all__ and len(re.findall(r"\w+", reason)) >= _FEWEST_WORDS:
                    yield source.relative_to(PACKAGE).parts[0], name, reason


_ABOUT = {
    "alerts": "Alerts",
    "notifications": "Arguments of the notifier",
    "api": "DialogTech and its answers",
    "bulk": "Lists",
    "cli": "Commands",
    "operations": "Commands",
    "decorators": "Operators and decorator",
    "operators": "Operators and decorator",
    "delivery": "Delivery",
    "door": "The journal through Airflow's API server",
    "hooks": "Connection and hook",
    "settings": "Connection, contacts and settings",
    "journal": "The journal",
    "sms": "Message and numbers",
}
# What is wrong with a number follows the parameter's name.
_PROBLEM = re.compile(r"(is|has|contains) (?!a number of $)\w+ \w+,? [\w…]")
# Shorter reasons consist of values.
_FEWEST_WORDS = 3


def _text_of(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _depth(name: str) -> int:
    return len(getattr(exceptions, name).__mro__)


def _documented(owner: Any) -> list[tuple[str, str]]:
    """Return the parameters of a docstring in Airflow's form, and what it says of each."""
    text = inspect.getdoc(owner) or ""
    found = re.findall(r"^:param (\w+): (.*?)(?=^:|\Z)", text, re.MULTILINE | re.DOTALL)
    return [(name, " ".join(words.split()).rstrip(".")) for name, words in found]


def _defaults(owner: Any) -> dict[str, str]:
    """Return the default of each parameter, of a class also those that its bases take."""
    calls = [vars(base).get("__init__") for base in reversed(owner.__mro__)] if isinstance(owner, type) else [owner]
    parameters = {name: found for call in calls if call for name, found in inspect.signature(call).parameters.items()}
    return {name: _default(found.default) for name, found in parameters.items()}


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if isinstance(value, timedelta):
        return f"`timedelta(minutes={value.total_seconds() // 60:.0f})`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _values(field: Field) -> str:
    if field.choices:
        return ", ".join(map(_code, field.choices))
    if field.kind == "string":
        return f"at most {field.maximum:,} characters" if field.maximum else "text"
    return field.bounds


def _code(value: str) -> str:
    return f"`{value}`" if value else "empty"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


_TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "connection fields": fields_table,
    "states": states_table,
    "arguments of DialogTechSendSmsOperator": partial(arguments_table, DialogTechSendSmsOperator),
    "arguments of DialogTechSendBulkSmsOperator": partial(arguments_table, DialogTechSendBulkSmsOperator),
    "arguments of DialogTechSmsNotifier": partial(arguments_table, DialogTechSmsNotifier),
    "arguments of DialogTechHook": partial(arguments_table, DialogTechHook),
    "arguments of send_sms": partial(arguments_table, DialogTechHook.send_sms),
    "fields of SendResult": result_table,
    "errors": errors_table,
    "reasons": reasons_list,
}

if __name__ == "__main__":
    for page in DOCS.glob("*.md"):
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
