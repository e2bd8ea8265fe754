"""The output of the demo: the messages that arrived, and the return values of the tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any


def arrivals(messages: Iterable[Mapping[str, Any]]) -> str:
    """Format the messages that the local DialogTech accepted as a table, the oldest first."""
    rows = [
        (
            datetime.fromtimestamp(message["at"]).astimezone().strftime("%H:%M:%S"),
            message["from"],
            message["to"],
            message["message"],
        )
        for message in sorted(messages, key=lambda message: message["at"])
    ]
    return _table(("time", "from", "to", "message"), rows)


def result_of(task: str, value: object) -> str:
    """Format the return value of a task."""
    return f"{task}\n{json.dumps(value, indent=2, ensure_ascii=False)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
