"""Settles a message in doubt for a person, with an entry in Airflow's audit log."""

from __future__ import annotations

import json
from typing import Any, Literal

from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.journal.records import Record
from airflow_provider_dialogtech.masking import clean
from airflow_provider_dialogtech.operations.messages import Messages

EVENT = "dialogtech_message_settled"
"""The event's name in Airflow's audit log."""
_LONGEST_OWNER = 500


class AuditLogUnavailable(Exception):
    """Airflow's audit log could not be written. Its sentence is shown to the user."""


def settle(
    message: Record,
    outcome: Literal["sent", "unsent"],
    journal: Messages,
    *,
    by: str,
    through: Literal["the page Messages", "the command line"],
) -> bool:
    """Settle a message in doubt, and note it in Airflow's audit log. Without the entry it is not settled.

    :param message: the message.
    :param outcome: whether it was sent.
    :param journal: the journal's messages.
    :param by: the person's name.
    :param through: where they did it.
    :return: whether it was in doubt; where it was not, nothing has changed.
    :raises AuditLogUnavailable: when the audit log could not be written.
    :raises JournalUnavailable: when the journal cannot be used.
    """
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    by = clean(by)
    settled_by = by if through == "the page Messages" else f"{by} on {through}"
    extra = {"message_id": message.id, "outcome": outcome, "through": through}
    names = {"dag_id": message.dag_id, "run_id": message.run_id, "task_id": message.task_id}
    of_task: dict[str, Any] = {name: value for name, value in names.items() if value}
    if message.task_id:
        of_task["map_index"] = message.map_index
    settled = False
    try:
        with create_session() as session:
            session.add(Log(event=EVENT, owner=by[:_LONGEST_OWNER], extra=json.dumps(extra), **of_task))
            session.flush()  # fails before anything is settled
            settled = journal.resolve(message.id, outcome, by=settled_by)
            if not settled:
                session.rollback()
            return settled
    except DialogTechError:
        raise
    except Exception as error:  # of any kind: a database's own, or a driver's
        problem = type(error).__name__
    # Outside the except block: the database's error carries the statement.
    raise AuditLogUnavailable(
        f"The message {message.id} was {'settled' if settled else 'not settled'}: Airflow's audit log could not be "
        f"written ({problem}). Check Airflow's database."
    )
