"""The tables of a version stay as they are: other versions of this package use the same journal."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal import schema
from airflow_provider_dialogtech.journal.postgres import lock_number
from airflow_provider_dialogtech.journal.store import Store
from tests.clocks import FakeClock

TABLES = Path(__file__).parent / "journals" / f"tables-{schema.VERSION // 100}.{schema.VERSION % 100}.sql"


def tables(dialect) -> str:
    made = []
    for table in schema.metadata.sorted_tables:
        made.append(str(sa.schema.CreateTable(table).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made += [str(sa.schema.CreateIndex(index).compile(dialect=dialect)) for index in indexes]
    return "\n".join("\n".join(line.rstrip() for line in statement.splitlines()) for statement in made)


def test_another_table_is_another_version_of_the_journal():
    made = f"-- PostgreSQL\n{tables(postgresql.dialect())}\n-- SQLite\n{tables(sqlite.dialect())}\n"
    assert made == TABLES.read_text()


@pytest.mark.parametrize(
    ("version", "is_current"), [(None, False), (0, False), (103, False), (104, True), (105, True), (199, True)]
)
def test_a_journal_of_an_older_version_is_upgraded_and_one_of_a_newer_minor_version_is_used(version, is_current):
    assert schema.is_current(version) == is_current


def test_a_journal_of_a_newer_major_version_is_refused():
    with pytest.raises(JournalUnavailable, match=r"journal version 2, this one reads 1\)"):
        schema.is_current(200)


def test_a_new_journal_is_told_of_once_for_it_does_not_know_what_was_sent_before(store_url, caplog):
    for _ in range(2):
        Store(store_url, clock=FakeClock().clock).open()  # each clock stands for a process
        Store(store_url).open()
    assert [message[:35] for message in caplog.messages] == ["A new delivery journal was created "]
    assert "On a first start that is right." in caplog.text


def test_all_versions_take_the_same_locks():
    """Else those that run side by side on one journal would overrun the account's limits together."""
    assert lock_number("account") == -55760985764253580
    assert lock_number("schema") == -4908258481385892163
