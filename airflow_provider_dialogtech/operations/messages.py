"""What a person asks of the journal: the messages, how much of the limits they use, and to settle one in doubt."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.journal import queries, statements
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.records import NO_INDEX, Record, task_name
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import clean, mask_numbers

log = logging.getLogger(__name__)

MOST_LISTED = 10_000
_LONGEST_NAME = 100
# Between two batches, senders use the journal.
PRUNING_PAUSE = 0.02

_Found = list[Record]


class Messages:
    """The messages of all accounts that one Airflow has in a journal.

    :param namespace: the Airflow's name, where several share the journal: those of others are neither shown nor
        settled.
    :raises JournalUnavailable: by all methods, when the journal cannot be used.
    """

    def __init__(self, store: Store, namespace: str = "") -> None:
        self._store = store
        self._namespace = namespace

    def list(
        self,
        *,
        since: float,
        state: State | None = None,
        dag_ids: Collection[str] | None = None,
        run_id: str = "",
        task_id: str = "",
        most: int = 100,
    ) -> _Found:
        """Return messages, the newest first; slots that were given back for another one only where these are asked for.

        :param since: those of this many past seconds, and those still to be sent.
        :param dag_ids: only those of these DAGs; an empty id names those of no task.
        """
        sql = queries.newest(
            None if state is None else State(state),
            of_dags=dag_ids is not None,
            of_run=bool(run_id),
            of_task=bool(task_id),
            in_file=self._store.is_file,
        )
        dags = [*dict.fromkeys(dag_ids or ())]
        names = {"of_dags": dags, "of_dags_as_json": json.dumps(dags), "of_run": run_id, "of_task": task_id}
        return self._ask(sql, {"since": since, "most": min(most, MOST_LISTED), **names})

    def dag_ids(self) -> Sequence[str]:
        """Return the DAGs that have messages, also those of other Airflows; an empty id stands for messages of no
        task."""
        return [row.dag_id for row in self._store.ask(Statement(queries.DAG_IDS, {"most": MOST_LISTED}))]

    def prune(self, retention: timedelta) -> None:
        """Delete the messages whose retention is over, a few at a time, so that no send waits for it.

        :param retention: how long messages are kept.
        """
        prune = Statement(statements.PRUNE, {"retention": retention.total_seconds()})
        while self._store.do(prune):
            self._store.clock.sleep(PRUNING_PAUSE)

    def get(self, id_: int) -> Record | None:
        """Return one message; None when the journal has no such row, or it is another Airflow's."""
        found = self._ask(queries.GET_OURS, {"of_id": id_})
        return found[0] if found else None

    def resolve(self, id_: int, outcome: Literal["sent", "unsent"], *, by: str) -> bool:
        """Settle a message in doubt. Its next attempt sends nothing when it was sent, and sends when it was not.

        :param outcome: the outcome.
        :return: whether it was in doubt; where it was not, nothing has changed.
        """
        message = self.get(id_)
        if message is None:
            return False
        settlement = uuid.uuid4().hex
        detail = {**_detail(message, outcome), "settled_by": by[:_LONGEST_NAME], "settlement": settlement}
        values = {"of_id": id_, "new_state": outcome, "new_detail": json.dumps(detail)}
        doubt = Statement(statements.DOUBT_OVERDUE, {"of_id": id_})
        if self._store.do(doubt, Statement(statements.RESOLVE, values)):
            return True
        # The answer to this very settlement's first try may have been lost.
        now_known = self.get(id_)
        return now_known is not None and now_known.outcome.get("settlement") == settlement

    def count_same(
        self, message: Record, *, begin: datetime, end: datetime, any_number: bool = False
    ) -> dict[State, int]:
        """Count the messages with the same recipient, body and sending number, by state, also those of other Airflows.

        :param message: one of them, which is counted.
        :param begin: those that were sent from then on.
        :param end: those that were sent before.
        :param any_number: also those that were sent from other numbers of the account.
        """
        values = {
            "of_account": message.account,
            "of_digest": message.digest,
            "begin": begin.timestamp(),
            "end": end.timestamp(),
        }
        sql = queries.STATES_OF_SAME
        if not any_number:
            sql, values["of_number"] = queries.STATES_OF_SAME_FROM_NUMBER, message.number
        found = [State(row.state) for row in self._store.ask(Statement(sql, values))]
        return {state: found.count(state) for state in State if state in found}

    def _ask(self, sql: Any, values: Mapping[str, Any]) -> _Found:
        values = {**values, "of_namespace": self._namespace}
        found = map(Record.of, self._store.ask(Statement(sql, values)))
        # A message whose process is gone is in doubt, even before another process has written that down.
        return [record.given_up if record.is_overdue else record for record in found]


