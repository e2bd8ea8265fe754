"""The texts of a list. Each is made when it is its turn, so that a long list does not fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.settings.idempotency import key_in

if TYPE_CHECKING:
    from airflow_provider_dialogtech.bulk.check import CheckedRows
    from airflow_provider_dialogtech.bulk.report import Report
    from airflow_provider_dialogtech.sms.message import SmsMessage


@dataclass(frozen=True)
class Text:
    """A text of a list.

    :param row: its row's place in the list, from 0.
    :param message: the text.
    :param key: its idempotency key.
    """

    row: int
    message: SmsMessage = field(repr=False)
    key: str


def texts_of(
    checked: CheckedRows,
    compose: Callable[[Mapping[str, Any]], SmsMessage],
    report: Report,
    context: Mapping[str, Any],
) -> Iterator[Text]:
    """Make the texts to be sent, one by one.

    :param compose: makes a row's values into a text.
    :param report: told of a row that was good when it was checked, and turns out to be bad now.
    :param context: Airflow's, of the task that sends them.
    """
    for row in checked.to_send():
        try:
            message, row_id = compose(row.values), row.id
        except InvalidMessage as error:
            report.note(row.index, error)
            continue
        yield Text(row.index, message, key_in(context, message.to, *([] if row_id is None else [row_id])))
