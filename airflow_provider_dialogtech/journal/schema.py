"""The journal's tables, their version, and how an older journal becomes a newer one.

Upgrades only add: a new column has a server default, so that an older version of this package, which does not know the
column, goes on writing to the same journal while machines are upgraded one after the other.
"""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from airflow_provider_dialogtech.exceptions import JournalUnavailable

log = logging.getLogger(__name__)

# Major and minor. Other minor versions can read and write this journal; those of another major version cannot.
MAJOR = 1
VERSION = MAJOR * 100 + 4
metadata = sa.MetaData()


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, server_default="")


def _count(name: str, default: int = 0) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=str(default))


messages = sa.Table(
    "dialogtech_messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("number", sa.String(64), nullable=False),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("key", sa.String(64), unique=True),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("recipient_tail", sa.String(4), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("deadline", sa.Float(53), nullable=False),
    sa.Column("created", sa.Float(53), nullable=False),
    sa.Column("updated", sa.Float(53), nullable=False),
    _text("recipient", 64),
    _count("priority"),
    _count("displaced"),
    _text("dag_id", 250),
    _text("run_id", 250),
    _text("task_id", 250),
    _count("map_index", -1),
    _text("namespace", 250),
    _count("loop_index", -1),
    sa.Column("body_key", sa.String(64)),
    sa.Index("dialogtech_messages_account_at", "account", "at"),
    sa.Index("dialogtech_messages_at", "at"),
    sa.Index("dialogtech_messages_dag_at", "dag_id", "at"),
    sa.Index("dialogtech_messages_run_at", "run_id", "at"),
    sa.Index("dialogtech_messages_task_dag_at", "namespace", "task_id", "dag_id", "at"),
    sa.Index("dialogtech_messages_namespace_at", "namespace", "at"),
)
_has_body_key = sa.text("body_key IS NOT NULL")
sa.Index(
    "dialogtech_messages_body_key",
    messages.c.body_key,
    postgresql_where=_has_body_key,
    sqlite_where=_has_body_key,
)
# All that `reserve` reads of a full minute in SQLite, in the order in which it is read. PostgreSQL would also read the
# rows, so its index is empty.
sa.Index(
    "dialogtech_messages_number_at",
    messages.c.account,
    messages.c.number,
    messages.c.at,
    messages.c.state,
    messages.c.created,
    postgresql_where=sa.text("false"),
)
_was_not_sent = sa.text("state <> 'sent'")
# With the names, so that no row is read of another DAG's, task's or Airflow's.
sa.Index(
    "dialogtech_messages_not_sent",
    messages.c.state,
    messages.c.at,
    messages.c.dag_id,
    messages.c.task_id,
    messages.c.namespace,
    postgresql_where=_was_not_sent,
    sqlite_where=_was_not_sent,
)
_is_alert = sa.text("priority = 1")
sa.Index("dialogtech_messages_alerts", messages.c.at, postgresql_where=_is_alert, sqlite_where=_is_alert)

accounts = sa.Table(
    "dialogtech_accounts",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("extra_margin", sa.Float(53), nullable=False),
    sa.Column("widened_until", sa.Float(53), nullable=False),
    sa.Column("paused_until", sa.Float(53), nullable=False),
    sa.Column("usual_latency", sa.Float(53), nullable=False),
    # Until then it is not known what was sent in the last minute: the clock was set ahead.
    sa.Column("unknown_until", sa.Float(53), nullable=False, server_default="0"),
    # The sum of the steps, ahead and back, by which the clock was found to be set.
    sa.Column("clock_set_by", sa.Float(53), nullable=False, server_default="0"),
)

alerts = sa.Table(
    "dialogtech_alerts",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("claim", sa.String(32)),
    sa.Column("claimed_at", sa.Float(53), nullable=False),
    sa.Column("cooldown_ends", sa.Float(53), nullable=False),
    sa.Column("reported", sa.Integer, nullable=False),
    sa.Column("reported_since", sa.Float(53)),
    sa.Column("suppressed", sa.Integer, nullable=False),
    sa.Column("suppressed_since", sa.Float(53)),
    _text("message_key", 64),
    _text("last_suppressed", 32),
    _count("failures"),
    sa.Column("failing_since", sa.Float(53)),
    _count("sent_before"),
    _text("about", 64),
    _text("resolution", 32),
    sa.Index("dialogtech_alerts_cooldown_ends", "cooldown_ends"),
)
_was_suppressed = sa.text("suppressed > 0")
sa.Index(
    "dialogtech_alerts_suppressed", alerts.c.suppressed, postgresql_where=_was_suppressed, sqlite_where=_was_suppressed
)

alert_grants = sa.Table(
    "dialogtech_alert_grants",
    metadata,
    sa.Column("claim", sa.String(32), primary_key=True),
    sa.Column("recipient", sa.String(64), nullable=False),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Index("dialogtech_alert_grants_recipient_at", "recipient", "at"),
)

# SQLite has a place of its own for a version.
journal_version = sa.Table("dialogtech_journal", metadata, sa.Column("version", sa.Integer, nullable=False))


class now(FunctionElement):  # type: ignore[type-arg]  # SQLAlchemy 1.4 takes no argument
    """The journal's time, in seconds since 1970: when a statement reached the store."""

    type = sa.Float(53)
    inherit_cache = True


@compiles(now, "postgresql")
def _postgres_now(_element: Any, _compiler: Any, **_: Any) -> str:
    return "extract(epoch FROM statement_timestamp())::float8"


