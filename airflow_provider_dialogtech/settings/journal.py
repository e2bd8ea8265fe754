"""Which delivery journal this process uses, by the rules of `place_of`, and its metrics."""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_dialogtech._compat import IS_AIRFLOW_3
from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.settings import config, metadata
from airflow_provider_dialogtech.settings.token import server_has_own_journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dialogtech.journal.store import Store

log = logging.getLogger(__name__)


class Place(Enum):
    """Where the journal is."""

    SETTING = "the place that a setting names"
    FILE = "a SQLite file in AIRFLOW_HOME"
    DOOR = "Airflow's API server"
    METADATA = "Airflow's metadata database"
    NOWHERE = "nowhere"


class Situation(NamedTuple):
    """The facts that decide where the journal is.

    :param is_set: whether `journal_url` or `journal_conn_id` is set for this process.
    :param is_local: whether all tasks run on one machine, or `allow_local_journal` says that they share a file.
    :param is_airflow_3: whether tasks have no metadata database.
    :param server_has_own: whether `journal_url` or `journal_conn_id` is set for the API server; None where it has not
        said, or this process cannot know. False in the API server itself, where `is_set` says it.
    :param metadata: which metadata database this process has: `postgresql`, `mysql`, `sqlite`; empty for none.
    """

    is_set: bool
    is_local: bool
    is_airflow_3: bool
    server_has_own: bool | None
    metadata: str


def place_of(now: Situation) -> Place:
    """Return where the journal is: the first rule that applies."""
    if now.is_set:
        return Place.SETTING
    if now.is_local:
        return Place.FILE
    if now.is_airflow_3 and now.server_has_own is not False:
        return Place.DOOR
    if now.metadata == "postgresql":
        return Place.METADATA
    if now.is_airflow_3 and now.metadata == "sqlite":
        return Place.FILE
    return Place.NOWHERE


def situation(*, is_server: bool = False) -> Situation:
    """Return the situation of this process.

    :param is_server: whether it is the API server, or prepares its journal.
    :raises InvalidConnection: when a setting in `[dialogtech]` is invalid.
    :raises JournalUnavailable: when Airflow cannot read `journal_url` from its command or its secrets backend, or what
        the API server has said.
    """
    return _situation(is_set=bool(config.journal_conn_id() or config.journal_url()), is_server=is_server)


def _situation(*, is_set: bool, is_server: bool) -> Situation:
    is_local = not _distributed() or config.allow_local_journal()
    kind = metadata.kind() if metadata.is_allowed() else ""
    asks = IS_AIRFLOW_3 and bool(kind) and not (is_set or is_local or is_server)
    return Situation(
        is_set=is_set,
        is_local=is_local,
        is_airflow_3=IS_AIRFLOW_3,
        server_has_own=False if is_server else server_has_own_journal() if asks else None,
        metadata=kind,
    )


def tasks_use_door() -> bool:
    """Return whether tasks with the settings of this process reach the journal through the API server."""
    return IS_AIRFLOW_3 and place_of(situation(is_server=True)._replace(server_has_own=None)) is Place.DOOR


def tasks_miss_the_server() -> bool:
    """Return whether tasks use this machine's file although the API server has a journal of its own.

    Tasks of a local executor do not ask the API server; they have the scheduler's settings.
    """
    now = situation()
    asks = now.is_airflow_3 and now.is_local and bool(now.metadata) and not now.is_set
    return asks and server_has_own_journal() is True


def journal_store(*, patience: float | None = None, retry_for: float | None = None, is_server: bool = False) -> Store:
    """Open the journal of this process.

    :param patience: how long an unavailable journal is retried, in seconds; by default a minute.
    :param retry_for: the same for a journal that fails at once; by default `patience`.
    :param is_server: whether this is the API server, or prepares its journal.
    :raises InvalidConnection: when there is no place for it, or a setting names one that cannot be used.
    :raises JournalUnavailable: when Airflow cannot read where it is from a command, a secrets backend or its database.
    """
    from airflow_provider_dialogtech.journal.store import PATIENCE, Store

    conn_id, url = config.journal_conn_id(), config.journal_url()
    now = _situation(is_set=bool(conn_id or url), is_server=is_server)
    place = place_of(now)
    patience = PATIENCE if patience is None else patience
    if place is Place.NOWHERE:
        raise _nowhere(now)
    if place is Place.DOOR:
        from airflow_provider_dialogtech.settings.door import door_store

        # A file in AIRFLOW_HOME may be the API server's journal: it warns of an earlier one itself.
        return door_store(patience=patience, retry_for=retry_for)
    if place is Place.METADATA:
        _warn_of_an_earlier_file()
        return Store(metadata.url(), patience=patience, retry_for=retry_for, access=metadata.access())
    if conn_id:
        from airflow_provider_dialogtech.settings.journal_connection import access_of, url_of

        _warn_of_an_earlier_file()
        return Store(lambda: url_of(conn_id), patience=patience, retry_for=retry_for, access=access_of(conn_id))
    source = _newest(url, config.journal_url) if url else config.journal_file
    store = Store(source, patience=patience, retry_for=retry_for)
    if place is Place.SETTING:
        _warn_of_an_earlier_file(store)
    if store.is_file:
        from airflow_provider_dialogtech.journal.sqlite import path_of

        # On Airflow 3 the API server may have a file, and all tasks ask it.
        if not now.is_local and not (now.is_airflow_3 and now.metadata):
            raise file_of_one_machine()
        _warn_of_a_container(path_of(store.url))
    return store


