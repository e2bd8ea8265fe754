"""Connections whose answer does not come are cut, so that whoever waits for it goes on."""

import socket
import threading

import pytest

from airflow_provider_dialogtech.journal.errors import StoreAway
from airflow_provider_dialogtech.journal.watchdog import watching


@pytest.fixture
def silent():
    """A connection on which nothing comes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(30)
        yield ours


def wait_for_answer(connection, seconds):
    with watching(seconds) as watch:
        watch.add(connection.fileno())
        if connection.recv(1) == b"":
            raise ConnectionResetError


def test_a_connection_on_which_no_answer_comes_is_cut_in_its_time(silent):
    with pytest.raises(StoreAway, match=r"it did not answer for 0\.2 s"):
        wait_for_answer(silent, 0.2)


def test_one_after_the_other_is_cut():
    for _ in range(3):
        ours, theirs = socket.socketpair()
        ours.settimeout(30)
        with ours, theirs, pytest.raises(StoreAway):
            wait_for_answer(ours, 0.1)


def test_each_is_cut_in_its_own_time(silent):
    with watching(60) as patient:
        with pytest.raises(StoreAway):
            wait_for_answer(silent, 0.2)
        assert not patient.was_cut
        assert 0 < patient.remaining <= 60


def test_a_connection_that_comes_after_the_cut_is_cut_at_once(silent):
    def connect_late():
        with watching(0.1) as watch:
            while not watch.was_cut:
                threading.Event().wait(0.01)
            assert watch.remaining == 0
            watch.add(silent.fileno())
            assert silent.recv(1) == b""
            raise ConnectionResetError

    with pytest.raises(StoreAway):
        connect_late()


def test_an_error_before_that_time_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError), watching(60):
        raise ZeroDivisionError


def test_what_ends_in_time_is_let_alone(silent):
    with watching(2.0) as watch:
        watch.add(silent.fileno())
    threading.Event().wait(2.2)
    assert not watch.was_cut
    silent.send(b"still open")


def test_it_keeps_no_process_from_ending():
    before = set(threading.enumerate())
    with watching(60):
        (thread,) = set(threading.enumerate()) - before
        assert thread.name == "dialogtech-journal-watchdog"
        assert thread.daemon


def test_its_thread_ends_with_the_work():
    before = threading.active_count()
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), watching(60):
            raise ZeroDivisionError
    for thread in threading.enumerate():
        if thread.name == "dialogtech-journal-watchdog":
            thread.join(30)
    assert threading.active_count() <= before
