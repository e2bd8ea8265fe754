"""Generates the documentation's tables of settings, connection fields and states from the code.

The tables are part of the pages, so that they can be read without a built site. `python -m tools.doc_tables` updates
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from airflow_provider_dialogtech.journal.states import MOVES
from airflow_provider_dialogtech.settings.config import OPTIONS
from airflow_provider_dialogtech.settings.fields import EXTRA_FIELDS, Field

DOCS = Path(__file__).parents[1] / "docs"

_TABLE = re.compile(r"(<!-- table: ([a-z ]+) -->\n).*?(<!-- end of the table -->\n)", re.DOTALL)


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
}

if __name__ == "__main__":
    for page in DOCS.glob("*.md"):
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
