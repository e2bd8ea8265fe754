"""Connections whose answer does not come are cut, so that whoever waits for it goes on."""

import socket
import threading

import pytest

from airflow_provider_dialogtech.delivery.faults import StoreAway
from airflow_provider_dialogtech.delivery.watchdog import Watchdog


@pytest.fixture
def watchdog():
    return Watchdog()


@pytest.fixture
def silent():
    """A connection on which nothing comes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(30)
        yield ours


def wait_for_answer(watchdog, connection, seconds):
    with watchdog.watching(seconds) as watch:
        watch.add(connection.fileno())
        if connection.recv(1) == b"":
            raise ConnectionResetError


def test_a_connection_on_which_no_answer_comes_is_cut_in_its_time(watchdog, silent):
    with pytest.raises(StoreAway, match=r"it did not answer for 0\.2 s"):
        wait_for_answer(watchdog, silent, 0.2)


def test_it_watches_again_after_it_had_nothing_to_watch(watchdog):
    for _ in range(3):
        ours, theirs = socket.socketpair()
        ours.settimeout(30)
        with ours, theirs, pytest.raises(StoreAway):
            wait_for_answer(watchdog, ours, 0.1)


def test_each_is_cut_in_its_own_time(watchdog, silent):
    with watchdog.watching(60) as patient:
        with pytest.raises(StoreAway):
            wait_for_answer(watchdog, silent, 0.2)
        assert not patient.was_cut
        assert 50 < patient.left <= 60


def test_a_connection_that_comes_after_the_cut_is_cut_at_once(watchdog, silent):
    def connect_late():
        with watchdog.watching(0.1) as watch:
            while not watch.was_cut:
                threading.Event().wait(0.01)
            assert watch.left == 0
            watch.add(silent.fileno())
            assert silent.recv(1) == b""
            raise ConnectionResetError

    with pytest.raises(StoreAway):
        connect_late()


def test_an_error_before_that_time_is_raised_as_it_is(watchdog):
    with pytest.raises(ZeroDivisionError), watchdog.watching(60):
        raise ZeroDivisionError


def test_what_ends_in_time_is_let_alone(watchdog, silent):
    with watchdog.watching(0.1) as watch:
        watch.add(silent.fileno())
    threading.Event().wait(0.3)
    assert not watch.was_cut
    silent.send(b"still open")


def test_it_keeps_no_process_from_ending(watchdog):
    before = set(threading.enumerate())
    with watchdog.watching(60):
        (thread,) = set(threading.enumerate()) - before
        assert thread.name == "dialogtech-journal-watchdog"
        assert thread.daemon
