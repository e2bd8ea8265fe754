"""An earlier journal's file is noticed, and carried over by one command."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from airflow_provider_dialogtech.cli import main
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings import journal as journal_settings
from airflow_provider_dialogtech.settings.journal import Place, earlier_file, journal_store
from tests.journal.looking import rows
from tests.journal.test_carry_over import a_row, put
from tests.wheel.conftest import ROOT

COMMAND = ("messages", "carry-over")


@pytest.fixture
def file(monkeypatch, tmp_path):
    """The file in AIRFLOW_HOME, with a message; the journal is another one."""
    file = tmp_path / "dialogtech_journal.db"
    monkeypatch.setattr(config, "journal_file", lambda: config.file_url(str(file)))
    Store(config.journal_file()).open()
    put(f"sqlite:///{file}", a_row(1, "key"))
    journal_settings._warn_of.cache_clear()
    return file


@pytest.fixture
def carry_over(capfd):
    def run(*arguments):
        try:
            main([*COMMAND, *arguments])
        except SystemExit as stopped:
            return stopped.code or 0, capfd.readouterr().err
        return 0, capfd.readouterr().err

    return run


def test_a_file_that_is_not_the_journal_any_more_is_warned_of_once(file, caplog):
    journal_store()
    journal_store()
    warnings = [record.getMessage() for record in caplog.records if str(file) in record.getMessage()]
    (warning,) = (line for line in warnings if "does not know" in line)
    assert warning.endswith("python -m airflow_provider_dialogtech messages carry-over")


def test_the_command_carries_it_over_and_the_warning_ends_until_something_is_written(file, carry_over, own_journal):
    assert earlier_file() == file
    for _ in range(2):
        code, said = carry_over()
        assert (code, said.splitlines()[-1]) == (
            0,
            f"The journal now has the 1 message and 0 alerts of {file}.",
        )
    assert [row.key for row in rows(f"sqlite:///{own_journal}")] == ["key"]
    assert earlier_file() is None
    put(f"sqlite:///{file}", a_row(2, "another"))
    assert earlier_file() == file
    carry_over()
    assert [row.key for row in rows(f"sqlite:///{own_journal}")] == ["key", "another"]
    assert earlier_file() is None


def test_a_backup_as_the_page_makes_it_is_added_to_a_journal_that_has_begun_anew(tmp_path, carry_over, own_journal):
    (command,) = (line for line in (ROOT / "docs/maintenance.md").read_text().splitlines() if ".backup(" in line)
    lost, backup = tmp_path / "dialogtech_journal.db", tmp_path / "backup.db"
    Store(f"sqlite:///{lost}").open()
    put(f"sqlite:///{lost}", a_row(1, "before"))
    environment = os.environ | {"AIRFLOW_HOME": str(tmp_path)}
    done = command.replace("python ", f"{sys.executable} ", 1)
    subprocess.run(["/bin/sh", "-c", done], check=True, cwd=tmp_path, env=environment)
    Store(f"sqlite:///{own_journal}").open()
    put(f"sqlite:///{own_journal}", a_row(2, "since"))
    assert carry_over("--from", str(backup))[0] == 0
    assert {row.key for row in rows(f"sqlite:///{own_journal}")} == {"before", "since"}


def test_damaged_rows_are_named_and_the_warning_stays(file, carry_over, own_journal):
    put(f"sqlite:///{file}", a_row(2, "damaged"))
    with closing(sqlite3.connect(file)) as earlier, earlier:
        earlier.execute("UPDATE dialogtech_messages SET at = 'x' WHERE key = 'damaged'")
    code, said = carry_over()
    assert code == 1
    assert "has the 1 message and 0 alerts of" in said
    assert "but not its 1 damaged row (table and rowid: dialogtech_messages 2)" in said
    assert [row.key for row in rows(f"sqlite:///{own_journal}")] == ["key"]
    assert earlier_file() == file


def test_a_file_from_another_machine_is_named(file, carry_over, own_journal, tmp_path):
    copied = tmp_path / "from a worker.db"
    file.rename(copied)
    code, said = carry_over()
    assert (code, "there is no journal file" in said, "--from" in said) == (1, True, True)
    assert carry_over("--from", str(copied))[0] == 0
    assert len(rows(f"sqlite:///{own_journal}")) == 1


def test_nothing_is_carried_over_while_messages_are_under_way(file, carry_over, own_journal):
    put(f"sqlite:///{file}", a_row(0, "waits", "reserved", at=time.time() + 60))
    code, said = carry_over()
    assert (code, "Nothing was carried over: 1 message in" in said) == (1, True)
    assert not own_journal.exists() or rows(f"sqlite:///{own_journal}") == []
    assert earlier_file() == file


def test_a_file_that_is_the_journal_is_not_carried_over(file, carry_over, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{file}")
    code, said = carry_over()
    assert (code, "the delivery journal is this file" in said) == (1, True)
    assert earlier_file(journal_store()) is None


def test_a_process_that_asks_the_api_server_does_not_carry_over(file, carry_over, monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.operations.carry_over.place_of", lambda _: Place.DOOR)
    code, said = carry_over()
    assert (code, "where the API server runs" in said) == (1, True)


def test_a_file_older_than_the_retention_is_of_no_interest(file):
    long_ago = time.time() - 91 * 86400
    os.utime(file, (long_ago, long_ago))
    assert earlier_file() is None


@pytest.mark.parametrize("script", ["CREATE TABLE dag (dag_id TEXT)", ""], ids=["another database", "an empty file"])
def test_a_file_that_is_no_journal_is_named_and_left_as_it_is(carry_over, own_journal, tmp_path, script):
    """It could be Airflow's own database, and "0 messages" would sound as if all of them were there."""
    other = tmp_path / "airflow.db"
    with closing(sqlite3.connect(other)) as database:
        database.executescript(script)
    other.touch(mode=0o644)
    before = other.read_bytes(), other.stat().st_mode
    code, said = carry_over("--from", str(other))
    assert code != 0
    assert "has no delivery journal" in said
    assert (other.read_bytes(), other.stat().st_mode) == before
