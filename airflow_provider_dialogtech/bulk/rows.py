"""The rows of a list, and their check before any message is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from numbers import Number
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech.bulk.shapes import cell, is_blank, listed, named, plain, whole, wrong_columns
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidMessage, NotSent, Refused, plural
from airflow_provider_dialogtech.masking import digest, safe_str, type_name, without_locals
from airflow_provider_dialogtech.sms.missing import is_missing
from airflow_provider_dialogtech.sms.numbers import last_digits

if TYPE_CHECKING:
    from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

MOST_ROWS = 1_000_000
"""Three days of messages, at four a second. A longer list is a mistake, or endless."""

LONGEST_ID = 1000
_LONGEST_MASKED = 100


class Rows:
    """The rows of a list. Logs and tracebacks show only their number.

    :param given: numbers, or mappings with `to`, an optional `id`, and values for the message.
    """

    def __init__(self, given: list[Any]) -> None:
        self._given = given

    @classmethod
    @without_locals
    def of(cls, recipients: object) -> Rows:
        """Read a list in any form in which Airflow passes it.

        :param recipients: any iterable of rows, a data frame, or a JSON list as a string. Blank rows at its end are
            left out.
        :raises InvalidMessage: when it is not a list, or has more than `MOST_ROWS` rows.
        :raises NotSent: when reading the rows fails.
        """
        rows = _rows_of(listed(recipients))
        if len(rows) > MOST_ROWS:
            raise InvalidMessage(
                f"there are more than {MOST_ROWS:,} rows", advice="Give each task fewer.", before_any=True
            )
        count = len(rows)
        while rows and is_blank(rows[-1]):
            rows.pop()
        if len(rows) < count:
            log.info("%s at the end left out.", plural(count - len(rows), "blank row"))
        return cls(rows)

    def require_columns(self) -> None:
        """Refuse rows that all lack a `to`, such as those of a file whose header is wrong.

        :raises InvalidMessage: when no row has a `to`.
        """
        problem = wrong_columns(self._given)
        if problem is not None:
            reason, advice = problem
            raise InvalidMessage(reason, advice=advice, before_any=True)

    def __len__(self) -> int:
        return len(self._given)

    def __getitem__(self, index: int) -> Row:
        given = self._given[index]
        values = named(given)
        return Row(index, {"to": given} if values is None else values)

    def __iter__(self) -> Iterator[Row]:
        return map(self.__getitem__, range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"


@dataclass(frozen=True)
class Row:
    """One row of a list.

    :param index: its index in the list, from 0.
    :param values: its values by name. A row that is only a number has it as `to`.
    """

    index: int
    values: Mapping[str, Any] = field(repr=False)

    @property
    def number(self) -> int:
        """Its number in the list, from 1."""
        return self.index + 1

    @property
    def to(self) -> str:
        """Its phone number, shortened."""
        try:
            to = cell(self.values, "to", None)
        except InvalidMessage:
            to = None
        # A value of another type is not a number, and may be too large to search for one.
        written = safe_str(to, _LONGEST_MASKED) if isinstance(to, str | Number) else ""
        return last_digits(written)

    @property
    def id(self) -> str | None:
        """Its `id`, which distinguishes it from other rows with the same recipient; None without one.

        :raises InvalidMessage: when it is too long, its `str` raises, or two columns have it.
        """
        # An order is 1002 or 1002.0, depending on whether another row lacks its number.
        given = whole(plain(cell(self.values, "id", None)))
        if is_missing(given):
            return None
        written = safe_str(given, LONGEST_ID + 1)
        if len(written) > LONGEST_ID or not (written or isinstance(given, str)):
            raise InvalidMessage(f"its `id` must be text of at most {LONGEST_ID} characters")
        return written


@dataclass(frozen=True, order=True)
class FailedRow:
    """A row whose message was not sent or is in doubt. Such rows sort in the order of the list.

    :param row: its number in the list, from 1.
    :param to: its phone number, shortened.
    :param outcome: `invalid`, `refused`, `in_doubt` or `not_sent`.
    """

    row: int
    to: str
    outcome: str
    reason: str

    @classmethod
    def of(cls, row: Row, error: DialogTechError) -> FailedRow:
        """Return the failure of a row."""
        outcomes = {InDoubt: "in_doubt", Refused: "refused", InvalidMessage: "invalid"}
        outcome = next((name for kind, name in outcomes.items() if isinstance(error, kind)), "not_sent")
        return cls(row.number, row.to, outcome, error.reason)

    def __str__(self) -> str:
        return f"row {self.row} (to {self.to}): {self.reason}"


def lines_by_reason(failures: Sequence[FailedRow], most: int) -> list[str]:
    """Return a line for each reason, with the rows that failed for it.

    :param failures: the rows, in the order of the list.
    :param most: the largest number of rows to name; the others are counted.
    """
    by_reason: dict[str, list[FailedRow]] = {}
    for failed in failures:
        by_reason.setdefault(failed.reason, []).append(failed)
    shown = list(by_reason.values())[:most]
    lines = [_in_one_line(rows, max(1, most // len(shown))) for rows in shown]
    left_out = len(failures) - sum(map(len, shown))
    return [*lines, f"and {left_out} more"] if left_out else lines


def _in_one_line(rows: Sequence[FailedRow], most: int) -> str:
    if len(rows) == 1:
        return str(rows[0])
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    places = ", ".join(f"{failed.row} (to {failed.to})" for failed in rows[:most])
    return f"{rows[0].reason}: rows {places}{more}"


def _rows_of(given: Iterable[Any]) -> list[Any]:
    try:
        return list(islice(given, MOST_ROWS + 1))
    except Exception as error:  # of any kind: a lazy XCom requests its rows from Airflow
        problem = type_name(error)
    raise NotSent(f"the recipients could not be read ({problem})", before_any=True)


_SHOWN = 20
_REMARKED = 5
_ANOTHER_MESSAGE = "another message goes to the same recipient: give both rows an `id` of their own"


@dataclass(frozen=True)
class CheckedRows:
    """The result of a check. It does not keep the messages, which would take too much memory.

    :param duplicates: the numbers, from 1, of rows with the recipient and the body of an earlier row.
    :param segments: the total segments of all messages to send.
    :param remarked: how many of these messages have remarks.
    :param remarks: the remarks of the first of them.
    """

    rows: Rows
    bad: tuple[FailedRow, ...] = ()
    duplicates: frozenset[int] = frozenset()
    segments: int = 0
    remarked: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The number of messages to send."""
        return len(self.rows) - len(self.bad) - len(self.duplicates)

    def to_send(self) -> Iterator[Row]:
        """Return the rows whose messages are to be sent."""
        left_out = self.duplicates.union(row.row for row in self.bad)
        return (row for row in self.rows if row.number not in left_out)

    def require_all_good(self) -> None:
        """Refuse a list with an invalid row.

        :raises InvalidMessage: when a row is invalid. It names the first `_SHOWN` of them.
        """
        if not self.bad:
            return
        rows = "; ".join(lines_by_reason(self.bad, _SHOWN))
        raise InvalidMessage(
            f"{len(self.bad)} of {plural(len(self.rows), 'row')} cannot be sent: {rows}",
            advice='Correct them, or use invalid="skip" to send the others.' if self.count else "Correct them.",
            before_any=True,
        )

    def log(self) -> None:
        """Log the invalid rows, the remarks and the counts."""
        for line in lines_by_reason(self.bad, _SHOWN):
            log.warning("Skipping %s", line)
        for remark in self.remarks:
            log.warning("%s", remark)
        log.info(
            "%s: %s (%s) to send, %s, %s skipped, %s with remarks.",
            plural(len(self.rows), "row"),
            plural(self.count, "message"),
            plural(self.segments, "segment"),
            plural(len(self.duplicates), "duplicate"),
            plural(len(self.bad), "bad row"),
            plural(self.remarked, "message"),
        )


