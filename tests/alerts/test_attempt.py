"""How long a journal may take to answer, and that a process which does not run blames no journal."""

import multiprocessing
import os
import signal
import threading
import time

import psutil
import pytest

from airflow_provider_dialogtech.alerts import attempt as attempt_module
from airflow_provider_dialogtech.alerts.attempt import Attempt
from airflow_provider_dialogtech.exceptions import JournalUnavailable, NotSent

_fork = multiprocessing.get_context("fork")


def test_an_answer_in_time_is_returned():
    attempt = Attempt(30)

    def work():
        with attempt.asking():
            return "answer"

    assert attempt.run(work) == "answer"


def test_an_error_of_the_work_is_raised():
    with pytest.raises(ZeroDivisionError):
        Attempt(30).run(lambda: 1 / 0)


def test_a_journal_that_does_not_answer_is_abandoned_and_the_work_learns_it():
    attempt, answer, learned = Attempt(0.3), threading.Event(), threading.Event()

    def work():
        with attempt.asking():
            answer.wait(30)
        try:
            attempt.check()
        except NotSent:
            learned.set()

    with pytest.raises(JournalUnavailable):
        attempt.run(work)
    answer.set()
    assert learned.wait(30)


def test_all_answers_together_may_take_so_long():
    attempt = Attempt(0.5)

    def work():
        for _ in range(100):
            with attempt.asking():
                time.sleep(0.05)
            attempt.check()

    with pytest.raises(JournalUnavailable):
        attempt.run(work)


def test_waiting_for_a_slot_is_not_counted():
    attempt = Attempt(0.3)

    def work():
        with attempt.asking():
            pass
        time.sleep(0.9)
        attempt.check()
        return "sent"

    assert attempt.run(work) == "sent"


def test_a_process_that_is_stopped_meanwhile_abandons_no_journal():
    """As one that gets no processor time on a busy machine, or whose machine is suspended."""

    def work(pipe):
        attempt = Attempt(3.0)

        def ask():
            with attempt.asking():
                pipe.send("asking")
                return pipe.recv()

        pipe.send(attempt.run(ask))

    here, there = _fork.Pipe()
    process = _fork.Process(target=work, args=(there,))
    process.start()
    assert here.recv() == "asking"
    os.kill(process.pid, signal.SIGSTOP)
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    time.sleep(3.5)
    here.send("answer")
    os.kill(process.pid, signal.SIGCONT)
    assert here.poll(30)
    assert here.recv() == "answer"
    process.join(30)


def test_even_a_process_that_hardly_runs_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(attempt_module, "_LONGEST_TICK", 0.0)
    attempt = Attempt(0.3)

    def work():
        with attempt.asking():
            time.sleep(30)

    with pytest.raises(JournalUnavailable):
        attempt.run(work)
