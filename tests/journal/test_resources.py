"""Nothing grows with faults: no thread, no connection, no engine, no open file."""

import gc
import itertools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine, make_url

from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal import journal as journal_module
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import database
from tests.journal.test_store import QUESTION, an_account, count, write

SOON = 10.0
MANY = 300
FAULTS = 3600 // 30


def engines():
    gc.collect()
    # Not isinstance: it asks what stands for a lazy module for its class, which imports that module.
    return sum(issubclass(type(each), Engine) for each in gc.get_objects())


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def settles_at(look, most):
    """Return whether that is no more than so many, soon: a thread that has ended is gone a moment later."""
    until = time.monotonic() + SOON
    while look() > most and time.monotonic() < until:
        time.sleep(0.05)
    return look() <= most


def test_hundreds_of_failed_opens_leave_nothing_behind(unused_port, time):
    """Seen: 482 threads after two minutes in which somebody had the page open."""
    store = Store(f"postgresql+psycopg2://nobody@127.0.0.1:{unused_port}/journal", clock=time.clock)

    def fail():
        with pytest.raises(JournalUnavailable, match="the connection was refused"):
            store.ask(QUESTION)

    fail()
    before = threading.active_count(), descriptors(), engines()
    while len(time.sleeps) < MANY:
        fail()
    assert settles_at(threading.active_count, before[0])
    assert settles_at(descriptors, before[1])
    assert settles_at(engines, before[2])


def test_failed_opens_of_a_file_leave_nothing_behind(tmp_path, time, monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.journal.sqlite._IDLE_SECONDS", 0.05)
    store = Store(f"sqlite:///{tmp_path / 'nowhere' / 'journal.db'}", clock=time.clock)

    def fail():
        with pytest.raises(JournalUnavailable, match="cannot be opened"):
            store.ask(QUESTION)

    fail()
    before = descriptors(), engines()
    threads = threading.active_count()
    for _ in range(30):
        fail()
    assert settles_at(threading.active_count, threads)
    assert settles_at(descriptors, before[0])
    assert settles_at(engines, before[1])


def connections(url):
    """How many others are connected to the database."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with database(url) as connection:
        return connection.exec_driver_sql(others).scalar()


@pytest.mark.parametrize("what", ["password", "option"])
def test_a_url_that_differs_each_time_opens_no_connection_and_no_thread_each_time(postgres_url, what):
    """A token in the place of a password, say. Seen: a connection and a thread for each message."""
    tokens = itertools.count()

    def url():
        token = f"token{next(tokens)}"
        parsed = make_url(postgres_url)
        return (
            parsed.set(password=token) if what == "password" else parsed.update_query_dict({"application_name": token})
        )

    write(Store(url), "warm-up")
    before = threading.active_count()
    for n in range(100):
        write(Store(url), str(n))
    assert next(tokens) > 100
    assert settles_at(threading.active_count, before)
    assert settles_at(lambda: connections(postgres_url), 4)
    assert count(Store(url)) == 101


def test_threads_whose_urls_differ_have_no_more_connections_than_others(postgres_url):
    tokens = itertools.count()

    def url():
        return make_url(postgres_url).update_query_dict({"application_name": f"token{next(tokens)}"})

    def send(n):
        store = Store(url)
        for step in range(3):
            write(store, f"{n} {step}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(25)))
    gc.collect()
    assert settles_at(lambda: connections(postgres_url), 4)
    assert count(Store(url)) == 75


def test_a_process_that_outlives_its_database_uses_the_one_that_takes_its_place(postgres_url):
    store = Store(postgres_url, patience=20)
    write(store, "before")
    with database(postgres_url) as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    write(store, "after")
    assert count(store) == 1


@pytest.mark.parametrize("step", ["locked", "ask"])
def test_each_step_makes_the_tables_that_are_gone(postgres_url, step):
    store = Store(postgres_url, patience=20)
    write(store, "before")
    with database(postgres_url) as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    if step == "ask":
        assert count(store) == 0
    else:
        store.locked("a", QUESTION, lambda *_: (None, [an_account("1")]))
        assert count(store) == 1


def test_a_database_that_is_dropped_and_made_anew_is_used_by_a_process_that_outlived_it(postgres, postgres_url):
    name = make_url(postgres_url).database
    store = Store(postgres_url, patience=20)
    write(store, "before")
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")
    postgres.psql(f"CREATE DATABASE {name}")
    write(store, "after")
    assert count(store) == 1


@pytest.mark.usefixtures("no_slot_is_missed")
def test_a_role_that_may_not_delete_settles_each_message(postgres_url, monkeypatch, caplog):
    """Seen: one of 16 failed, and the message was in doubt."""
    monkeypatch.setattr(journal_module, "PRUNED_EVERY", 1)
    Store(postgres_url).open()
    role = f"keeper_{make_url(postgres_url).database}"
    with database(postgres_url) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}")
        connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    keeper = make_url(postgres_url).set(username=role)
    journal = MessageJournal(Store(keeper, patience=5), "account", RateLimits())
    held = journal.reserve(SlotRequest("k", ("5554332111",), "5556667777", "Hello"))
    assert journal.start(held, request_timeout=30)
    assert journal.settle(held, "sent", {})
    assert journal.find("k").state == "sent"
    assert "could not be deleted: the delivery journal cannot be used (PostgreSQL denied a right)" in caplog.text


def test_the_temporary_files_of_a_file_are_gone_with_the_transaction(sqlite_url, tmp_path):
    write(Store(sqlite_url))
    assert {path.name for path in Path(tmp_path).iterdir()} <= {"journal.db", "journal.db-journal"}


class Stopped(Exception):
    """Raised by a signal handler, as Airflow 2 ends a task."""


@pytest.fixture
def signalled():
    """A plan that a signal interrupts."""

    def stop(*_):
        raise Stopped

    def plan(*_):
        signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    yield plan
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def broken(request, store_url, tmp_path):
    """A store of the same kind that cannot be opened."""
    if store_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'nowhere' / 'journal.db'}"
    return f"postgresql+psycopg2://nobody@127.0.0.1:{request.getfixturevalue('unused_port')}/journal"


def fault(n, url, broken, signalled):
    with pytest.raises(JournalUnavailable, match=r"refused|cannot be opened|is locked"):
        Store(broken, patience=0).ask(QUESTION)
    write(Store(url), str(n))
    if n % 2 == 0:
        with pytest.raises((Stopped, JournalUnavailable)):
            Store(url, patience=0).locked("a", QUESTION, signalled)
    if n % 10 == 0:
        pid = os.fork()
        if pid == 0:
            write(Store(url), f"child {n}")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0


def test_an_hours_worth_of_faults_leaves_nothing_behind(store_url, broken, signalled, monkeypatch):
    """A failed open and a rotated password each 30 s, a signal each minute, a fork each five."""
    monkeypatch.setattr("airflow_provider_dialogtech.journal.sqlite._IDLE_SECONDS", 0.05)
    tokens = itertools.count()

    def url():
        parsed = make_url(store_url)
        return parsed if parsed.get_backend_name() == "sqlite" else parsed.set(password=f"token{next(tokens)}")

    def counts():
        gc.collect()
        others = 0 if store_url.startswith("sqlite") else connections(store_url)
        return threading.active_count(), descriptors(), engines(), others

    fault(0, url, broken, signalled)
    before = counts()
    for n in range(1, FAULTS + 1):
        fault(n, url, broken, signalled)
    assert all(settles_at(lambda kind=kind: counts()[kind], most) for kind, most in enumerate(before))
    assert count(Store(url)) == 1 + 1 + FAULTS + FAULTS // 10
