"""The directory in the temporary folder that takes over: only one that nobody else can write to."""

import os

import pytest

from airflow_provider_dialogtech.alerts.fallback import journal_in_temporary_directory
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
