"""With `alert_on = import_error`, DAG files that cannot be parsed are texted, by a process of its own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from airflow_provider_dialogtech.alerts.reported_errors import ReportedErrors, error_of
from airflow_provider_dialogtech.settings import config

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "airflow_provider_dialogtech.alerts.after_parsing")
# A tenth of what others get: it goes on, also while DAG files keep all processors busy.
_NICENESS = 10


class ImportErrorWatch:
    """Starts the process when a file's error is new, at most one at a time on a machine.

    Airflow reports a broken file each time that it parses it. It does so in the dag-processor's open transaction, so
    nothing here waits for anything.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def note(self, filename: object, stacktrace: object, *, is_new: bool) -> None:
        """Take one error. Never raises.

        :param filename: the file.
        :param stacktrace: what happened when it was parsed.
        :param is_new: whether the file could be parsed before.
        """
        try:
            if "import_error" in config.alert_on():
                self._note(error_of(str(filename), str(stacktrace)), is_new=is_new)
        except Exception:  # of any kind: the dag-processor must go on
            log.exception("The process that texts people about DAG files that cannot be parsed could not be started.")

    def _note(self, error: str, *, is_new: bool) -> None:
        from airflow.configuration import AIRFLOW_HOME

        file = ReportedErrors.lock(AIRFLOW_HOME)
        if file is None:  # a process is at work; it waits until no more errors come
            ReportedErrors.note_another(AIRFLOW_HOME)
            return
        try:
            reported = file.read()
            if is_new and error in reported.errors:  # it could be parsed meanwhile, and breaks again
                reported = replace(reported, errors=reported.errors - {error})
                file.write(reported)
            if error not in reported.errors and not reported.is_resting:
                self._start(file.descriptor, error)
        finally:
            file.close()

    def _start(self, descriptor: int, error: str) -> None:
        if self._process is not None:
            self._process.poll()  # the one before, which has ended, is not to stay a zombie
        command = (*COMMAND, str(descriptor), error)
        self._process = subprocess.Popen(  # noqa: S603 - a module of ours
            command, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=(descriptor,)
        )
        _yield_processors(self._process.pid)


def _yield_processors(pid: int) -> None:
    """Let a process go behind those who parse DAG files: to import Airflow takes seconds of a processor."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
    # A Linux that groups processes by session weighs the groups, and this process has a session of its own.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(_NICENESS))
