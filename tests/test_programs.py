"""A missing program skips the tests that need it, and says so; where it is required, they fail."""

from types import SimpleNamespace

import pytest

from tests import programs


@pytest.fixture(autouse=True)
def empty_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    ("required", "outcome"), [("", pytest.skip), ("chromium", pytest.skip), ("pgbouncer", pytest.fail)]
)
def test_a_missing_program_fails_the_test_only_where_it_is_required(monkeypatch, required, outcome):
    monkeypatch.setattr(programs, "_REQUIRED", [required])
    with pytest.raises(outcome.Exception, match="for want of pgbouncer"):
        programs.require("pgbouncer")


def test_an_installed_program_is_used(tmp_path):
    (tmp_path / "google-chrome").touch(0o755)
    programs.require("chromium")
    assert programs.path_of("chromium") == str(tmp_path / "google-chrome")


def test_the_summary_counts_the_tests_of_each_missing_program():
    reasons = ["for want of a (apt-get install a)", "for want of b", "for want of a (apt-get install a)", "too old"]
    skipped = [SimpleNamespace(longrepr=("test.py", 1, f"Skipped: {reason}")) for reason in reasons]
    assert programs.summary(skipped) == [
        "2 tests were skipped for want of a (apt-get install a)",
        "1 test was skipped for want of b",
    ]
