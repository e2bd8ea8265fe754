"""What is wrong with the store, told from what a driver says, and what to do where no retry mends it."""

import sqlite3

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.journal.errors import LoginRejected, StoreAway, TablesMissing, error_to_raise


class DriverError(Exception):
    """An error of a driver: psycopg2 names the code of the SQL standard `pgcode`, psycopg `sqlstate`."""

    def __init__(self, said="", **code):
        super().__init__(said)
        self.__dict__.update(code)


def told(error, kind=sa.exc.OperationalError, *, is_file=False):
    return error_to_raise(kind("SELECT secret", {}, error), is_file=is_file)


@pytest.mark.parametrize("attribute", ["pgcode", "sqlstate"])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("28P01", "PostgreSQL rejected the login"),
        ("3D000", "the database does not exist"),
        ("42501", "PostgreSQL denied a right"),
        ("53300", "takes no more connections"),
        ("57P01", "is restarting"),
        ("55P03", "held its lock for too long"),
        ("25006", "is read-only"),
        ("53100", "disk is full"),
    ],
)
def test_a_code_of_the_standard_is_told_in_words(attribute, code, words):
    assert words in str(told(DriverError("something", **{attribute: code})))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("could not translate host name", "the name of its server was not found"),
        ("Connection refused", "the connection was refused"),
        ("timeout expired", "its server does not answer"),
        ("server closed the connection unexpectedly", "the connection was lost"),
        ("something else", "DriverError"),
    ],
)
def test_what_may_pass_is_tried_again(said, words):
    found = told(DriverError(said))
    assert isinstance(found, StoreAway)
    assert str(found).endswith(words)
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("said", "is_away", "words"),
    [
        ("database is locked", True, "the file is locked"),
        ("unable to open database file", False, "the file cannot be opened"),
        ("attempt to write a readonly database", False, "the file is read-only"),
        ("database or disk is full", False, "the file cannot be written"),
        ("file is not a database", False, "the file is no journal, or is damaged"),
    ],
)
def test_a_file_is_told_in_its_own_words(said, is_away, words):
    found = told(DriverError(said), is_file=True)
    assert isinstance(found, StoreAway if is_away else JournalUnavailable)
    assert words in str(found)
    assert words not in str(told(DriverError(said)))


def test_what_no_retry_mends_says_what_to_do():
    found = told(DriverError("permission denied for schema public"))
    assert isinstance(found, JournalUnavailable)
    assert found.advice.startswith("Open the journal once with this version as their owner")
    assert "Sending it again is safe" in found.advice


def test_a_rejected_login_and_missing_tables_have_kinds_of_their_own():
    assert isinstance(told(DriverError("password authentication failed")), LoginRejected)
    missing = DriverError("no such relation")
    missing.pgcode = "42P01"
    assert isinstance(told(missing), TablesMissing)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StoreAway("it is away"), StoreAway),
        (sa.exc.TimeoutError(), StoreAway),
        (sa.exc.IntegrityError("", {}, DriverError()), StoreAway),
        (sa.exc.OperationalError("", {}, DriverError("odd")), StoreAway),
        (sa.exc.ProgrammingError("", {}, DriverError("odd")), JournalUnavailable),
        (sqlite3.OperationalError("odd"), StoreAway),
        (sqlite3.ProgrammingError("odd"), JournalUnavailable),
        (TypeError("an option"), InvalidConnection),
        (ValueError("an option"), InvalidConnection),
        (ZeroDivisionError("odd"), JournalUnavailable),
    ],
)
def test_any_error_has_a_name(error, kind):
    found = error_to_raise(error, is_file=False)
    assert type(found) is kind
    assert "odd" not in str(found)
    assert found is error or not isinstance(error, StoreAway)
