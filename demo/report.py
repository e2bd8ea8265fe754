"""What the demo prints: the messages that arrived, and what the tasks returned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any


def arrivals(messages: Iterable[Mapping[str, Any]]) -> str:
    """Lay out the messages that the local DialogTech accepted, the first one first."""
    rows = [
        (
            datetime.fromtimestamp(text["at"]).astimezone().strftime("%H:%M:%S"),
            text["from"],
            text["to"],
            text["message"],
        )
        for text in sorted(messages, key=lambda text: text["at"])
    ]
    return _table(("time", "from", "to", "text"), rows)


def result_of(task: str, value: object) -> str:
    """Lay out what a task returned."""
    return f"{task}\n{json.dumps(value, indent=2, ensure_ascii=False)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
