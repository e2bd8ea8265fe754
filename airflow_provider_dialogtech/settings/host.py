"""The part of Airflow that calls this package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

TASK_COMMAND = "airflow.cli.commands.task_command"
"""The module that runs a task in Airflow 2."""


def is_called_by(module: str) -> bool:
    """Return whether one of the callers of the current function is in a module."""
    return module in _calling_modules()


def _calling_modules() -> Iterator[str]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back
