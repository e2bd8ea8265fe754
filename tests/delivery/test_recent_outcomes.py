"""What a process records again when it finds that the journal has lost something."""

from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest

from airflow_provider_dialogtech.delivery.outcomes import RECENT_SECONDS, OutcomeWriter
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.journal import MessageJournal

NAMES = ["first", "second"]


@pytest.fixture
def journal():
    journal = create_autospec(MessageJournal, instance=True)
    journal.settle.return_value = True
    journal.state_of.return_value = None  # it has lost the reservation
    return journal


@pytest.fixture
def writer(journal, time):
    writer = OutcomeWriter(journal, time.clock)
    for name in NAMES:
        attempts = SimpleNamespace(to="…7777", started=True)
        assert writer.settle(attempts, name, "sent", {}, sent_at=time.clock.monotonic())
    journal.reset_mock()
    return writer


def settled(journal):
    return [call.args[0] for call in journal.settle.call_args_list]


def test_an_outcome_that_cannot_be_recorded_again_holds_no_other_up_and_is_tried_at_the_next_check(journal, writer):
    journal.settle.side_effect = [JournalUnavailable("it does not answer"), True, True, True]
    writer.check_recent("reserved")
    assert settled(journal) == NAMES
    writer.check_recent("reserved too")
    assert settled(journal) == NAMES * 2


def test_an_outcome_of_more_than_a_minute_ago_is_not_recorded_again(journal, writer, time):
    """Retention may have deleted it."""
    time.clock.sleep(RECENT_SECONDS + 1)
    writer.check_recent("reserved")
    assert settled(journal) == []
