"""Names for phone numbers, which keep numbers out of DAGs, Airflow's pages and a deadline's arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import Opaque
from airflow_provider_dialogtech.settings.fields import json_object, list_of
from airflow_provider_dialogtech.sms.missing import is_missing
from airflow_provider_dialogtech.sms.numbers import is_scientific

MOST_CONTACTS = 1000
LONGEST_CONTACT = 100
MOST_NUMBERS_OF_CONTACT = 100
# A phone number has at least this many digits. A string with a letter and fewer digits is a name, unless a spreadsheet
# wrote it: N/A, 5.6E+09.
_FEWEST_DIGITS = 7
_SHOWN = 10


class Contacts:
    """The contacts of a connection. Its repr does not show their numbers.

    :param numbers: each contact's numbers, as written in the connection.
    """

    def __init__(self, numbers: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._names = tuple(numbers or ())
        self._numbers = {name.casefold(): found for name, found in (numbers or {}).items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self._names) or 'none'}>"

    @property
    def every_number(self) -> tuple[str, ...]:
        """The numbers of all contacts."""
        return tuple(number for numbers in self._numbers.values() for number in numbers)

    def numbers_of(self, to: object) -> tuple[Any, ...]:
        """Return a contact's numbers; a value that is not a name is returned as it is.

        :param to: a contact's name, in any case, or a number in any common format.
        :raises InvalidMessage: when it is the name of an unknown contact, or the string `None`.
        """
        if not isinstance(to, str):
            return (to,)
        found = self._numbers.get(to.strip().casefold())
        if found is not None:
            return found
        if to == str(None):
            raise InvalidMessage("`to` rendered to None", advice="Check what its template refers to.")
        if _is_name(to):
            raise InvalidMessage(f"there is no contact {to.strip()[:LONGEST_CONTACT]!r} ({self._known()})")
        return (to,)

    def number_of(self, to: object) -> Any:
        """Return a contact's only number; a value that is not a name is returned as it is.

        :param to: as for `numbers_of`.
        :raises InvalidMessage: as for `numbers_of`, and when the contact has several numbers.
        """
        numbers = self.numbers_of(to)
        if len(numbers) == 1:
            return numbers[0]
        raise InvalidMessage(
            f"the contact {str(to).strip()[:LONGEST_CONTACT]!r} has {len(numbers)} numbers, and this is one message",
            advice="Use DialogTechSendBulkSmsOperator with a row for each number, or the notifier.",
        )

    def all_numbers_of(self, listed: Iterable[object]) -> list[Any]:
        """Return the numbers of several contacts and numbers.

        :param listed: names and numbers.
        :raises InvalidMessage: as for `numbers_of`.
        """
        return [number for each in listed for number in self.numbers_of(each)]

    def _known(self) -> str:
        if not self._names:
            return "the connection has no contacts"
        more = f" and {len(self._names) - _SHOWN} more" if len(self._names) > _SHOWN else ""
        return f"the connection has {', '.join(self._names[:_SHOWN])}{more}"


def contacts_in(value: Any) -> Contacts | None:
    """Read contacts, a JSON object (also as a string) of names and numbers; None when it is invalid.

    :param value: the extra's value: each name has a number, several separated by commas, or a list of them.
    """
    given = json_object(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping) or len(given) > MOST_CONTACTS:
        return None
    found: dict[str, tuple[str, ...]] = {}
    for name, written in given.items():
        numbers = list_of(written, (str, int))
        if not _may_be_named(name) or not numbers or len(numbers) > MOST_NUMBERS_OF_CONTACT:
            return None
        found[Opaque(name.strip())] = numbers
    if len({name.casefold() for name in found}) < len(given):
        return None  # two names differ only in case
    return Contacts({str(name): numbers for name, numbers in found.items()})


def _may_be_named(name: object) -> bool:
    return isinstance(name, str) and len(name) <= LONGEST_CONTACT and _is_name(name) and "," not in name


def _is_name(text: str) -> bool:
    has_letter = any(char.isalpha() for char in text)
    if is_missing(text) or is_scientific(text):
        return False
    return has_letter and sum(char.isdigit() for char in text) < _FEWEST_DIGITS
