"""The local journal in the temporary directory: no other user may be able to write to it."""

import os

import pytest

from airflow_provider_dialogtech.alerts.journals import (
    JOURNALS,
    journal_in_airflow_home,
    journal_in_temporary_directory,
    shared_journal,
)
from airflow_provider_dialogtech.exceptions import JournalUnavailable


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "temporary" / f"dialogtech-{os.getuid()}"


def test_a_directory_of_our_own_is_made_and_taken_again(directory):
    for _ in range(2):
        assert journal_in_temporary_directory().is_file
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o707, 0o1777])
def test_a_directory_that_others_can_write_to_is_refused(directory, mode):
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(JournalUnavailable, match="temporary directory"):
        journal_in_temporary_directory()


def test_a_directory_that_others_can_only_read_is_taken(directory):
    directory.mkdir()
    directory.chmod(0o755)
    assert journal_in_temporary_directory().is_file


def test_a_file_in_its_place_is_refused(directory):
    directory.write_text("")
    with pytest.raises(JournalUnavailable):
        journal_in_temporary_directory()


def test_an_alert_waits_three_seconds_for_the_shared_journal_and_ten_for_a_file():
    assert [journal.seconds for journal in JOURNALS] == [3.0, 10.0, 10.0]
    assert [open_().patience for open_ in (shared_journal, journal_in_airflow_home)] == [10.0, 10.0]
