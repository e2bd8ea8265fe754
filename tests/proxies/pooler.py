"""PgBouncer in transaction mode: a stand-in, and the real program where it is installed.

with running_pooler(postgres_url) as pooler:
    Store(pooler.url)
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import psycopg2  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

from tests.proxies.pooling import Pooler, PoolerCounts
from tests.proxies.process import Remote, running
from tests.proxies.relay import Target
from tests.proxies.tcp import address_of, url_to

__all__ = ["AnyPooler", "PoolerCounts", "StandIn", "real_pgbouncer", "running_pooler"]

_START_SECONDS = 60.0


class AnyPooler(Protocol):
    """Steers a pooler.

    :param url: the SQLAlchemy URL that leads to the same database, through the pooler.
    """

    url: str

    def pause(self) -> None:
        """End what runs; then let clients connect, but answer nothing."""

    def resume(self) -> None:
        """Answer again."""


class StandIn:
    """Steers the stand-in."""

    def __init__(self, remote: Remote, url: str) -> None:
        self._remote = remote
        self.url = url

    def pause(self) -> None:
        self._remote.call("pause")

    def resume(self) -> None:
        self._remote.call("resume")

    def counts(self) -> PoolerCounts:
        counts: PoolerCounts = self._remote.call("counts")
        return counts

    def reset_counts(self) -> None:
        self._remote.call("reset_counts")


@contextmanager
def running_pooler(store_url: str, *, size: int = 3) -> Iterator[StandIn]:
    """Run the stand-in, which hands each transaction another server connection than the one before.

    It differs from PgBouncer where that would hide mistakes: PgBouncer may hand out the same connection again.
    As in PgBouncer before 1.21, nothing is done for prepared statements.

    :param store_url: the SQLAlchemy URL of the PostgreSQL.
    :param size: server connections for each user and database.
    """
    with running(Pooler, address_of(store_url), size) as remote:
        yield StandIn(remote, url_to(store_url, remote.started))


class _RealPooler:
    def __init__(self, url: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.url = url
        self._start = start
        self._process = start()

    def kill(self) -> None:
        """Kill it with SIGKILL; connections are lost, and new ones refused."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self._process = self._start()

    def pause(self) -> None:
        self._administer("PAUSE")

    def resume(self) -> None:
        self._administer("RESUME")

    def _administer(self, command: str) -> None:
        with closing(_admin_connection(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(command)


@contextmanager
def real_pgbouncer(store_url: str, *, size: int = 3, **settings: str) -> Iterator[_RealPooler]:
    """Run PgBouncer in transaction mode.

    :param store_url: the SQLAlchemy URL of the PostgreSQL.
    :param size: server connections for each user and database.
    :param settings: more of PgBouncer's own settings.
    """
    address = address_of(store_url)
    host, port = (str(Path(address).parent), address.rpartition(".")[2]) if isinstance(address, str) else address
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen_port = free.getsockname()[1]
    url = url_to(store_url, listen_port)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        name = make_url(url).username
        Path(folder, "users.txt").write_text(f'"{name}" ""\n')
        configuration = Path(folder, "pgbouncer.ini")
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(listen_port),
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": f"{folder}/users.txt",
            "admin_users": str(name),
            "pool_mode": "transaction",
            "default_pool_size": str(size),
            "max_client_conn": "500",
            # As the stand-in: each transaction another server connection.
            "server_round_robin": "1",
        }
        lines = [f"{name} = {value}" for name, value in (options | settings).items()]
        configuration.write_text(f"[databases]\n* = host={host} port={port}\n[pgbouncer]\n" + "\n".join(lines) + "\n")
        command = ["pgbouncer", "--quiet", str(configuration)]
        user = _who_runs_it(address)
        pooler = _RealPooler(url, lambda: subprocess.Popen(command, user=user, stderr=subprocess.DEVNULL))
        try:
            _wait_until_it_answers(url)
            yield pooler
        finally:
            pooler.kill()


def _who_runs_it(address: Target) -> str | int | None:
    """Return a user who may open the server's socket: PgBouncer refuses to run as root."""
    if os.geteuid() != 0:
        return None
    return Path(address).stat().st_uid if isinstance(address, str) else "nobody"


def _wait_until_it_answers(url: str) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            _admin_connection(url).close()
        except psycopg2.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _admin_connection(url: str) -> psycopg2.extensions.connection:
    parsed = make_url(url)
    connection = psycopg2.connect(host=parsed.host, port=parsed.port, user=parsed.username, dbname="pgbouncer")
    connection.autocommit = True
    return connection
