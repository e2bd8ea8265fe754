"""The check of a list: every row is looked at before the first text leaves."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech.bulk.rows import FailedRow, Row, Rows, lines_by_reason
from airflow_provider_dialogtech.counting import plural
from airflow_provider_dialogtech.exceptions import InvalidMessage

if TYPE_CHECKING:
    from airflow_provider_dialogtech.bulk.stop import Stop
    from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

_SHOWN = 20
_REMARKED = 5
_ANOTHER_TEXT = "another text goes to the same recipient: give both rows an `id` of their own"


@dataclass(frozen=True)
class CheckedRows:
    """What a check has found. The texts are not kept: a long list would fill the memory.

    :param rows: all rows.
    :param bad: those that cannot be sent.
    :param duplicates: where those stand in the list, from 1, that repeat an earlier one, recipient and text.
    :param segments: how many segments all texts to be sent have.
    :param remarked: how many of these texts there is something to say about.
    :param remarks: what there is to say about the first of them.
    """

    rows: Rows
    bad: tuple[FailedRow, ...] = ()
    duplicates: frozenset[int] = frozenset()
    segments: int = 0
    remarked: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many texts there are to be sent."""
        return len(self.rows) - len(self.bad) - len(self.duplicates)

    def to_send(self) -> Iterator[Row]:
        """Return the rows that are to be sent."""
        left_out = self.duplicates.union(row.row for row in self.bad)
        return (row for row in self.rows if row.number not in left_out)

    def require_all_good(self) -> None:
        """Refuse the list when a row is bad.

        :raises InvalidMessage: naming every bad row, of many the first ones.
        """
        if not self.bad:
            return
        rows = "; ".join(lines_by_reason(self.bad, _SHOWN))
        raise InvalidMessage(
            f"{len(self.bad)} of {plural(len(self.rows), 'row')} cannot be sent: {rows}",
            advice='Correct them, or use invalid="skip" to send the others.',
            before_any=True,
        )

    def log(self) -> None:
        """Log what is skipped, and what there is to say about the others."""
        for line in lines_by_reason(self.bad, _SHOWN):
            log.warning("Skipping %s", line)
        for remark in self.remarks:
            log.warning("%s", remark)
        log.info(
            "%s: %s (%s) to send, %s, %s skipped, %s with remarks.",
            plural(len(self.rows), "row"),
            plural(self.count, "text"),
            plural(self.segments, "segment"),
            plural(len(self.duplicates), "duplicate"),
            plural(len(self.bad), "bad row"),
            plural(self.remarked, "text"),
        )


def check_rows(rows: Rows, compose: Callable[[Mapping[str, Any]], SmsMessage], stop: Stop) -> CheckedRows:
    """Check every row. Only digests of the texts are remembered meanwhile.

    :param rows: the rows.
    :param compose: makes a row's values into a text.
    :param stop: ends the check when it is set.
    :raises Stopped: when it was stopped.
    """
    bad: list[FailedRow] = []
    duplicates: set[int] = set()
    segments = remarked = 0
    remarks: list[str] = []
    texts: dict[bytes, bytes] = {}
    for row in rows:
        stop.check()
        try:
            message, row_id = compose(row.values), row.id
        except InvalidMessage as error:
            bad.append(FailedRow.of(row, error))
            continue
        name, text = _digest(message.to, row_id), _digest(message.text)
        if name not in texts:
            texts[name] = text
            segments += message.segments
            remarked += bool(message.remarks)
            if message.remarks and remarked <= _REMARKED:
                remarks.append(f"Row {row.number} (to {row.to}): {' '.join(message.remarks)}")
        elif texts[name] == text:
            duplicates.add(row.number)
        else:
            bad.append(FailedRow(row.number, row.to, "invalid", _ANOTHER_TEXT))
    return CheckedRows(rows, tuple(bad), frozenset(duplicates), segments, remarked, tuple(remarks))


def _digest(*parts: str | None) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()[:16]
