"""Copies the messages of an earlier journal, a SQLite file, into the present one."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_dialogtech.exceptions import InvalidConnection, plural
from airflow_provider_dialogtech.journal.carry_over import Carried, under_way
from airflow_provider_dialogtech.journal.carry_over import carry_over as copied
from airflow_provider_dialogtech.journal.sqlite import has_journal, path_of
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.journal import Place, carried_mark, journal_store, place_of, situation


def carry_over(path: Path | None = None, *, patience: float) -> tuple[Path, Carried]:
    """Copy the messages and alerts of a journal's file into the journal that this process uses.

    :param path: the file; by default the one in AIRFLOW_HOME.
    :param patience: how long an unavailable journal is retried, in seconds.
    :return: the file, and what both journals have now.
    :raises InvalidConnection: when there is no such file, or nothing to carry it over to from here.
    :raises JournalUnavailable: when one of the two cannot be used.
    """
    file = path or path_of(config.journal_file())
    if not file.is_file():
        raise InvalidConnection(f"there is no journal file {file}", advice="Give its path with --from.")
    if place_of(situation()) is Place.DOOR:
        raise InvalidConnection(
            "this process reaches the journal only through Airflow's API server",
            advice="Run this command where the API server runs. Copy the file there, and give its path with --from.",
        )
    target = journal_store(patience=patience)
    if target.is_file and path_of(target.url).resolve() == file.resolve():
        raise InvalidConnection(f"the delivery journal is this file ({file})", advice="There is nothing to copy.")
    if not has_journal(file):
        raise InvalidConnection(f"{file} has no delivery journal", advice="Give the path of one with --from.")
    source = Store(config.file_url(str(file.absolute())), patience=patience)
    if waiting := under_way(source):
        raise InvalidConnection(
            f"{plural(waiting, 'message')} in {file} {'is' if waiting == 1 else 'are'} waiting or being sent",
            advice="Stop the processes that still send with it, or wait until they have sent. Then run this again.",
        )
    # Later writes to the file are not known to be copied.
    seen = file.stat()
    carried = copied(source, target)
    if not carried.damaged:
        mark = carried_mark(file)
        mark.touch(mode=0o600)
        os.utime(mark, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    return file, carried
