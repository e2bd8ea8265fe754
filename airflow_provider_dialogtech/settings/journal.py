"""The delivery journal that this Airflow uses, the checks of it, and its metrics."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.settings import config

if TYPE_CHECKING:
    from airflow_provider_dialogtech.journal.store import Store

log = logging.getLogger(__name__)


# The executors that run tasks on the scheduler's machine.
_LOCAL_EXECUTORS = {"LocalExecutor", "SequentialExecutor", "DebugExecutor"}


def journal_store(*, patience: float | None = None, retry_for: float | None = None) -> Store:
    """Open the journal of `[dialogtech] journal_url`.

    :param patience: how long an unavailable journal is retried, in seconds; by default a minute.
    :param retry_for: the same for a journal that fails at once; by default `patience`.
    :raises InvalidConnection: when the URL is neither a SQLite file's nor PostgreSQL's, or when it is a file's and
        tasks may run on several machines, or in pods.
    :raises JournalUnavailable: when Airflow cannot read the URL from its command or its secrets backend.
    """
    from airflow_provider_dialogtech.journal.store import PATIENCE, Store

    store = Store(config.journal_url, patience=PATIENCE if patience is None else patience, retry_for=retry_for)
    if store.is_file:
        from airflow_provider_dialogtech.journal.sqlite import path_of

        if not config.allow_local_journal():
            _require_local_executors()
        _warn_of_a_container(path_of(store.url))
    return store


def _require_local_executors() -> None:
    """Refuse a file journal where other machines cannot read it, or where it is lost with its pod."""
    elsewhere = [name for name in _executor_names() if name not in _LOCAL_EXECUTORS]
    if elsewhere:
        raise InvalidConnection(
            f"{', '.join(elsewhere)} may run tasks on several machines, but the delivery journal is a file on one of "
            "them",
            advice="Set [dialogtech] journal_url to a PostgreSQL database that all of them reach "
            "(AIRFLOW__DIALOGTECH__JOURNAL_URL=postgresql+psycopg2://…), or, if all tasks share this file and it "
            "outlives them, [dialogtech] allow_local_journal = True.",
        )


def _executor_names() -> list[str]:
    """Read `[core] executor`: names or paths by comma, some with an alias (`path:Alias`) or a team (`team=…`)."""
    entries = config.executors().replace(";", ",").split(",")
    return [entry.split("=")[-1].strip().split(":")[0].rsplit(".", 1)[-1] for entry in entries if entry.strip()]


@lru_cache(maxsize=8)  # once in a process
def _warn_of_a_container(path: Path) -> None:
    if on_container_layer(path):
        log.warning(
            "The delivery journal %s is in this container's own file system: it is lost with the container, and other "
            "containers do not see it, so a message may be sent twice. Put it on a volume that the scheduler, the "
            "dag-processor and the triggerer share, or set [dialogtech] journal_url to a PostgreSQL database.",
            path,
        )


_MOUNTS = Path("/proc/self/mountinfo")
_LONGEST_MOUNTS = 4_000_000
# The file systems that container engines mount over an image. With others (btrfs, ZFS) a container is not detected.
_LAYERED = {"overlay", "aufs", "fuse.fuse-overlayfs"}


def on_container_layer(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Return whether a file is on a container's root file system, not on a volume; False where that is unknown.

    :param path: the file; it need not exist yet.
    :param mounts: Linux's list of mounts (proc(5), mountinfo).
    """
    try:
        with mounts.open(encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(_LONGEST_MOUNTS).splitlines()
        place = path.resolve()
    except (OSError, RuntimeError, ValueError):  # not Linux, a loop of links, or an invalid path
        return False
    holding = [mount for mount in map(_mount_of, lines) if mount and place.is_relative_to(mount[0])]
    if not holding:
        return False
    # The innermost mount holds the file; of several at one mount point, the last.
    innermost = max(len(point.parts) for point, _ in holding)
    point, kind = [mount for mount in holding if len(mount[0].parts) == innermost][-1]
    return point == Path("/") and kind in _LAYERED


def _mount_of(line: str) -> tuple[Path, str] | None:
    """Read a mount point, and its type of file system."""
    fields = line.split(" ")
    if "-" not in fields[6:-1]:
        return None
    kind = fields[fields.index("-", 6) + 1]
    point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), fields[4])
    return Path(point), kind


PREFIX = "dialogtech"


class AirflowRecorder:
    """Records metrics with Airflow, which drops them where no metrics backend is configured."""

    def count(self, name: str, by: int = 1) -> None:
        from airflow_provider_dialogtech._compat import stats

        with suppress(Exception):  # of any kind: a failed metric must not fail a message
            stats().incr(f"{PREFIX}.{name}", by)

    def time(self, name: str, seconds: float) -> None:
        from airflow_provider_dialogtech._compat import stats

        with suppress(Exception):
            stats().timing(f"{PREFIX}.{name}", timedelta(seconds=seconds))
