"""The rows of a list of recipients: read, and checked each by itself and against the others. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_dialogtech.api.errors import InvalidMessage
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.sms.message import SmsMessage

_NOTHING_SENT = "The text was not sent: "


@dataclass(frozen=True)
class Row:
    """One recipient.

    :param index: its place in the list, from 0.
    :param to: the number, as it was given.
    :param id: what sets this text apart from others to the same number; empty where the row has none.
    :param values: the row's values for the message.
    """

    index: int
    to: object = field(repr=False)
    id: str
    values: Mapping[str, object] = field(repr=False)

    @classmethod
    def read(cls, index: int, given: object) -> Row:
        """Read a row: a number, or a mapping with `to`, an optional `id`, and values.

        :raises InvalidMessage: when it has no `to`, or an `id` that is none.
        """
        if not isinstance(given, Mapping):
            return cls(index, given, "", {"to": given})
        if "to" not in given:
            names = ", ".join(str(name) for name in list(given)[:10]) or "nothing"
            raise InvalidMessage(f"{_NOTHING_SENT}the row has no `to`; it has {names}.")
        return cls(index, given["to"], _id(given.get("id")), given)

    @property
    def recipient(self) -> Recipient:
        """The row as its message sees it."""
        return Recipient(self.values)


class Recipient:
    """A row's values by name, in a template. It has no other attribute: a column may be called `items` or `count`."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> object:
        return self._values[name]


@dataclass(frozen=True)
class Checked:
    """What a list of recipients was found to be.

    :param bad: what is wrong with a row, by its index.
    :param duplicates: the rows that repeat an earlier one, recipient and text.
    :param texts: how many rows are to be sent.
    :param segments: how many SMS segments their texts have.
    :param remarks: what there is to say about the texts, by row; the first few.
    :param remarked: how many rows there is something to say about.
    """

    bad: dict[int, str] = field(default_factory=dict)
    duplicates: set[int] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)
    texts: int = 0
    segments: int = 0
    remarked: int = 0


def rows_of(recipients: object) -> Sequence[object]:
    """Return the rows of a list. What can be read only once is kept, as rows; so is what fetches each row anew.

    :param recipients: a sequence or an iterator of rows, or a JSON list of them.
    :raises InvalidMessage: when it is nothing of that.
    """
    if isinstance(recipients, str):
        recipients = _json_list(recipients)
    if isinstance(recipients, (list, tuple)):
        return recipients
    if isinstance(recipients, (bytes, Mapping)) or not isinstance(recipients, Iterable):
        kind = type(recipients).__name__
        raise InvalidMessage(f"Nothing was sent: `recipients` must be a list of numbers or mappings, not a {kind}.")
    return list(recipients)


def number_of(given: object) -> str:
    """Return a row's number, shortened."""
    return mask_number(given.get("to", "") if isinstance(given, Mapping) else given)


def reason_of(error: Exception) -> str:
    """Return what is wrong, without what became of the text."""
    return str(error).removeprefix(_NOTHING_SENT)


class Checker:
    """Checks rows. Of each text it remembers a digest only, so a long list takes little memory.

    :param compose: makes a row's text.
    """

    _REMARKS_SHOWN = 5

    def __init__(self, compose: Callable[[Row], SmsMessage]) -> None:
        self._compose = compose
        self._firsts: dict[bytes, tuple[int, bytes]] = {}

    def check(self, rows: Sequence[object], *, before_each: Callable[[], None] = lambda: None) -> Checked:
        """Check all rows; nothing is sent.

        :param before_each: called before each row; what it raises ends the check.
        """

