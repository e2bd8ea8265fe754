"""Programs in the background: started with a log file, watched, and ended with everything they started."""

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
    """A program ended, or did not do in time what was expected of it."""


class Background:
    """Programs that run until they are stopped.

    :param logs: the folder for one log file per program.
    :param environment: the environment variables of the programs.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        # Airflow puts tasks into process groups of their own, and a killed parent leaves no trace of its children;
        # every descendant inherits this mark, though.
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
                start_new_session=True,  # Ctrl-C is for us: we stop the programs in order
            )

    def run(self, name: str, *command: str) -> str:
        """Run a program to its end.

        :return: what it wrote to standard output.
        :raises BackgroundFailed: it ended with an error.
        """
        done = subprocess.run(
            command, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return output_of(name, done)

    def pid_of(self, name: str) -> int:
        """Return the process id of a running program."""
        return self._running[name].pid

    def log_of(self, name: str) -> Path:
        """Return where a program's output goes."""
        return self._logs / f"{name}.log"

    def wait_until(self, what: str, condition: Callable[[], bool], *, seconds: float = 120) -> None:
        """Wait until a condition holds, as long as all programs run.

        :param what: the condition in words, for the error.
        :param condition: asked several times a second.
        :param seconds: how long to wait at most.
        :raises BackgroundFailed: with the end of the logs, when the time is over or a program has ended.
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
        """Give the end of the programs' logs, to be read by a person."""
        logs = ((self.log_of(name), name) for name in names)
        return "\n".join(f"--- {name} ---\n{_tail(log.read_text(errors='replace'))}" for log, name in logs)

    def stop(self, name: str) -> None:
        """End a program politely, and by force what has not ended after 20 s or was left behind."""
        process = self._running.pop(name)
        try:
            descendants = process.children(recursive=True)
            process.terminate()
        except psutil.NoSuchProcess:
            return
        _end([process], descendants)

    def forget(self, name: str) -> None:
        """Expect a program to end from now on; a test is about to kill it."""
        del self._running[name]

    def stop_all(self, *, at_once: bool = False) -> None:
        """End all programs, the same way, and whatever they left behind.

        :param at_once: ask none of them, where nobody needs what they would still put in order.
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
    """Find a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plain_environment() -> dict[str, str]:
    """Return our environment without settings of Airflow, and with no proxy between programs of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("AIRFLOW_")}
    return kept | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def _end(asked: Iterable[psutil.Process], left: Iterable[psutil.Process]) -> None:
    _, stubborn = psutil.wait_procs(asked, timeout=20)
    for process in (*stubborn, *left):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5)


def output_of(name: str, done: subprocess.CompletedProcess[str]) -> str:
    """Return what a program printed.

    :raises BackgroundFailed: it ended with an error.
    """
    if done.returncode:
        raise BackgroundFailed(f"{name} ended with {done.returncode}:\n{_tail(done.stdout + done.stderr)}")
    return done.stdout


def _tail(text: str, lines: int = 40) -> str:
    return "\n".join(text.splitlines()[-lines:])
