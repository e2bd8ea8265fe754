"""Reading locks nobody out, and ends in its time."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal import postgres as postgres_module
from airflow_provider_dialogtech.journal import sqlite
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.store import Store
from tests.delivery.attacking import with_driver
from tests.journal.looking import database
from tests.journal.test_store import count, write

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS count FROM "
ENDLESS = Statement(sa.text(f"{NUMBERS} n"), {})
SHORT = Statement(sa.text(f"{NUMBERS} (SELECT i FROM n LIMIT 20000)"), {})  # noqa: S608


@pytest.fixture
def store(sqlite_url, monkeypatch):
    monkeypatch.setattr(sqlite, "READ_SECONDS", 0.5)
    store = Store(sqlite_url)
    write(store)
    return store


@pytest.fixture
def reading(store):
    """Read without an end, in another thread, until the time for it is over."""
    said = []

    def read():
        try:
            store.ask(ENDLESS, timeout=60)
        except JournalUnavailable as error:
            said.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.1)
    yield said
    thread.join(60)
    assert not thread.is_alive()


def test_a_read_that_takes_too_long_ends_by_its_name(store):
    with pytest.raises(JournalUnavailable, match=r"the question took too long.*Ask for a shorter period"):
        store.ask(ENDLESS)
    assert count(store) == 1


def test_a_message_is_written_while_somebody_reads_and_waits_for_no_more_than_its_commit(store, reading, tmp_path):
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None, timeout=0)) as other:
        # A reader shares the file: another process begins to write at once.
        for _ in range(1000):
            try:
                other.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError:
                time.sleep(0.001)
        assert reading == []
        other.execute("ROLLBACK")
    write(store, "another")
    assert count(store) == 2


def test_a_long_read_ends_no_other_threads_read(store, reading):
    """Seen: it was told to ask for a shorter period."""
    assert store.ask(SHORT)[0].count == 20_000


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_a_read_that_takes_too_long_ends_on_the_server_too(postgres_url, driver, monkeypatch):
    """Seen: its connection was cut after 20 s, the server went on reading, and the question was asked twice more."""
    monkeypatch.setattr(postgres_module, "READ_SECONDS", 0.5)
    store = Store(with_driver(postgres_url, driver))
    with pytest.raises(JournalUnavailable, match=r"the question took too long.*Ask for a shorter period"):
        store.ask(Statement(sa.text("SELECT pg_sleep(60)"), {}))
    with database(postgres_url) as connection:
        running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)'"
        assert connection.execute(sa.text(running)).scalar() == 0
    assert store.ask(Statement(sa.text("SELECT :one AS one"), {"one": 1}))[0].one == 1
