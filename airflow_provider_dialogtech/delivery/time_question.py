"""When a store's clock was read: a process compares it with its own."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from airflow_provider_dialogtech.delivery.clock import Clock
from airflow_provider_dialogtech.delivery.clock_readings import Reading
from airflow_provider_dialogtech.delivery.store import Statement


def note_questions(engine: Engine, clock: Clock) -> None:
    """Note with each of an engine's connections when its last question left.

    That is later than the call that asks: the first time, SQLAlchemy writes the question's SQL there.
    """

    def note(connection: Connection, *_: Any) -> None:
        connection.info["asked"] = clock.monotonic()

    sa.event.listen(engine, "before_cursor_execute", note)


def ask_for_time(connection: Connection, question: Statement, clock: Clock) -> tuple[Row[Any], Reading]:
    """Ask a question with the store's time in its column `now`; return its row, and when that time was read.

    :param connection: one of an engine whose questions are noted.
    """
    row = connection.execute(question.sql, dict(question.values)).one()
    asked = connection.info["asked"]
    took = clock.monotonic() - asked
    return row, Reading(row.now, asked + took / 2, took)
