"""The part of Airflow that calls this package, and how long it lets a callback run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from types import FrameType
from typing import Any

from airflow_provider_dialogtech.settings import config

SCHEDULER_COMMAND = "airflow.cli.commands.scheduler_command"
"""The module that runs the scheduler."""
TASK_COMMAND = "airflow.cli.commands.task_command"
"""The module that runs a task in Airflow 2."""
DAG_PROCESSOR = "airflow.dag_processing.processor"
"""The module that parses a DAG file, and then runs the callbacks of its DAGs and of tasks whose process died."""
TASK_RUNNER = "airflow.sdk.execution_time.task_runner"
"""The module that runs a task in Airflow 3, and then its callbacks."""

# Airflow kills a process this many seconds after it has sent SIGTERM.
_KILLED_AFTER = 5.0
# The dag-processor kills without SIGTERM, so a busy machine must not be late.
_BEFORE_KILL = 2.0


class Host:
    """The part of Airflow that runs in this process."""

    def __init__(self) -> None:
        self._terminated_at: float | None = None

    def note_termination(self) -> None:
        """Note that this process was sent SIGTERM."""
        self._terminated_at = time.monotonic()

    def remaining_seconds(self, context: Mapping[str, Any]) -> float | None:
        """Return how long Airflow still lets the current callback run; None where it sets no limit."""
        try:
            remaining = _remaining_seconds(context)
        except Exception:  # of any kind, such as that of a task instance without the usual fields
            remaining = None
        if self._terminated_at is None:
            return remaining
        until_killed = self._terminated_at + _KILLED_AFTER - time.monotonic()
        return until_killed if remaining is None else min(remaining, until_killed)


HOST = Host()


def is_called_by(module: str) -> bool:
    """Return whether one of the callers of the current function is in a module."""
    return module in _calling_modules()


def _calling_modules() -> Iterator[str]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back


def _remaining_seconds(context: Mapping[str, Any]) -> float | None:
    if is_called_by(DAG_PROCESSOR):
        # The time of parsing the file and of earlier callbacks counts.
        limit = config.dag_file_processor_timeout()
        age = _age_of_process()
        return limit - age - _BEFORE_KILL if 0 <= age <= limit else None
    ended = context["ti"].end_date if is_called_by(TASK_RUNNER) else None
    if isinstance(ended, datetime):
        # The time of earlier callbacks of the task counts.
        return config.task_success_overtime() - max(0.0, (datetime.now(timezone.utc) - ended).total_seconds())
    return None


def _age_of_process() -> float:
    import psutil  # Airflow requires it

    return time.time() - psutil.Process().create_time()
