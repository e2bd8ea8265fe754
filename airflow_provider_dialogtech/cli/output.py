"""Output and exit codes of the commands."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import NoReturn

from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt
from airflow_provider_dialogtech.masking import printable

FAILED = 1
USAGE = 2
UNKNOWN = 3
"""The outcome of the message is unknown."""

_STDOUT, _STDERR = 1, 2
_LOGGER = "airflow_provider_dialogtech"


def print_rows(rows: Sequence[Mapping[str, object]], output: str) -> None:
    """Print rows as Airflow's own commands do.

    :param rows: the rows, all with the same columns.
    :param output: `table`, `json`, `yaml` or `plain`.
    """
    with logs_on_stderr():
        from airflow.cli.simple_table import AirflowConsole
        from rich.markup import escape

    def shown(value: object) -> str:
        cell = "" if value is None else str(value)
        if output in {"json", "yaml"}:  # these escape what a terminal would obey
            return cell
        if output == "plain":  # a line is a row
            return printable(cell).replace("\n", "\\n")
        # The cells of a table are rich markup, in which `[dialogtech]` would be a style.
        return escape(printable(cell))

    data = [{name: shown(value) for name, value in row.items()} for row in rows]
    AirflowConsole().print_as(data=data, output=output)


def print_record(record: Mapping[str, object], output: str) -> None:
    """Print one record: a line per field for people, one row for scripts.

    :param output: `table`, `json`, `yaml` or `plain`.
    """
    if output in {"table", "plain"}:
        print_rows([{"field": name, "value": value} for name, value in record.items()], output)
    else:
        print_rows([record], output)


def say(note: str) -> None:
    """Print a note to stderr, where scripts do not read it."""
    print(printable(note), file=sys.stderr)  # noqa: T201


def stop(problem: str, code: int = FAILED) -> NoReturn:
    """End the command.

    :param problem: why, and what to do now.
    """
    say(problem)
    raise SystemExit(code)


@contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Redirect stdout to stderr, at the level of file descriptors: some of Airflow's loggers hold the stream."""
    sys.stdout.flush()
    stdout = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        for stream in (sys.__stdout__, sys.stderr):
            if stream is not None:
                stream.flush()
        os.dup2(stdout, _STDOUT)
        os.close(stdout)


@contextmanager
def running_command() -> Iterator[None]:
    """Send all log lines, also Airflow's, to stderr, and end the command with the sentence of a `DialogTechError`.

    The rows are printed afterwards.
    """
    log = logging.getLogger(_LOGGER)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    before = log.handlers, log.propagate, log.level
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.WARNING)
    problem: DialogTechError | None = None
    try:
        with logs_on_stderr():
            yield
    except DialogTechError as error:
        problem = error
    finally:
        log.handlers, log.propagate = before[:2]
        log.setLevel(before[2])
    if problem is not None:
        stop(str(problem), UNKNOWN if isinstance(problem, InDoubt) else FAILED)
