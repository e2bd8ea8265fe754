"""`python -m tools.guard COMMAND…`: run a command, and end all of its processes, however this process ends.

The tests and the demo start schedulers, databases and more, in sessions of their own. A process that is killed cannot
end them, so a guard process does. It runs the command and adopts orphans, so that all are its descendants. It notices
the end of the process that started it, even by SIGKILL, by a pipe.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import psutil

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How long the command, and then its remaining processes, may take to end on request.
COMMAND_ENDS_WITHIN = 30.0
REST_ENDS_WITHIN = 3.0
_PR_SET_CHILD_SUBREAPER = 36
_POLL = 0.2


def main() -> NoReturn:
    """Run the command of the command line, and exit with its status."""
    if sys.argv[1:2] == ["--below"]:
        sys.exit(_run_below(int(sys.argv[2]), sys.argv[3:]))
    read_end, write_end = os.pipe()
    command = [sys.executable, "-m", "tools.guard", "--below", str(read_end), *sys.argv[1:]]
    # Only this process holds the pipe's other end, so it closes when this one ends. The guard's session survives that.
    guard = subprocess.Popen(command, pass_fds=[read_end], start_new_session=True)
    os.close(read_end)
    for number in FORWARDED:
        signal.signal(number, lambda number, _: guard.send_signal(number))
    status = guard.wait()
    os.close(write_end)
    sys.exit(status)


def _run_below(read_end: int, command: list[str]) -> int:
    if sys.platform == "linux":  # elsewhere, orphans are not found
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    running = subprocess.Popen(command)
    asked_at: float | None = None

    def forward(number: int, _: FrameType | None) -> None:
        nonlocal asked_at
        asked_at = asked_at or time.monotonic()
        with suppress(ProcessLookupError):
            os.kill(running.pid, number)

    for number in FORWARDED:
        signal.signal(number, forward)
    status = None
    while status is None and (asked_at is None or time.monotonic() < asked_at + COMMAND_ENDS_WITHIN):
        abandoned, _, _ = select.select([read_end], [], [], _POLL)
        if abandoned:
            break
        status = _reap().get(running.pid)
    _end_all()
    return 128 + signal.SIGKILL if status is None else status


def _reap() -> dict[int, int]:
    """Return the exit statuses of the children that have ended, including adopted ones."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            code = os.waitstatus_to_exitcode(status)
            ended[pid] = code if code >= 0 else 128 - code
    return ended


def _end_all() -> None:
    """Terminate all descendants, and kill those that do not end."""
    begun = time.monotonic()
    terminated: set[int] = set()
    while remaining := psutil.Process().children(recursive=True):
        late = time.monotonic() - begun > REST_ENDS_WITHIN
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                if late:
                    process.kill()
                elif process.pid not in terminated:
                    process.terminate()
        terminated |= {process.pid for process in remaining}
        if time.monotonic() - begun > 2 * REST_ENDS_WITHIN:
            return
        _reap()
        time.sleep(_POLL)


if __name__ == "__main__":
    main()
