"""Background programs: each has a log file, is watched, and ends with all processes that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil

_MARK = "DIALOGTECH_STARTED_BY"


class BackgroundFailed(Exception):
    """A program ended unexpectedly, or did not do something in time."""


class Background:
    """Programs that run until they are stopped.

    :param logs: the folder of the log files, one per program.
    :param environment: the environment variables of the programs.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        # Airflow runs tasks in process groups of their own, and the children of a killed parent are hard to find.
        # Every descendant inherits this mark.
        self._mark = uuid4().hex
        self._environment = {**environment, _MARK: self._mark}
        self._logs = logs
        self._running: dict[str, psutil.Popen] = {}

    def start(self, name: str, *command: str) -> None:
        """Start a program under a name; a second start under the same name appends to its log."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log_of(name).open("ab") as log:
            self._running[name] = psutil.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C must reach only this process, which stops the programs in order
            )

    def run(self, name: str, *command: str) -> str:
        """Run a program to its end.

        :return: its standard output.
        :raises BackgroundFailed: when it fails.
        """
        done = subprocess.run(
            command, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return output_of(name, done)

    def pid_of(self, name: str) -> int:
        """Return the process id of a running program."""
        return self._running[name].pid

    def log_of(self, name: str) -> Path:
        """Return the log file of a program."""
        return self._logs / f"{name}.log"

    def wait_until(self, what: str, condition: Callable[[], bool], *, seconds: float = 120) -> None:
        """Wait until a condition holds, while all programs run.

        :param what: the condition in words, for the error.
        :param condition: evaluated several times a second.
        :param seconds: the longest wait.
        :raises BackgroundFailed: with the end of the logs, when the time is over or a program ended.
        """
        end = time.monotonic() + seconds
        while not condition():
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise BackgroundFailed(f"{name} ended with {process.returncode}.\n{self.logs_of(name)}")
            if time.monotonic() > end:
                raise BackgroundFailed(f"Not within {seconds:g} s: {what}.\n{self.logs_of(*self._running)}")
            time.sleep(0.2)

    def logs_of(self, *names: str) -> str:
        """Return the end of the programs' logs, for people."""
        logs = ((self.log_of(name), name) for name in names)
        return "\n".join(f"--- {name} ---\n{_tail(log.read_text(errors='replace'))}" for log, name in logs)

    def stop(self, name: str) -> None:
        """Terminate a program, and kill it after 20 s; then kill its remaining descendants."""
        process = self._running.pop(name)
        try:
            descendants = process.children(recursive=True)
            process.terminate()
        except psutil.NoSuchProcess:
            return
        _end([process], descendants)

    def forget(self, name: str) -> None:
        """Do not watch a program any more, because a test is about to kill it."""
        del self._running[name]

    def stop_all(self, *, at_once: bool = False) -> None:
        """End all programs like `stop`, with their remaining descendants.

        :param at_once: kill the programs without terminating them first.
        """
        processes = list(self._running.values())
        self._running.clear()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)
        _end(processes, (process for process in psutil.process_iter() if self._started(process)))

    def _started(self, process: psutil.Process) -> bool:
        try:
            return bool(process.environ().get(_MARK) == self._mark)
        except (psutil.Error, OSError):
            return False


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plain_environment() -> dict[str, str]:
    """Return this environment without Airflow's settings, and without a proxy between programs of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("AIRFLOW_")}
    return kept | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def _end(terminated: Iterable[psutil.Process], descendants: Iterable[psutil.Process]) -> None:
    _, running = psutil.wait_procs(terminated, timeout=20)
    for process in (*running, *descendants):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(running, timeout=5)


def output_of(name: str, done: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a program.

    :raises BackgroundFailed: when it failed.
    """
    if done.returncode:
        raise BackgroundFailed(f"{name} ended with {done.returncode}:\n{_tail(done.stdout + done.stderr)}")
    return done.stdout


def _tail(text: str, lines: int = 40) -> str:
    return "\n".join(text.splitlines()[-lines:])
