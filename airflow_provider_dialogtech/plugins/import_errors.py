"""With `alert_on = import_error`, a process of its own sends an alert about DAG files that do not parse.

The listener starts it as `python -m` with this file's name. It waits until Airflow has parsed all files that broke
together. One message then counts them all, and the import of Airflow, which takes seconds of CPU time, does not delay
the parsing.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from airflow_provider_dialogtech.alerts.reported_errors import ReportedErrors, error_of
from airflow_provider_dialogtech.private_files import NotPrivate
from airflow_provider_dialogtech.settings import config

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "airflow_provider_dialogtech.plugins.import_errors")
# About a tenth of another process's CPU time, so that it proceeds even while parsing keeps all CPUs busy.
_NICENESS = 10
# The dag-processor parses its next file within this time, unless the file is slow to parse.
SECONDS_WITHOUT_ERRORS = 3.0
MOST_SECONDS_OF_ERRORS = 30.0
# The process holds the lock that every later one needs, so a database that does not answer must not block it.
_MOST_SECONDS = 300


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
        # Otherwise `-m` imports from the working directory first, which may be a folder of DAGs.
        environment = os.environ | {"PYTHONSAFEPATH": "1"}
        self._process = subprocess.Popen(  # noqa: S603 - a module of ours
            command, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=(descriptor,), env=environment
        )
        _yield_processors(self._process.pid)


def _yield_processors(pid: int) -> None:
    """Lower a process's priority below the parsing of DAG files: its import of Airflow takes seconds of CPU time."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
    # Where Linux schedules by session (autogroup), the session's own niceness counts.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(_NICENESS))


def main(descriptor: int, error: str) -> None:
    """Wait until the files are parsed, then send the alert.

    :param descriptor: the open file of reported errors, which the listener has locked.
    :param error: the error that Airflow reported to the listener.
    """
    signal.alarm(_MOST_SECONDS)
    reported = ReportedErrors(descriptor)
    wait_for_the_last(reported)
    from airflow_provider_dialogtech.alerts.import_errors import alert_new_errors

    alert_new_errors(reported, error)


def wait_for_the_last(reported: ReportedErrors) -> None:
    """Wait until the listener notes no more errors, at most `MOST_SECONDS_OF_ERRORS`.

    :param reported: the file in which the listener notes each error.
    """
    until = time.monotonic() + MOST_SECONDS_OF_ERRORS
    noted = None
    while noted != reported.noted and time.monotonic() < until:
        noted = reported.noted
        time.sleep(SECONDS_WITHOUT_ERRORS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    main(int(sys.argv[1]), sys.argv[2])
