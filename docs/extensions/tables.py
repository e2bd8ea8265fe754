"""Writes the tables of settings and of connection fields into their pages, from the code that reads them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from airflow_provider_dialogtech.settings.config import OPTIONS
from airflow_provider_dialogtech.settings.fields import EXTRA_FIELDS, Field


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this for every page."""
    for name, table in _TABLES.items():
        markdown = markdown.replace(f"<!-- table: {name} -->", table())
    return markdown


def settings_table() -> str:
    """Return the settings of `[dialogtech]`."""
    rows = [(f"`{name}`", option["description"], _code(option["default"])) for name, option in OPTIONS.items()]
    return _table(("setting", "what it is", "default"), rows)


def fields_table() -> str:
    """Return the fields of a connection's extra."""
    rows = [(f"`{field.name}`", field.label, field.description, _values(field)) for field in EXTRA_FIELDS]
    return _table(("key in the extra", "in the form", "what it is", "values"), rows)


def _values(field: Field) -> str:
    if field.choices:
        return ", ".join(map(_code, field.choices))
    if field.kind == "string":
        return f"at most {field.maximum:,} characters" if field.maximum else "text"
    return field.bounds


def _code(text: str) -> str:
    return f"`{text}`" if text else "empty"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


_TABLES: dict[str, Callable[[], str]] = {"settings": settings_table, "connection fields": fields_table}