@compiles(now, "sqlite")
def _sqlite_now(_element: Any, _compiler: Any, **_: Any) -> str:
    return "dialogtech_now()"


class answered_at(FunctionElement):  # type: ignore[type-arg]
    """The same when the store has the answer: it may have waited for a lock, or for a processor.

    The last column of a question.
    """

    type = sa.Float(53)
    inherit_cache = True


@compiles(answered_at, "postgresql")
def _postgres_answered_at(_element: Any, _compiler: Any, **_: Any) -> str:
    return "extract(epoch FROM clock_timestamp())::float8"


@compiles(answered_at, "sqlite")
def _sqlite_answered_at(_element: Any, _compiler: Any, **_: Any) -> str:
    return "dialogtech_answered_at()"


class next_id(FunctionElement):  # type: ignore[type-arg]
    """The id of the next row in `messages`."""

    type = sa.Integer()
    inherit_cache = True


@compiles(next_id, "postgresql")
def _postgres_next_id(_element: Any, _compiler: Any, **_: Any) -> str:
    return "nextval('dialogtech_messages_id_seq')"


@compiles(next_id, "sqlite")
def _sqlite_next_id(_element: Any, _compiler: Any, **_: Any) -> str:
    return "(SELECT coalesce(max(id), 0) + 1 FROM dialogtech_messages)"


class is_by_number(FunctionElement):  # type: ignore[type-arg]
    """Whether a message is of an account; SQLite finds it by its number and time, one step for each number."""

    inherit_cache = True


@compiles(is_by_number, "postgresql")
def _postgres_is_by_number(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"{messages.name}.account = {compiler.process(element.clauses, **kwargs)}"


@compiles(is_by_number, "sqlite")
def _sqlite_is_by_number(element: Any, compiler: Any, **kwargs: Any) -> str:
    is_of_account, in_first, in_next = (
        f"{messages.name}.account = {compiler.process(element.clauses, **kwargs)}" for _ in range(3)
    )
    number = f"{messages.name}.number"
    least = f"SELECT min({number}) FROM {messages.name} WHERE"  # noqa: S608 - names of this file
    later = f"SELECT ({least} {in_next} AND {number} > found.number) FROM found WHERE found.number IS NOT NULL"  # noqa: S608
    found = f"WITH RECURSIVE found(number) AS ({least} {in_first} UNION ALL {later}) SELECT number FROM found"  # noqa: S608
    return f"{is_of_account} AND {number} IN ({found})"


class json_row(FunctionElement):  # type: ignore[type-arg]
    """One row's values as a JSON array."""

    type = sa.Text()
    inherit_cache = True


@compiles(json_row, "postgresql")
def _postgres_json_row(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"json_build_array({compiler.process(element.clauses, **kwargs)})::text"


@compiles(json_row, "sqlite")
def _sqlite_json_row(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"json_array({compiler.process(element.clauses, **kwargs)})"


class json_list(FunctionElement):  # type: ignore[type-arg]
    """The values of all rows, except NULL, as one JSON array: one value is read several times faster than many rows."""

    type = sa.Text()
    inherit_cache = True


@compiles(json_list, "postgresql")
def _postgres_json_list(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"'[' || coalesce(string_agg(({compiler.process(element.clauses, **kwargs)})::text, ','), '') || ']'"


@compiles(json_list, "sqlite")
def _sqlite_json_list(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"'[' || coalesce(group_concat({compiler.process(element.clauses, **kwargs)}), '') || ']'"


def is_current(version: int | None) -> bool:
    """Return whether a journal of this version has all tables and columns.

    :raises JournalUnavailable: when a newer major version of this package has written it.
    """
    found = version or 0
    if found // 100 > MAJOR:
        raise JournalUnavailable(
            f"the delivery journal was written by a newer version of this package (journal version {found // 100}, "
            f"this one reads {MAJOR})",
            advice="Upgrade airflow-provider-dialogtech here. Sending it again is safe then.",
        )
    return found >= VERSION


def create_or_upgrade(connection: Connection) -> bool:
    """Create what is missing.

    :return: whether the journal is a new one.
    """
    # By name, as the search path finds them: it is not the role's own in Airflow's metadata database.
    found = sa.inspect(connection)
    before = [table for table in metadata.sorted_tables if found.has_table(table.name)]
    metadata.create_all(connection)
    for table in before:
        _upgrade(connection, table)
    return messages not in before


def _upgrade(connection: Connection, table: sa.Table) -> None:
    """Add the columns and indexes that an earlier version did not have."""
    found = sa.inspect(connection)
    there = {column["name"] for column in found.get_columns(table.name)}
    indexed = {index["name"]: index["column_names"] for index in found.get_indexes(table.name)}
    for column in table.columns:
        if column.name not in there:
            made = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {made}")
    for index in table.indexes:
        columns = [column.name for column in index.columns]
        if indexed.get(index.name, columns) != columns:
            index.drop(connection)
        index.create(connection, checkfirst=True)


def log_new(place: str) -> None:
    """Warn that a new journal does not know earlier messages: the old one may have been lost or moved.

    :param place: where it is: a file's path, or a description.
    """
    log.warning(
        "A new delivery journal was created (%s). On a first start that is right. Otherwise restore the journal that "
        "was there, carry its messages over, or correct the setting that names it: the new one does not know what was "
        "sent before, so a task cleared now sends again.",
        place,
    )
