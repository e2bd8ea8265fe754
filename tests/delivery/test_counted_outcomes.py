"""Under which names the outcomes of messages are counted."""

import pytest

from airflow_provider_dialogtech import exceptions
from airflow_provider_dialogtech.delivery.result import record_outcome
from tests.results import a_result


class Recorder:
    def __init__(self):
        self.figures = []

    def count(self, name, by=1):
        self.figures.append((name, by))

    def time(self, name, seconds):
        self.figures.append((name, seconds))


def figures(ending, missed_slots=0):
    recorder = Recorder()
    record_outcome(recorder, ending, missed_slots)
    return recorder.figures


def test_only_a_message_that_was_sent_now_has_waited():
    assert figures(a_result("sent", waited_seconds=2.5)) == [("messages.sent", 1), ("waited", 2.5)]
    assert figures(a_result("already_sent", waited_seconds=2.5)) == [("messages.already_sent", 1)]
    assert figures(a_result("held_back", waited_seconds=2.5)) == [("messages.held_back", 1)]


def test_missed_slots_are_counted_whatever_became_of_the_message():
    assert figures(a_result("held_back", waited_seconds=2.5), 3) == [("messages.held_back", 1), ("missed_slots", 3)]
    assert figures(exceptions.JournalUnavailable(), 1)[1:] == [("missed_slots", 1)]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (exceptions.InDoubt(), "in_doubt"),
        (exceptions.BadCredentials(), "bad_credentials"),
        (exceptions.Refused(), "refused"),
        (exceptions.Throttled(), "throttled"),
        (exceptions.Unreachable(), "unreachable"),
        (exceptions.WaitTooLong(), "wait_too_long"),
        (exceptions.JournalUnavailable(), "journal_unavailable"),
        (exceptions.InvalidMessage(), "invalid"),
        (exceptions.InvalidConnection(), "invalid"),
        (exceptions.NotSent(), "not_sent"),
        (KeyboardInterrupt(), "stopped"),
        (ZeroDivisionError(), "stopped"),
    ],
)
def test_each_error_is_counted_by_its_name(error, name):
    assert figures(error) == [(f"messages.{name}", 1)]
