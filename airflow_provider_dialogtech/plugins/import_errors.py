"""With `alert_on = import_error`, a separate process sends alerts about DAG files that do not parse."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from airflow_provider_dialogtech.alerts.reported_errors import ReportedErrors, error_of
from airflow_provider_dialogtech.private_files import NotPrivate
from airflow_provider_dialogtech.settings import config

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "airflow_provider_dialogtech.alerts.after_parsing")
# About a tenth of another process's CPU time, so that it proceeds even while parsing keeps all CPUs busy.
_NICENESS = 10


class ImportErrorWatch:
    """Starts the process when a file's error is new, at most one at a time on a machine.

    Airflow reports a broken file each time it parses it, inside the dag-processor's open transaction. So nothing here
    waits.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def note(self, filename: object, stacktrace: object, *, is_new: bool) -> None:
        """Note one error, and start the process if the error is new. Never raises.

        :param is_new: whether the file parsed before.
        """
        try:
            if "import_error" in config.alert_on():
                self._note(error_of(str(filename), str(stacktrace)), is_new=is_new)
        except NotPrivate as error:
            log.error("No alert about DAG files that cannot be parsed is sent: %s. %s.", error, error.advice)  # noqa: TRY400
        except Exception:  # of any kind: a failure here must not stop the dag-processor
            log.exception("The process that sends alerts about DAG files that cannot be parsed could not be started.")

    def _note(self, error: str, *, is_new: bool) -> None:
        from airflow.configuration import AIRFLOW_HOME

        file = ReportedErrors.lock(AIRFLOW_HOME)
        if file is None:  # a process is running, and waits until no more errors are noted
            ReportedErrors.note_another(AIRFLOW_HOME)
            return
        try:
            reported = file.read()
            if is_new and error in reported.errors:  # it parsed meanwhile, and is broken again
                reported = replace(reported, errors=reported.errors - {error})
                file.write(reported)
            if error not in reported.errors and not reported.is_resting:
                self._start(file.descriptor, error)
        finally:
            file.close()

    def _start(self, descriptor: int, error: str) -> None:
        if self._process is not None:
            self._process.poll()  # reaps the previous process
        command = (*COMMAND, str(descriptor), error)
        self._process = subprocess.Popen(  # noqa: S603 - a module of ours
            command, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=(descriptor,)
        )
        _yield_processors(self._process.pid)


def _yield_processors(pid: int) -> None:
    """Lower a process's priority below the parsing of DAG files: its import of Airflow takes seconds of CPU time."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
    # Where Linux schedules by session (autogroup), the session's own niceness counts.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(_NICENESS))
