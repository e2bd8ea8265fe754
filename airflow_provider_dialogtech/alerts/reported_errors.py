"""Which errors of DAG files were texted: a file that the processes of this machine share.

Airflow 2 parses each DAG file in a process of its own, so what one process remembers is known to no other. Whoever
holds the file's lock may message, so at most one process does at a time, whatever has started it.
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

NAME = "dialogtech_import_errors.json"
# A longer one would be the mark of a clock that was set back.
LONGEST_REST = 3600.0
_LONGEST_FILE = 10_000_000
# What differs each time that a file is parsed: the time it took, a process's id, an object's address, a random name.
_VARYING = re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\d+")


@dataclass(frozen=True)
class Reported:
    """What is known of earlier texts.

    :param errors: the errors that were texted.
    :param rests_until: until when nothing is texted, in seconds since 1970.
    """

    errors: frozenset[str] = frozenset()
    rests_until: float = 0.0

    @property
    def is_resting(self) -> bool:
        """Whether it is too early for another message."""
        return 0 < self.rests_until - time.time() <= LONGEST_REST


def error_of(filename: str, stacktrace: str) -> str:
    """Return what stands for a file's error.

    :param filename: the DAG file; Airflow tells it with or without its folders.
    :param stacktrace: what happened when it was parsed.
    """
    return digest(Path(filename).name, _VARYING.sub("#", stacktrace))


class ReportedErrors:
    """The open file, and its lock, which a process that inherits the descriptor holds as well.

    :param descriptor: of the open file.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def lock(cls, folder: str) -> ReportedErrors | None:
        """Open the file and take its lock; None while another process holds it.

        :param folder: where it lies.
        :raises OSError: when it cannot be written there.
        """
        descriptor = os.open(Path(folder, NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    @staticmethod
    def note_another(folder: str) -> None:
        """Let the process that holds the lock know of one more error, without waiting for it.

        :param folder: where the file lies.
        """
        os.utime(Path(folder, NAME))

    @property
    def noted(self) -> int:
        """A number that changes with each error that is noted."""
        return os.fstat(self.descriptor).st_mtime_ns

    def close(self) -> None:
        """Close it here; the lock is held as long as anybody has it open."""
        os.close(self.descriptor)

    def read(self) -> Reported:
        """Return what was written; nothing where that cannot be read."""
        try:
            written = json.loads(os.pread(self.descriptor, _LONGEST_FILE, 0))
            return Reported(frozenset(map(str, written["errors"])), float(written["rests_until"]))
        except (ValueError, TypeError, KeyError):
            return Reported()

    def write(self, reported: Reported) -> None:
        """Replace what was written."""
        content = json.dumps({"errors": sorted(reported.errors), "rests_until": reported.rests_until}).encode()
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, content, 0)
