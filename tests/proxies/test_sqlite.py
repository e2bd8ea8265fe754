"""SQLite files that are slow or locked."""

import sqlite3
import time
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.proxies.sqlite import locked, slow_commits


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (n int)")
    return path


@pytest.fixture
def engine(path) -> Engine:
    return sa.create_engine(f"sqlite:///{path}", future=True)


def seconds_to_insert(engine: Engine) -> float:
    before = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO t VALUES (1)"))
    return time.perf_counter() - before


def test_a_commit_takes_its_time_and_only_in_the_block(engine):
    with slow_commits(0.3):
        assert seconds_to_insert(engine) >= 0.3
    assert min(seconds_to_insert(engine) for _ in range(3)) < 0.3


def test_the_file_is_locked_while_a_commit_takes_its_time(engine, path):
    seen = []

    def try_to_write(_connection) -> None:
        with closing(sqlite3.connect(path, timeout=0)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                seen.append(str(error))

    with slow_commits(0.01):
        sa.event.listen(engine, "commit", try_to_write)  # runs after the listener that sleeps, before the commit
        seconds_to_insert(engine)
    assert seen == ["database is locked"]


def test_a_locked_file_can_be_neither_read_nor_written(path):
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        with locked(path):
            for statement in ("SELECT * FROM t", "INSERT INTO t VALUES (1)"):
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    connection.execute(statement)
        connection.execute("INSERT INTO t VALUES (1)")
