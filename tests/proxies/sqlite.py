"""A SQLite file on a slow disk, or one that somebody else keeps locked."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from tests.proxies.process import ANSWER_SECONDS, piped

_BUSY_SECONDS = 30.0


@contextmanager
def slow_commits(seconds: float) -> Iterator[list[float]]:
    """Let every commit to a SQLite file take so much longer, in this process, while the file is locked; list them.

    A process that is forked inside the block is slow as well; one that is spawned has to enter a block of its own.
    """

    commits: list[float] = []

    def wait_with_the_lock(connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            commits.append(time.monotonic())
            time.sleep(seconds)

    def wait_before_commit(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement == "COMMIT":  # where SQLAlchemy itself neither begins nor commits
            wait_with_the_lock(connection)

    sa.event.listen(Engine, "commit", wait_with_the_lock)
    sa.event.listen(Engine, "before_cursor_execute", wait_before_commit)
    try:
        yield commits
    finally:
        sa.event.remove(Engine, "commit", wait_with_the_lock)
        sa.event.remove(Engine, "before_cursor_execute", wait_before_commit)


@contextmanager
def locked(path: Any) -> Iterator[None]:
    """Keep a SQLite file locked for the length of the block, from another process; nobody can read or write it."""
    with piped(_hold, str(path)) as pipe:
        if not pipe.poll(ANSWER_SECONDS):
            raise TimeoutError(f"Nobody locked {path}.")
        pipe.recv()
        yield


def _hold(path: str, pipe: Pipe) -> None:
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        pipe.send("locked")
        pipe.poll(None)  # until the other end is closed, or its process is gone
        connection.execute("ROLLBACK")
