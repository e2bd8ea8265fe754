"""What a person asks the journal: which texts there are, and to settle one that is in doubt."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

import sqlalchemy as sa

from airflow_provider_dialogtech.delivery.records import ABANDONED, GRACE, State, mapping_of
from airflow_provider_dialogtech.delivery.schema import json_rows, now, sends
from airflow_provider_dialogtech.delivery.store import Statement, Store

MOST_LISTED = 10_000
_LONGEST_NAME = 100

STATES: tuple[State, ...] = (
    "reserved", "sending", "sent", "refused", "throttled", "in_doubt", "released", "unsent", "held_back",
)  # fmt: skip

_COLUMNS = (
    "id", "account", "number", "at", "key", "digest", "recipient_tail", "detail", "created", "updated", "priority",
    "dag_id", "run_id", "task_id", "map_index",
)  # fmt: skip

_is_overdue = sa.and_(sends.c.state == "sending", sends.c.deadline + GRACE <= now())
# A text whose process is gone is in doubt, whether or not somebody has met it and written that down.
_state = sa.case((_is_overdue, "in_doubt"), else_=sends.c.state).label("state")
_id: Any = sa.bindparam("of_id")

_DOUBT_OVERDUE = sends.update().where(sends.c.id == _id, _is_overdue).values(state="in_doubt", updated=now())
"""sending → in doubt, once the request's deadline is long over."""

_RESOLVE = (
    sends.update()
    .where(sends.c.id == _id, sends.c.state == "in_doubt")
    .values(
        state=sa.bindparam("new_state", type_=sa.String),
        detail=sa.bindparam("new_detail", type_=sa.Text),
        updated=now(),
    )
)
"""in doubt → sent or unsent, by a person. The row keeps its idempotency key until a new attempt takes it."""


@dataclass(frozen=True)
class JournalText:
    """A text as the journal knows it.

    :param id: its row.
    :param at: when it left, or was to leave.
    :param state: what is known of it.
    :param recipient_tail: the last four digits of the number it goes to.
    :param number: the journal's name of the number it leaves from.
    :param account: the journal's name of its account.
    :param digest: the journal's name of recipient and text together.
    :param is_alert: whether it is an alert.
    :param is_current: whether it still holds its idempotency key: a later attempt has not taken it.
    :param age: seconds since `at`, on the journal's clock; less than none for a slot to come.
    :param detail: what the journal keeps of its outcome.
    """

    id: int
    at: datetime
    state: State
    recipient_tail: str
    number: str = field(repr=False)
    account: str = field(repr=False)
    digest: str = field(repr=False)
    is_alert: bool
    is_current: bool
    age: float
    detail: Mapping[str, Any] = field(repr=False)
    dag_id: str
    run_id: str
    task_id: str
    map_index: int

    @property
    def reason(self) -> str:
        """Return in a few words why it is in its state."""
        if self.state == "reserved":
            gone = self.age > ABANDONED
            return "not sent; its process is gone, so the next attempt takes it over" if gone else "waits for its slot"
        settled_by = self.detail.get("settled_by")
        if isinstance(settled_by, str):
            return f"settled by {settled_by}"
        described = self.detail.get("result_description")
        return described if isinstance(described, str) and described else _REASONS[self.state]


_REASONS: dict[State, str] = {
    "reserved": "waits for its slot",
    "sending": "its request is out, or about to leave",
    "sent": "",
    "refused": "DialogTech gave no reason",
    "throttled": "DialogTech throttled it",
    "in_doubt": "its request left, and no outcome is known",
    "released": "not sent; its slot was given back",
    "unsent": "",
    "held_back": "the connection's only_to does not name its recipient",
}


_Found = list[JournalText]