def _detail(message: Record, outcome: str) -> dict[str, Any]:
    """Return what a later attempt returns for the message, in the form of a result."""
    if outcome != "sent":
        return {}
    return {
        "status": "sent",
        "result": "success",
        "result_description": "Settled as sent by a person",
        "to": f"…{message.recipient_tail}",
        "sent_at": message.when.isoformat(timespec="milliseconds"),
    }


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

    :param outcome: whether it was sent.
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


# SQLite takes 999 values in a statement on old systems, and each instance is four.
_AT_ONCE = 200
_Instance = tuple[str, str, str, int]


def task_names(messages: Sequence[Record]) -> list[str]:
    """Return the name of each message's task, as `task_name` writes it. A label may be a phone number, so it is masked.

    :param messages: the messages.
    """
    # Inside a loop the map index does not identify an instance.
    mapped = {_instance(message) for message in messages if message.map_index >= 0 and message.loop_index == NO_INDEX}
    labels = {}
    try:
        labels = dict(_labels(sorted(mapped)))
    except Exception as error:  # of any kind: a database's own, or a driver's
        log.warning("The labels of mapped tasks cannot be read (%s).", type(error).__name__)
    return [
        task_name(message.task_id, message.map_index, message.loop_index, labels.get(_instance(message), ""))
        for message in messages
    ]


def _instance(message: Record) -> _Instance:
    return message.dag_id, message.run_id, message.task_id, message.map_index


def _labels(instances: Sequence[_Instance]) -> Iterator[tuple[_Instance, str]]:
    if not instances:
        return
    import sqlalchemy as sa
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    columns = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)
    # The attribute of that name is the index where there is no label.
    label = TaskInstance.__table__.c.rendered_map_index
    with create_session() as session:
        for start in range(0, len(instances), _AT_ONCE):
            among = sa.tuple_(*columns).in_(instances[start : start + _AT_ONCE])
            for *instance, rendered in session.execute(sa.select(*columns, label).where(among, label.is_not(None))):
                yield tuple(instance), clean(mask_numbers(rendered))


@dataclass(frozen=True)
class NumberUsage:
    """What one number has sent in the last minute.

    :param account: the journal's name of its account.
    :param number: the journal's name of the number.
    :param last_second: messages that left in the last second.
    :param last_minute: messages that left in the last 60 seconds.
    :param waiting: messages that have a slot to come.
    """

    account: str = field(repr=False)
    number: str = field(repr=False)
    last_second: int
    last_minute: int
    waiting: int


@dataclass(frozen=True)
class Usage:
    """What all accounts have sent recently.

    :param numbers: the numbers that have sent in the last minute, or have messages waiting.
    :param alerts_sent: the number of alerts sent in the last 24 hours.
    :param alerts_suppressed: alerts suppressed since the last message with the same dedup key; the next message says
        so.
    """

    numbers: tuple[NumberUsage, ...]
    alerts_sent: int
    alerts_suppressed: int


def usage_of(store: Store) -> Usage:
    """Read how much of each limit is in use now.

    :raises JournalUnavailable: when the journal cannot be used.
    """
    numbers = tuple(NumberUsage(*row) for row in store.ask(Statement(queries.USAGE_OF_NUMBERS, {})))
    (of_alerts,) = store.ask(Statement(queries.USAGE_OF_ALERTS, {}))
    return Usage(numbers, int(of_alerts.sent), int(of_alerts.suppressed))
