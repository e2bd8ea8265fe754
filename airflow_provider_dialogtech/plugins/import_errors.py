"""With `alert_on = import_error`, DAG files that cannot be parsed are texted, by a process of its own."""

from __future__ import annotations

import logging
import subprocess
import sys

from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.settings import config

log = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "airflow_provider_dialogtech.alerts.import_errors")
_MOST_REMEMBERED = 10_000


class ImportErrorWatch:
    """Starts the process when a file's error is new, at most one at a time.

    Airflow reports a broken file each time that it parses it. It does so in the dag-processor's open transaction, so
    nothing here waits for anything.
    """

    def __init__(self) -> None:
        self._sent: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def note(self, filename: object, stacktrace: object) -> None:
        """Take one error. Never raises.

        :param filename: the file.
        :param stacktrace: what happened when it was parsed.
        """
        try:
            if "import_error" in config.alert_on():
                self._note(str(filename), digest(str(stacktrace)))
        except Exception:  # of any kind: the dag-processor must go on
            log.exception("No alert about a DAG file that cannot be parsed could be started.")

    def _note(self, file: str, error: str) -> None:
        if self._sent.get(file) == error:
            return
        if self._process is not None and self._process.poll() is None:
            return  # it may have read the files already; the next time that this one is parsed is soon enough
        self._process = subprocess.Popen(  # noqa: S603 - a module of ours, without arguments
            _COMMAND, stdin=subprocess.DEVNULL, start_new_session=True
        )
        if len(self._sent) >= _MOST_REMEMBERED:
            self._sent.clear()
        self._sent[file] = error
