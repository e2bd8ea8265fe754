"""The file of reported errors, which the processes of a machine share."""

import time

import pytest

from airflow_provider_dialogtech.alerts.reported_errors import NAME, Reported, ReportedErrors, error_of


@pytest.fixture
def file(tmp_path):
    file = ReportedErrors.lock(str(tmp_path))
    yield file
    file.close()


def test_other_users_cannot_read_it(file, tmp_path):
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_one_holds_it_at_a_time(file, tmp_path):
    assert ReportedErrors.lock(str(tmp_path)) is None


def test_what_is_written_replaces_what_was_and_is_read_back(file):
    assert file.read() == Reported()
    for reported in (Reported(frozenset({"a" * 64, "b" * 64}), 1234.5), Reported(frozenset({"c"}), 2.0)):
        file.write(reported)
        assert file.read() == reported


@pytest.mark.parametrize(
    ("seconds", "is_resting"), [(-60, False), (-0.5, False), (60, True), (3540, True), (3660, False)]
)
def test_it_rests_for_an_hour_at_most(seconds, is_resting):
    assert Reported(rests_until=time.time() + seconds).is_resting == is_resting
    assert not Reported().is_resting


def test_an_error_is_the_same_with_and_without_the_folders_of_its_file():
    assert error_of("/dags/etl.py", "KeyError") == error_of("etl.py", "KeyError")
    assert error_of("etl.py", "KeyError") != error_of("etl.py", "ValueError")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("DagBag import timeout for {} after 30.0s, PID: 4711", "DagBag import timeout for {} after 30.1s, PID: 48"),
        ("<Thing object at 0x7f9a2c4e1d30>", "<Thing object at 0x7fb01c002fd0>"),
        ("No file /tmp/7d44b1a8-0d6e-4f0b-9b3d-1f6f0c9a7e21", "No file /tmp/0b9a1c55-aa10-4c1f-8d5e-a1b2c3d4e5f6"),
    ],
    ids=["a process", "an address", "a random name"],
)
def test_an_error_whose_words_differ_each_time_is_one_error(first, second):
    """Seen: a file that takes too long to import was reported every 15 minutes."""
    path = "/dags/etl.py"
    assert error_of(path, first.format(path)) == error_of(path, second.format(path))
    assert error_of(path, first.format(path)) != error_of(path, "KeyError")
