"""Describes the store's failures, without its address, its user or a statement."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, NamedTuple

import sqlalchemy as sa

from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.journal.backend import JOURNAL_URL


class StoreAway(Exception):
    """The store is unavailable; a retry may help."""


class TablesMissing(StoreAway):
    """The journal's tables are missing: the database was created anew. Opening the store again creates them."""


class LoginRejected(StoreAway):
    """The login failed; the password may have been rotated. A retry helps only if `[dialogtech] journal_url` has a new
    one.

    :param words: what people read.
    :param advice: what to do if a retry does not help.
    """

    def __init__(self, words: str, advice: str) -> None:
        super().__init__(words)
        self.advice = advice


class _Fault(NamedTuple):
    """A kind of failure.

    :param pattern: the driver's message, or the SQLSTATE in brackets.
    :param words: what people read.
    :param advice: what to do, if a retry cannot help; empty if it may.
    """

    pattern: str
    words: str
    advice: str = ""


_LOGIN = "PostgreSQL rejected the login"
_NO_TABLES = "its tables are missing"
_TOO_LONG = ("the question took too long", "Ask for a shorter period, one state or one DAG")

# Drivers give no code for a failed connection, so these match the messages of PostgreSQL and libpq. The first match
# counts.
_POSTGRES = (
    _Fault(r"\[28|password authentication failed|no pg_hba\.conf entry|authentication.* failed|role .* does not exist"
           r"|no password supplied|not permitted to log in|no such user|wrong password",
           _LOGIN, "Check the user and the password in [dialogtech] journal_url"),
    _Fault(r"\[42P01\]", _NO_TABLES),
    _Fault(r"\[3D000\]|database .* does not exist|no such database",
           "the database does not exist", "Create it, or correct [dialogtech] journal_url"),
    _Fault(r"permission denied for schema|must be owner of",
           "its tables must be created or upgraded, and PostgreSQL denied the right to",
           "Open the journal once with this version as their owner, who needs CREATE on the schema"),
    _Fault(r"\[42501\]|permission denied", "PostgreSQL denied a right",
           "Grant the journal's user SELECT, INSERT, UPDATE and DELETE on its tables, and USAGE on its sequence"),
    _Fault(r"could not translate host name|name or service not known|failed to resolve host|nodename nor servname"
           r"|temporary failure in name resolution", "the name of its server was not found"),
    _Fault(r"connection refused", "the connection was refused"),
    _Fault(r"timeout expired|timed out|connection timeout", "its server does not answer"),
    _Fault(r"too many (clients|connections)|\[53300\]|remaining connection slots|no more connections allowed",
           "its server takes no more connections"),
    _Fault(r"starting up|shutting down|\[57P0|recovery mode|not yet accepting connections", "its server is restarting"),
    _Fault(r"\[55P03\]|lock timeout", "other senders of this account held its lock for too long"),
    _Fault(r"\[25006\]|read-only transaction", "its server is read-only"),
    _Fault(r"\[53100\]|no space left", "its server's disk is full"),
    _Fault(r"server closed the connection|connection .*(lost|closed|reset)|terminating connection|EOF detected"
           r"|could not receive data|consuming input failed|no connection to the server|broken pipe|SSL SYSCALL",
           "the connection was lost"),
    _Fault(r"invalid sslmode|invalid connection option|invalid integer value|invalid dsn|invalid .* value",
           "an option of its URL is wrong", "Correct [dialogtech] journal_url"),
)  # fmt: skip
_KINDS = (
    (sa.exc.TimeoutError, "all of this process's connections to it are busy"),
    (sa.exc.IntegrityError, "another process wrote the same at the same time"),
)
_LONGEST_SEARCHED = 2000

_SQLITE = (
    _Fault(r"locked|busy", "the file is locked"),
    _Fault(r"unable to open", "the file cannot be opened",
           "Make the file of [dialogtech] journal_url writable, and create its folder if it does not exist"),
    _Fault(r"readonly|read-only", "the file is read-only", "Make the file of [dialogtech] journal_url writable"),
    _Fault(r"interrupted", *_TOO_LONG),
    _Fault(r"full|disk I/O", "the file cannot be written", "Make room on its disk"),
    _Fault(r"not a database|malformed", "the file is no journal, or is damaged",
           "Move it away; a new journal is created then, which does not know what was sent before"),
)  # fmt: skip


def error_to_raise(error: Exception, *, is_file: bool, setting: str = JOURNAL_URL) -> StoreAway | DialogTechError:
    """Return the error to raise: `StoreAway` if a retry may help, else one for the user.

    :param error: the driver's.
    :param is_file: whether the journal is a SQLite file.
    :param setting: the setting that names the journal.
    """
    if isinstance(error, StoreAway):
        return error
    for kind, words in _KINDS:
        if isinstance(error, kind):
            return StoreAway(words)
    driver_error = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    said = f"[{sqlstate(driver_error)}] {driver_error}"[:_LONGEST_SEARCHED]
    for fault in _SQLITE if is_file else _POSTGRES:
        if re.search(fault.pattern, said, re.IGNORECASE):
            return _named(fault._replace(advice=fault.advice.replace(JOURNAL_URL, setting)))
    return _unknown(error, type(driver_error).__name__, setting)


def _unknown(error: Exception, kind: str, setting: str) -> StoreAway | DialogTechError:
    is_wrong = isinstance(error, (sa.exc.ProgrammingError, sqlite3.ProgrammingError))
    if isinstance(error, (sa.exc.DBAPIError, sqlite3.Error)) and not is_wrong:
        return StoreAway(kind)
    if isinstance(error, (TypeError, ValueError)):
        return InvalidConnection(
            f"{setting} has an option that its driver does not take ({kind})",
            advice=f"Correct {setting}.",
        )
    return JournalUnavailable(f"the delivery journal cannot be used ({kind})")


def _named(fault: _Fault) -> StoreAway | JournalUnavailable:
    if fault.words == _LOGIN:
        return LoginRejected(fault.words, fault.advice)
    if fault.words == _NO_TABLES:
        return TablesMissing(fault.words)
    return unusable(fault.words, fault.advice) if fault.advice else StoreAway(fault.words)


def unusable(words: str, advice: str) -> JournalUnavailable:
    """Return the error of a failure that a retry cannot fix.

    :param words: what is wrong.
    :param advice: what to do, without a full stop.
    """
    return JournalUnavailable(
        f"the delivery journal cannot be used ({words})", advice=f"{advice}. Sending it again is safe then."
    )


def question_too_long() -> JournalUnavailable:
    """Return the error of a query that took too long."""
    return unusable(*_TOO_LONG)


def sqlstate(error: Any) -> str:
    """Return the SQLSTATE of the driver's error, if it has one."""
    return str(getattr(error, "pgcode", None) or getattr(error, "sqlstate", None) or "")