def check_rows(
    rows: Rows, compose: Callable[[Mapping[str, Any]], SmsMessage], go_on: Callable[[], None] = lambda: None
) -> CheckedRows:
    """Check every row, keeping only digests of the messages.

    :param compose: makes a row's values a message.
    :param go_on: called before each row; an exception it raises ends the check.
    """
    bad: list[FailedRow] = []
    duplicates: set[int] = set()
    segments = remarked = 0
    remarks: list[str] = []
    bodies: dict[bytes, bytes] = {}
    for row in rows:
        go_on()
        try:
            message, row_id = compose(row.values), row.id
        except InvalidMessage as error:
            bad.append(FailedRow.of(row, error))
            continue
        name, body = _digest(message.to, row_id), _digest(message.body)
        if name not in bodies:
            bodies[name] = body
            segments += message.segments
            remarked += bool(message.remarks)
            if message.remarks and remarked <= _REMARKED:
                remarks.append(f"Row {row.number} (to {row.to}): {' '.join(message.remarks)}")
        elif bodies[name] == body:
            duplicates.add(row.number)
        else:
            bad.append(FailedRow(row.number, row.to, "invalid", _ANOTHER_MESSAGE))
    return CheckedRows(rows, tuple(bad), frozenset(duplicates), segments, remarked, tuple(remarks))


def _digest(*parts: str | None) -> bytes:
    return bytes.fromhex(digest(*parts))[:16]