def _newest(first: str, read: Callable[[], str]) -> Callable[[], str]:
    """Return a URL that was read already, and read it again from then on: a command may print another one."""
    known = [first]
    return lambda: known.pop() if known else read()


def why(place: Place, now: Situation) -> str:
    """Return a sentence that says where the journal is, and by which rule.

    :param place: where the journal is.
    :param now: what decided it.
    """
    if place is Place.SETTING:
        return f"[dialogtech] {'journal_conn_id' if config.journal_conn_id() else 'journal_url'} is set"
    distributed = _distributed()
    if place is Place.FILE and now.is_local:
        reason = (
            "[dialogtech] allow_local_journal is set"
            if distributed
            else f"{config.executors() or 'the executor'} runs all tasks on one machine"
        )
        return f"{place.value}: {reason}"
    if place is Place.DOOR and now.metadata:
        return f"{place.value}, which " + (
            "has a journal of its own" if now.server_has_own else "has not yet said where the journal is"
        )
    through = ", and they reach the journal through the API server" if now.is_airflow_3 else ""
    return f"{place.value}: {', '.join(distributed)} may run tasks on several machines{through}"


def _nowhere(now: Situation) -> InvalidConnection:
    if now.is_airflow_3:
        return InvalidConnection(
            f"Airflow's metadata database ({now.metadata}) cannot hold the delivery journal",
            advice="Set [dialogtech] journal_url on the API server only, to a PostgreSQL database or a SQLite file: "
            "tasks ask the API server. Commands also need it.",
        )
    return InvalidConnection(
        f"{', '.join(_distributed())} may run tasks on several machines, and Airflow's metadata database "
        f"({now.metadata}) cannot hold the delivery journal",
        advice=_SHARE_A_DATABASE,
    )


def file_of_one_machine() -> InvalidConnection:
    """Return the error of a file that other machines cannot read, or that is lost with its pod."""
    return InvalidConnection(
        f"{', '.join(_distributed())} may run tasks on several machines, but [dialogtech] journal_url names a file on "
        "one of them",
        advice=f"Set it on the API server only: tasks ask the API server. Or: {_SHARE_A_DATABASE}"
        if IS_AIRFLOW_3
        else _SHARE_A_DATABASE,
    )


ONLY_ON_SERVER = "[dialogtech] journal_url is set on the API server but not here, and tasks use a file of this machine"
SET_IT_HERE = "Set it here too: tasks that run on the scheduler's machine have the scheduler's settings."

_SHARE_A_DATABASE = (
    "Set [dialogtech] journal_url to a PostgreSQL database that all of them reach. Or, if all tasks share a file that "
    "outlives them, set [dialogtech] allow_local_journal = True."
)

# The executors that run tasks on the scheduler's machine.
_LOCAL_EXECUTORS = {"LocalExecutor", "SequentialExecutor", "DebugExecutor"}
# In a task's container LocalExecutor may be set, whichever executor started it: Helm's template of pods does so.
_TASKS_CONTAINER = {
    "AIRFLOW_IS_K8S_EXECUTOR_POD": "KubernetesExecutor",
    "AIRFLOW_IS_EXECUTOR_CONTAINER": "the executor",
}


def _distributed() -> list[str]:
    """Return the executors that may run tasks on other machines.

    `[core] executor` has names or paths by comma, some with an alias (`path:Alias`) or a team (`team=…`).
    """
    entries = config.executors().replace(";", ",").split(",")
    names = [entry.split("=")[-1].strip().split(":")[0].rsplit(".", 1)[-1] for entry in entries if entry.strip()]
    elsewhere = [name for name in names if name not in _LOCAL_EXECUTORS]
    return elsewhere or [name for variable, name in _TASKS_CONTAINER.items() if os.environ.get(variable)][:1]


def earlier_file(store: Store | None = None) -> Path | None:
    """Return the journal's file in AIRFLOW_HOME whose messages the present journal may not know; None for none.

    :param store: the present journal, where it may be that file.
    """
    from airflow_provider_dialogtech.journal.sqlite import path_of

    file = path_of(config.journal_file())
    if store is not None and store.is_file and path_of(store.url) == file:
        return None
    try:
        written = file.stat().st_mtime_ns
        is_over = time.time() - written / 1e9 > config.journal_retention().total_seconds()
        is_carried = carried_mark(file).exists() and carried_mark(file).stat().st_mtime_ns == written
    except OSError:
        return None
    return None if is_over or is_carried else file


def carried_mark(file: Path) -> Path:
    """Return the file beside a journal that says, by its time, up to which write its messages were carried over."""
    return file.with_name(f"{file.name}.carried-over")


CARRY_OVER = "python -m airflow_provider_dialogtech messages carry-over"


@lru_cache(maxsize=8)  # once in a process
def _warn_of(file: Path) -> None:
    log.warning(
        "%s may have messages that the delivery journal does not know, because the journal is elsewhere now: a task "
        "cleared now may send them again. Carry them over: %s",
        file,
        CARRY_OVER,
    )


def _warn_of_an_earlier_file(store: Store | None = None) -> None:
    if file := earlier_file(store):
        _warn_of(file)


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
