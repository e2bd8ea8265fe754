"""Threads of one process that wait for the same file are served with one commit."""

import signal
import threading
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from airflow_provider_dialogtech.journal.errors import StoreAway
from airflow_provider_dialogtech.journal.sqlite import FileThread

SOON = 60.0
LONG = 30.0


class GatedFile:
    """A SQLite file whose transactions begin when the test lets them.

    :param path: where it is.
    """

    def __init__(self, path):
        self._engine = sa.create_engine(
            f"sqlite:///{path}", future=True, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        self.gate = threading.Event()
        self.commits = 0
        self.broken_by = None
        with self._engine.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE told (what TEXT UNIQUE)")

    @contextmanager
    def transaction(self, timeout):
        if not self.gate.wait(timeout):
            raise StoreAway("the file is locked")
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            if self.broken_by is not None:
                error, self.broken_by = self.broken_by, None
                raise error
            connection.exec_driver_sql("COMMIT")
            self.commits += 1

    def told(self):
        with self._engine.connect() as connection:
            return [what for (what,) in connection.exec_driver_sql("SELECT what FROM told ORDER BY rowid")]


class Callers:
    """Threads that each have one thing written."""

    def __init__(self, file):
        self.file_thread = FileThread(file.transaction)
        self._threads = []
        self.outcomes = {}

    def call(self, what, *, timeout=LONG, is_urgent=False, fails=False):
        """Let another thread wait for its turn, and return once it does."""

        def write(connection):
            connection.exec_driver_sql("INSERT INTO told VALUES (?)", (what,))
            return {}["a mistake"] if fails else f"{what} is written"

        def run():
            try:
                self.outcomes[what] = self.file_thread.run(write, timeout=timeout, is_urgent=is_urgent)
            except BaseException as error:
                self.outcomes[what] = error

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()
        # The others wait, too, or no longer do.
        wait_until(lambda: self.waiting() + len(self.outcomes) >= len(self._threads))

    def waiting(self):
        return self.file_thread.waiting

    def join(self):
        for thread in self._threads:
            thread.join(SOON)
            assert not thread.is_alive()


def wait_until(happened):
    until = time.monotonic() + SOON
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.001)


@pytest.fixture
def file(tmp_path):
    return GatedFile(tmp_path / "file.db")


@pytest.fixture
def callers(file):
    return Callers(file)


def test_all_who_wait_share_one_commit_and_each_gets_its_own_answer(file, callers):
    names = [f"message {n}" for n in range(8)]
    for name in names:
        callers.call(name)
    file.gate.set()
    callers.join()
    assert callers.outcomes == {name: f"{name} is written" for name in names}
    assert sorted(file.told()) == names
    assert file.commits == 1


def test_what_is_urgent_goes_first(file, callers):
    callers.call("a reserve")
    callers.call("another reserve")
    callers.call("a start", is_urgent=True)
    file.gate.set()
    callers.join()
    assert file.told() == ["a start", "a reserve", "another reserve"]


def test_what_fails_is_undone_and_told_to_its_own_thread_alone(file, callers):
    callers.call("before")
    callers.call("broken", fails=True)
    callers.call("after")
    file.gate.set()
    callers.join()
    assert isinstance(callers.outcomes["broken"], KeyError)
    assert callers.outcomes["after"] == "after is written"
    assert file.told() == ["before", "after"]


def test_nobody_is_told_of_what_was_not_committed(file, callers):
    file.broken_by = OSError("no room left")
    callers.call("one")
    callers.call("two")
    file.gate.set()
    callers.join()
    assert [type(outcome) for outcome in callers.outcomes.values()] == [OSError, OSError]
    assert file.told() == []


def test_an_exception_of_a_signal_handler_neither_fails_others_nor_holds_the_file(file, callers):
    """Airflow 2 raises in the middle of anything when it stops a task, and then runs the task's callbacks."""
    callers.call("the other")
    before = signal.signal(signal.SIGUSR1, stop)
    threading.Timer(0.2, signal.pthread_kill, [threading.main_thread().ident, signal.SIGUSR1]).start()
    try:
        with pytest.raises(KeyboardInterrupt) as kept:
            callers.file_thread.run(lambda connection: connection.exec_driver_sql("SELECT 1"), timeout=LONG)
    finally:
        signal.signal(signal.SIGUSR1, before)
    file.gate.set()
    callers.join()
    callers.call("the next")
    callers.join()
    assert file.told() == ["the other", "the next"]
    assert kept.value is not None  # its traceback is kept all the while


def stop(*_):
    raise KeyboardInterrupt


def test_its_thread_ends_when_it_has_nothing_to_do(file, callers, monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.journal.sqlite._IDLE_SECONDS", 0.05)
    file.gate.set()
    before = threading.active_count()
    for name in ("one", "two"):
        callers.call(name)
        callers.join()
        wait_until(lambda: threading.active_count() <= before)
    assert file.told() == ["one", "two"]


def test_what_nobody_waits_for_any_more_is_not_written(file, callers):
    callers.call("patient")
    callers.call("hasty", timeout=0.05)
    wait_until(lambda: "hasty" in callers.outcomes)
    assert isinstance(callers.outcomes["hasty"], StoreAway)
    file.gate.set()
    callers.join()
    assert file.told() == ["patient"]


def test_whose_time_is_over_leaves_the_commit_to_the_next(file, callers):
    callers.call("hasty", timeout=0.05)
    callers.call("patient")
    wait_until(lambda: "hasty" in callers.outcomes)
    assert isinstance(callers.outcomes["hasty"], StoreAway)
    file.gate.set()
    callers.join()
    assert file.told() == ["patient"]
