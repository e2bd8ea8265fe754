"""Where alerts are counted: in the shared journal, or in a file of this machine while that one is away."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_dialogtech.api.errors import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.hooks.journal import journal_store

if TYPE_CHECKING:
    from airflow_provider_dialogtech.delivery.store import Store

# An alert waits for a journal that restarts, but not long: there is another.
PATIENCE = 2.0

_FILE = "dialogtech_alerts.db"


def shared_journal() -> Store:
    """Open the journal that all texts go through.

    :raises JournalUnavailable: when it is set up wrongly, too: an alert must go out all the same.
    """
    try:
        return journal_store(patience=PATIENCE)
    except InvalidConnection as error:
        problem = str(error)
    raise JournalUnavailable(problem)


def journal_in_airflow_home() -> Store:
    """Open the file in AIRFLOW_HOME that takes over."""
    from airflow.configuration import AIRFLOW_HOME

    return _file_in(Path(AIRFLOW_HOME))


def journal_in_temporary_directory() -> Store:
    """Open the file that takes over where AIRFLOW_HOME cannot be written to.

    :raises JournalUnavailable: when the directory belongs to somebody else, or others can write to it: they could put
        a link in the journal's place.
    """
    directory = Path(tempfile.gettempdir()) / f"dialogtech-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError:
        found = None
    if found is None or not _is_ours_alone(found):
        raise JournalUnavailable(
            f"The temporary directory cannot hold a journal: {directory.name} in it must be a directory "
            "that nobody else can write to."
        )
    return _file_in(directory)


def _is_ours_alone(found: os.stat_result) -> bool:
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not others_write


def _file_in(directory: Path) -> Store:
    from airflow_provider_dialogtech.delivery.store import Store

    return Store(f"sqlite:///{directory / _FILE}", patience=PATIENCE)
