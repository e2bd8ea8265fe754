"""The rows of a list, in whatever form Airflow hands the list over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidMessage, NotSent, Refused
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.opaque import without_locals
from airflow_provider_dialogtech.safe_repr import safe_str, type_name

MOST_ROWS = 1_000_000
"""Three days of texts, at four a second. More is a mistake, or a list without end."""

LONGEST_ID = 1000
_LONGEST_MASKED = 100


class Rows:
    """The rows of a list. Logs and tracebacks show how many they are.

    :param given: numbers, or mappings with `to`, an optional `id`, and values for the message.
    """

    def __init__(self, given: list[Any]) -> None:
        self._given = given

    @classmethod
    @without_locals
    def of(cls, recipients: object) -> Rows:
        """Take a list in any form that Airflow hands it over.

        :param recipients: any iterable of rows, or a JSON list as text.
        :raises InvalidMessage: when it is no list.
        """
        given = _json_list(recipients) if isinstance(recipients, str) else recipients
        if not isinstance(given, Iterable) or isinstance(given, Mapping | bytes | bytearray):
            kind = "text that is no JSON list" if isinstance(recipients, str) else type_name(recipients)
            raise InvalidMessage(
                f"recipients must be a list of numbers or mappings, not {kind}",
                advice="A Jinja template needs render_template_as_native_obj=True, or |tojson.",
                before_any=True,
            )
        rows = _rows_of(given)
        if len(rows) > MOST_ROWS:
            raise InvalidMessage(
                f"there are more than {MOST_ROWS:,} rows", advice="Give each task fewer.", before_any=True
            )
        return cls(rows)

    def __len__(self) -> int:
        return len(self._given)

    def __getitem__(self, index: int) -> Row:
        given = self._given[index]
        return Row(index, given if isinstance(given, Mapping) else {"to": given})

    def __iter__(self) -> Iterator[Row]:
        return map(self.__getitem__, range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"


@dataclass(frozen=True)
class Row:
    """One row of a list.

    :param index: where it stands in the list, from 0.
    :param values: its values by name. A row that is only a number has it as `to`.
    """

    index: int
    values: Mapping[str, Any] = field(repr=False)

    @property
    def number(self) -> int:
        """Where it stands in the list, from 1: as people count."""
        return self.index + 1

    @property
    def to(self) -> str:
        """Its phone number, shortened."""
        to = self.values.get("to")
        # Anything else is no number, and may be too large to be looked through for one.
        return mask_number(safe_str(to, _LONGEST_MASKED) if isinstance(to, str | int) else "")

    @property
    def id(self) -> str | None:
        """What sets it apart from other texts to the same recipient, if it says so.

        :raises InvalidMessage: when it cannot be written down.
        """
        given = self.values.get("id")
        if given is None:
            return None
        written = safe_str(given, LONGEST_ID + 1)
        if len(written) > LONGEST_ID or not (written or isinstance(given, str)):
            raise InvalidMessage(f"its `id` must be text of at most {LONGEST_ID} characters")
        return written


@dataclass(frozen=True, order=True)
class FailedRow:
    """A row whose text was not sent, or may have been. They sort in the order of the list.

    :param row: where it stands in the list, from 1.
    :param to: its phone number, shortened.
    :param outcome: `invalid`, `refused`, `in_doubt` or `not_sent`.
    :param reason: why.
    """

    row: int
    to: str
    outcome: str
    reason: str

    @classmethod
    def of(cls, row: Row, error: DialogTechError) -> FailedRow:
        """Say what an error means for a row."""
        outcomes = {InDoubt: "in_doubt", Refused: "refused", InvalidMessage: "invalid"}
        outcome = next((name for kind, name in outcomes.items() if isinstance(error, kind)), "not_sent")
        return cls(row.number, row.to, outcome, error.reason)

    def __str__(self) -> str:
        return f"row {self.row} (to {self.to}): {self.reason}"


def lines_by_reason(failures: Sequence[FailedRow], most: int) -> list[str]:
    """Return a line for each reason, with the rows that failed for it.

    :param failures: the rows, in the order of the list.
    :param most: name so many of them at most, and count the others.
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
    return f"rows {places}{more}: {rows[0].reason}"


def _rows_of(given: Iterable[Any]) -> list[Any]:
    try:
        return list(islice(given, MOST_ROWS + 1))
    except Exception as error:  # of any kind: a lazy XCom asks Airflow for its rows
        problem = type_name(error)
    raise NotSent(f"the recipients could not be read ({problem})", before_any=True)


def _json_list(text: str) -> list[Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or too deep
        return None
    return found if isinstance(found, list) else None
