"""The DAG import errors that were reported, in a file that all processes of this machine share.

Airflow 2 parses each DAG file in its own process, so the processes share no memory. Only the process that holds the
file's lock sends an alert.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.private_files import open_private

NAME = "dialogtech_import_errors.json"
# A longer rest means that the clock was set back.
LONGEST_REST = 3600.0
_LONGEST_FILE = 10_000_000
# The parts of a traceback that change at each parsing: a duration, a process id, an object's address, a random name.
_VARYING = re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\d+")


@dataclass(frozen=True)
class Reported:
    """The content of the file.

    :param rests_until: no alert is sent before this time, in seconds since 1970.
    """

    errors: frozenset[str] = frozenset()
    rests_until: float = 0.0

    @property
    def is_resting(self) -> bool:
        """Whether it is too early for another alert."""
        return 0 < self.rests_until - time.time() <= LONGEST_REST


def error_of(filename: str, stacktrace: str) -> str:
    """Return the digest of a file's error.

    :param filename: the DAG file; Airflow reports it with or without its folders.
    """
    return digest(Path(filename).name, _VARYING.sub("#", stacktrace))


class ReportedErrors:
    """The open file and its lock. A process that inherits the descriptor also holds the lock.

    :param descriptor: the descriptor of the open file.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def lock(cls, folder: str) -> ReportedErrors | None:
        """Open the file and take its lock; None while another process holds it.

        :raises NotPrivate: when the file is not ours.
        :raises OSError: when the file cannot be written.
        """
        descriptor = open_private(Path(folder, NAME))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    @staticmethod
    def note_another(folder: str) -> None:
        """Report one more error to the process that holds the lock, without waiting for it."""
        os.utime(Path(folder, NAME), follow_symlinks=False)

    @property
    def noted(self) -> int:
        """A number that changes with each noted error."""
        return os.fstat(self.descriptor).st_mtime_ns

    def close(self) -> None:
        """Close the file. The lock is held until every process has closed it."""
        os.close(self.descriptor)

    def read(self) -> Reported:
        """Return the content; an empty one where it cannot be read."""
        try:
            written = json.loads(os.pread(self.descriptor, _LONGEST_FILE, 0))
            return Reported(frozenset(map(str, written["errors"])), float(written["rests_until"]))
        except (ValueError, TypeError, KeyError):
            return Reported()

    def write(self, reported: Reported) -> None:
        """Replace the content."""
        content = json.dumps({"errors": sorted(reported.errors), "rests_until": reported.rests_until}).encode()
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, content, 0)
