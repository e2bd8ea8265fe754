"""A list of recipients: every row is checked before the first text leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_dialogtech.exceptions import InvalidMessage, NotSent
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.opaque import without_locals
from airflow_provider_dialogtech.safe_repr import safe_str, type_name
from airflow_provider_dialogtech.sms.message import SmsMessage

MOST_ROWS = 1_000_000
"""Three days of texts, at four a second. More is a mistake, or a list without end."""

_LONGEST_ID = 1000
_LONGEST_MASKED = 100
_SHOWN = 20
_REMARKED = 5


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be sent.

    :param index: where it stands in the list, from 0.
    :param to: its number, shortened.
    :param problem: what is wrong with it.
    """

    index: int
    to: str
    problem: str


@dataclass
class RecipientList:
    """The rows of a task, and how each becomes a text. The texts themselves are made again when they are needed.

    :param rows: numbers, or mappings with `to`, an optional `id`, and values for the message.
    :param compose: makes a row, given as a mapping, into a text.

    Once it is checked, it knows its `bad` rows, the `segments` of all texts to be sent, how many of them are
    `remarked`, and the first `remarks`.
    """

    rows: list[Any] = field(repr=False)
    compose: Callable[[Mapping[str, Any]], SmsMessage] = field(repr=False)
    bad: list[BadRow] = field(default_factory=list, init=False)
    segments: int = field(default=0, init=False)
    remarks: list[str] = field(default_factory=list, init=False)
    remarked: int = field(default=0, init=False)
    _duplicates: set[int] = field(default_factory=set, init=False, repr=False)
    _left_out: set[int] = field(default_factory=set, init=False, repr=False)

    @classmethod
    @without_locals
    def of(cls, recipients: object, compose: Callable[[Mapping[str, Any]], SmsMessage]) -> RecipientList:
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
                f"there are more than {MOST_ROWS} rows", advice="Give each task fewer.", before_any=True
            )
        return cls(rows, compose)

    def check(self, before_each: Callable[[], None] = lambda: None) -> None:
        """Check every row; afterwards the list tells what was found.

        Only digests of the texts are remembered, so that a long list does not fill the memory.

        :param before_each: called before each row; what it raises ends the check.
        """
        texts: dict[bytes, bytes] = {}
        for index in range(len(self.rows)):
            before_each()
            try:
                message, id_ = self.text(index), self.id(index)
            except InvalidMessage as error:
                self._leave_out(index, error.reason)
                continue
            name, text = _digest(message.to, id_), _digest(message.text)
            if name not in texts:
                texts[name] = text
                self._take(index, message)
            elif texts[name] == text:
                self._duplicates.add(index)
                self._left_out.add(index)
            else:
                self._leave_out(index, "another text goes to the same recipient: give both rows an `id` of their own")

    def require_all_good(self) -> None:
        """Refuse the list when a row is bad.

        :raises InvalidMessage: naming every bad row, of many the first ones.
        """
        if not self.bad:
            return
        named = "; ".join(f"row {row.index} (to {row.to}): {row.problem}" for row in self.bad[:_SHOWN])
        more = f"; and {len(self.bad) - _SHOWN} more" if len(self.bad) > _SHOWN else ""
        raise InvalidMessage(
            f"{len(self.bad)} of {len(self.rows)} rows are bad: {named}{more}",
            advice='Correct them, or use invalid="skip" to send the others.',
            before_any=True,
        )

    def to_send(self) -> Iterator[int]:
        """Tell where the rows stand that are to be sent."""
        return (index for index in range(len(self.rows)) if index not in self._left_out)

    def text(self, index: int) -> SmsMessage:
        """Make a row's text.

        :raises InvalidMessage: when it cannot be sent, also where a template turned out well when it was checked.
        """
        return self.compose(self._values(index))

    def id(self, index: int) -> str | None:
        """Tell what sets a row apart from other texts to the same recipient, if it says so.

        :raises InvalidMessage: when it cannot be written down.
        """
        given = self._values(index).get("id")
        if given is None:
            return None
        written = safe_str(given, _LONGEST_ID + 1)
        if len(written) > _LONGEST_ID or not (written or isinstance(given, str)):
            raise InvalidMessage(f"its `id` must be text of at most {_LONGEST_ID} characters")
        return written

    def masked(self, index: int) -> str:
        """Tell a row's number, shortened."""
        to = self._values(index).get("to")
        # Anything else is no number, and may be too large to be looked through for one.
        return mask_number(safe_str(to, _LONGEST_MASKED) if isinstance(to, str | int) else "")

    def is_duplicate(self, index: int) -> bool:
        """Tell whether a row repeats an earlier one, recipient and text."""
        return index in self._duplicates

    @property
    def duplicates(self) -> int:
        """How many rows repeat an earlier one."""
        return len(self._duplicates)

    @property
    def count(self) -> int:
        """How many texts there are to be sent."""
        return len(self.rows) - len(self._left_out)

    def _values(self, index: int) -> Mapping[str, Any]:
        row = self.rows[index]
        return row if isinstance(row, Mapping) else {"to": row}

    def _take(self, index: int, message: SmsMessage) -> None:
        self.segments += message.segments
        if message.remarks:
            self.remarked += 1
        if message.remarks and self.remarked <= _REMARKED:
            self.remarks.append(f"Row {index} (to {self.masked(index)}): {' '.join(message.remarks)}")

    def _leave_out(self, index: int, problem: str) -> None:
        self._left_out.add(index)
        self.bad.append(BadRow(index, self.masked(index), problem))


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


def _digest(*parts: str | None) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()[:16]
