"""The time that a journal may take to answer. A process that does not run does not count it."""

import multiprocessing
import os
import signal
import threading
import time

import psutil
import pytest

from airflow_provider_dialogtech.alerts import deadline as attempt_module
from airflow_provider_dialogtech.alerts.deadline import JournalAttempt
from airflow_provider_dialogtech.exceptions import JournalUnavailable, NotSent
from tests.clocks import FakeClock

_fork = multiprocessing.get_context("fork")


def test_an_answer_in_time_is_returned():
    attempt = JournalAttempt(30)

    def work():
        with attempt.asking():
            return "answer"

    assert attempt.run(work) == "answer"


def test_an_error_of_the_work_is_raised():
    with pytest.raises(ZeroDivisionError):
        JournalAttempt(30).run(lambda: 1 / 0)


def test_a_journal_that_does_not_answer_is_abandoned_and_the_work_stops():
    attempt, answer, learned = JournalAttempt(0.3), threading.Event(), threading.Event()

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
    attempt = JournalAttempt(0.5)

    def work():
        for _ in range(100):
            with attempt.asking():
                time.sleep(0.05)
            attempt.check()

    with pytest.raises(JournalUnavailable):
        attempt.run(work)


def test_waiting_for_a_slot_is_not_counted():
    attempt = JournalAttempt(0.3)

    def work():
        with attempt.asking():
            pass
        time.sleep(0.9)
        attempt.check()
        return "sent"

    assert attempt.run(work) == "sent"


# The clock is read every tenth of a second. On a busy machine it may be read later than this; no test depends on it.
TICKS = 0.5


def asking_for(attempt, time, *seconds, until_over=False):
    """Ask the journal several times, each for some seconds of an injected clock, and return the outcome.

    :param until_over: whether the last answer comes only once the attempt is over.
    """
    over = threading.Event()

    def work():
        for each in seconds[:-1]:
            with attempt.asking():
                time.go_on(each)
        with attempt.asking():
            time.go_on(seconds[-1])
            over.wait(60 if until_over else TICKS)
        return "answer"

    try:
        return attempt.run(work)
    except JournalUnavailable as error:
        return error.reason
    finally:
        over.set()


TOO_LONG = "the delivery journal has taken longer than the 0.3 s that an alert waits for it"


@pytest.mark.parametrize(
    ("seconds", "outcome"), [((0.1, 0.1, 0.09), "answer"), ((0.1, 0.1, 0.11), TOO_LONG), ((0.14, 0.14, 0.03), TOO_LONG)]
)
def test_the_time_of_all_answers_is_added_up(seconds, outcome):
    time = FakeClock()
    assert asking_for(JournalAttempt(0.3, time.clock), time, *seconds, until_over=outcome == TOO_LONG) == outcome


def test_time_in_which_the_process_did_not_run_counts_up_to_twice_the_journals_seconds():
    for seconds, outcome in ((59.0, "answer"), (61.0, TOO_LONG.replace("0.3 s", "30 s"))):
        time = FakeClock()
        assert asking_for(JournalAttempt(30, time.clock), time, seconds, until_over=outcome != "answer") == outcome


def test_of_a_long_time_between_two_looks_at_the_clock_little_counts():
    """Four times 0.15 s are less than 0.7 s, though 1.2 s have passed."""
    time = FakeClock()
    assert asking_for(JournalAttempt(0.7, time.clock), time, 0.3, 0.3, 0.3, 0.3) == "answer"
    time = FakeClock()
    times = (0.3, 0.3, 0.3, 0.3, 0.3)
    assert asking_for(JournalAttempt(0.7, time.clock), time, *times, until_over=True).startswith("the delivery journal")


def test_a_process_that_is_stopped_meanwhile_abandons_no_journal():
    """Such as one that gets no CPU time on a busy machine, or whose machine is suspended."""

    def work(pipe):
        attempt = JournalAttempt(3.0)

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
    monkeypatch.setattr(attempt_module, "LONGEST_TICK", 0.0)
    attempt = JournalAttempt(0.3)

    def work():
        with attempt.asking():
            time.sleep(30)

    with pytest.raises(JournalUnavailable):
        attempt.run(work)