class Texts:
    """The texts of all accounts in one journal.

    :param store: where the journal is stored.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(
        self,
        *,
        since: float,
        state: State | None = None,
        dag_id: str | None = None,
        most: int = 100,
    ) -> _Found:
        """Return texts, the newest first; slots that were given back for another one only where these are asked for.

        :param since: those of the last so many seconds, and those to come.
        :param state: only those in this state.
        :param dag_id: only those of this DAG.
        :param most: at most so many.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        conditions = [sends.c.at > now() - sa.bindparam("since", type_=sa.Float)]
        values: dict[str, Any] = {"since": since, "most": min(most, MOST_LISTED)}
        if state is None:
            # What was given back for another slot says nothing; what nobody has taken over since was not sent.
            conditions.append(sa.or_(sends.c.state != "released", sends.c.key.isnot(None)))
        else:
            conditions.append(_state == sa.bindparam("of_state", type_=sa.String))
            values["of_state"] = state
        if dag_id is not None:
            conditions.append(sends.c.dag_id == sa.bindparam("of_dag", type_=sa.String))
            values["of_dag"] = dag_id
        newest = sa.select(*_shown()).where(*conditions).order_by(sends.c.at.desc(), sends.c.id.desc())
        return self._ask(newest.limit(sa.bindparam("most", type_=sa.Integer)), values)

    def get(self, id_: int) -> JournalText | None:
        """Return one text; None when the journal has no such row.

        :param id_: its row.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        found = self._ask(sa.select(*_shown()).where(sends.c.id == _id), {"of_id": id_})
        return found[0] if found else None

    def resolve(self, id_: int, outcome: Literal["sent", "unsent"], *, by: str) -> bool:
        """Settle a text that is in doubt. Its next attempt sends nothing when it was sent, and sends when it was not.

        :param id_: its row.
        :param outcome: what became of it.
        :param by: who says so.
        :return: whether it was in doubt; where it was not, nothing has changed.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        text = self.get(id_)
        if text is None:
            return False
        settlement = uuid.uuid4().hex
        detail = {**_detail(text, outcome), "settled_by": by[:_LONGEST_NAME], "settlement": settlement}
        values = {"of_id": id_, "new_state": outcome, "new_detail": json.dumps(detail)}
        if self._store.do(Statement(_DOUBT_OVERDUE, {"of_id": id_}), Statement(_RESOLVE, values)):
            return True
        # The answer to this very settlement's first try may have been lost.
        now_known = self.get(id_)
        return now_known is not None and now_known.detail.get("settlement") == settlement

    def count_same(
        self, text: JournalText, *, begin: datetime, end: datetime, any_number: bool = False
    ) -> dict[State, int]:
        """Count the texts with the same recipient, the same words and the same sending number, by state.

        :param text: one of them; it is counted, too.
        :param begin: those that left from then on.
        :param end: those that left before.
        :param any_number: also those that left from other numbers of the account.
        :raises JournalUnavailable: when the journal cannot be used.
        """
        same = sa.select(_state).where(
            sends.c.account == sa.bindparam("of_account"),
            sends.c.digest == sa.bindparam("of_digest"),
            sends.c.at >= sa.bindparam("begin", type_=sa.Float),
            sends.c.at < sa.bindparam("end", type_=sa.Float),
        )
        values = {
            "of_account": text.account,
            "of_digest": text.digest,
            "begin": begin.timestamp(),
            "end": end.timestamp(),
        }
        if not any_number:
            same, values["of_number"] = same.where(sends.c.number == sa.bindparam("of_number")), text.number
        row = self._store.ask(Statement(_in_one_row(same, ("state",)), values))
        states = [state for (state,) in json.loads(row.found)]
        return {state: states.count(state) for state in STATES if state in states}

    def _ask(self, query: Any, values: Mapping[str, Any]) -> _Found:
        row = self._store.ask(Statement(_in_one_row(query, (*_COLUMNS, "state")), values))
        texts = [_text(dict(zip((*_COLUMNS, "state"), found, strict=True)), row.now) for found in json.loads(row.found)]
        return sorted(texts, key=lambda text: (text.at, text.id), reverse=True)


def _shown() -> list[Any]:
    return [*(sends.c[name] for name in _COLUMNS), _state]


def _in_one_row(query: Any, columns: tuple[str, ...]) -> Any:
    rows = query.subquery()
    found = sa.select(json_rows(*(rows.c[name] for name in columns))).select_from(rows)
    return sa.select(now().label("now"), found.scalar_subquery().label("found"))


def _text(row: dict[str, Any], now: float) -> JournalText:
    at, key, priority = row.pop("at"), row.pop("key"), row.pop("priority")
    del row["created"], row["updated"]
    return JournalText(
        **{**row, "detail": mapping_of(row["detail"])},
        at=datetime.fromtimestamp(at, timezone.utc),
        is_alert=bool(priority),
        is_current=key is not None,
        age=now - at,
    )


def _detail(text: JournalText, outcome: str) -> dict[str, Any]:
    """Return what a later attempt returns for the text, in the words that a result has."""
    if outcome != "sent":
        return {}
    return {
        "status": "sent",
        "result": "success",
        "result_description": "Settled as sent by a person",
        "to": f"…{text.recipient_tail}",
        "sent_at": text.at.isoformat(timespec="milliseconds"),
    }
