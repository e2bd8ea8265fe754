"""Runs Airflow's commands in one process, because Airflow's start-up takes most of a command's time."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tools.processes import BackgroundFailed

if TYPE_CHECKING:
    from typing import IO


class Commands:
    """Runs Airflow's commands one after the other in one process.

    :param environment: the environment variables of the process.
    :param python: the Python that has Airflow.
    """

    def __init__(self, environment: Mapping[str, str], python: Path = Path(sys.executable)) -> None:
        self._process = subprocess.Popen(
            [python, Path(__file__).with_name("running_commands.py")],
            env=environment,
            stdin=subprocess.PIPE,  # closes when this process ends, which ends the other
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._jobs: IO[str] = self._process.stdin  # type: ignore[assignment]  # both are pipes
        self._statuses: IO[str] = self._process.stdout  # type: ignore[assignment]

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def run(self, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command with these environment variables.

        :raises BackgroundFailed: when the process ends with the command.
        """
        with tempfile.TemporaryDirectory() as folder:
            output, errors = Path(folder, "output"), Path(folder, "errors")
            output.touch()
            errors.touch()
            job = {"arguments": arguments, "environment": dict(environment)}
            job |= {"output": str(output), "errors": str(errors)}
            print(json.dumps(job), file=self._jobs, flush=True)
            status = self._statuses.readline()
            written = [file.read_text(errors="replace") for file in (output, errors)]
        if not status:
            raise BackgroundFailed(f"Airflow's process has ended:\n{written[1]}")
        return subprocess.CompletedProcess(arguments, int(status), *written)
