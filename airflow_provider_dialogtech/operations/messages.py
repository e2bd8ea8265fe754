"""The questions that a person asks the journal: list messages, and settle one that is in doubt."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_provider_dialogtech.journal import statements
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.records import Record
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store

MOST_LISTED = 10_000
_LONGEST_NAME = 100
# Between two batches, senders use the journal.
PRUNING_PAUSE = 0.02

_Found = list[Record]


class Messages:
    """The messages of all accounts that one Airflow has in a journal.

    :param store: where the journal is stored.
    :param namespace: the Airflow's name, where several share the journal: those of others are neither shown nor
        settled.
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
        :param state: only those in this state.
        :param dag_ids: only those of these DAGs; an empty id names those of no task.
        :param run_id: only those of this run.
        :param task_id: only those of this task.
        :param most: the largest number of messages to return.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        values: dict[str, Any] = {"since": since, "most": min(most, MOST_LISTED), "of_run": run_id, "of_task": task_id}
        if dag_ids is not None:
            values["of_dags"] = [*dag_ids]
        if state is None:
            sql = statements.LIST if dag_ids is None else statements.LIST_OF_DAGS
        else:
            sql = (statements.LIST_IN_STATE if dag_ids is None else statements.LIST_IN_STATE_OF_DAGS)[State(state)]
        return self._ask(sql, values)

    def dag_ids(self) -> Sequence[str]:
        """Return the DAGs that have messages, other Airflows' too; an empty id stands for messages of no task.

        :raises JournalUnavailable: when the journal cannot be used.
        """
        return [row.dag_id for row in self._store.ask(Statement(statements.DAG_IDS, {"most": MOST_LISTED}))]

    def prune(self, retention: timedelta) -> None:
        """Delete the messages whose retention is over, a few at a time, so that no sender waits for long.

        :param retention: how long messages are kept.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        prune = Statement(statements.PRUNE, {"retention": retention.total_seconds()})
        while self._store.do(prune):
            self._store.clock.sleep(PRUNING_PAUSE)

    def get(self, id_: int) -> Record | None:
        """Return one message; None when the journal has no such row, or it is another Airflow's.

        :param id_: its row.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        found = self._ask(statements.GET_OURS, {"of_id": id_})
        return found[0] if found else None

    def resolve(self, id_: int, outcome: Literal["sent", "unsent"], *, by: str) -> bool:
        """Settle a message in doubt. Its next attempt sends nothing when it was sent, and sends when it was not.

        :param id_: its row.
        :param outcome: whether it was sent.
        :param by: who says so.
        :return: whether it was in doubt; where it was not, nothing has changed.
        :raises JournalUnavailable: when the journal cannot be used.
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
        """Count the messages with the same recipient, body and sending number, by state; other Airflows' too.

        :param message: one of them; it is counted as well.
        :param begin: those that were sent from then on.
        :param end: those that were sent before.
        :param any_number: also those that were sent from other numbers of the account.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        values = {
            "of_account": message.account,
            "of_digest": message.digest,
            "begin": begin.timestamp(),
            "end": end.timestamp(),
        }
        sql = statements.STATES_OF_SAME
        if not any_number:
            sql, values["of_number"] = statements.STATES_OF_SAME_FROM_NUMBER, message.number
        found = [State(row.state) for row in self._store.ask(Statement(sql, values))]
        return {state: found.count(state) for state in State if state in found}

    def _ask(self, sql: Any, values: Mapping[str, Any]) -> _Found:
        values = {**values, "of_namespace": self._namespace}
        found = map(Record.of, self._store.ask(Statement(sql, values)))
        # A message whose process is gone is in doubt, even if no process has recorded that yet.
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
