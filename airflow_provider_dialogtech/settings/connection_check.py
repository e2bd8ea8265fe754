"""The connection test: its words reach the browser as they are, so they never echo the connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InvalidConnection,
    Refused,
    Throttled,
    Unreachable,
)
from airflow_provider_dialogtech.masking import mask_number, mask_numbers

if TYPE_CHECKING:
    from airflow_provider_dialogtech.api.client import DialogTechClient
    from airflow_provider_dialogtech.settings.connection import ConnectionSettings

_CONNECTION = re.compile(r"\AThe connection (?:'[^']*'|\"[^\"]*\")")
_WORDS: dict[type[Exception], str] = {
    BadCredentials: "DialogTech did not accept the access keys. Check the login and the password.",
    Throttled: "DialogTech asks for a pause, so the keys could not be tested. Try again in a minute.",
    Unreachable: "DialogTech could not be reached. Check the host, the network and the proxy.",
    DialogTechError: "DialogTech did not answer as documented, so the keys could not be tested. Check the host.",
}


def check(connect: Callable[[], tuple[ConnectionSettings, DialogTechClient]]) -> tuple[bool, str]:
    """Test a connection and say in words what was found.

    :param connect: reads the connection.
    """
    try:
        settings, client = connect()
        return _judge(settings.from_numbers, client.get_numbers())
    except Exception as error:
        return False, _words_for(error)


def _judge(from_numbers: Sequence[str], enabled: Sequence[str]) -> tuple[bool, str]:
    accepted = "DialogTech accepted the access keys."
    if not from_numbers:
        return True, f"{accepted} The extra has no from_numbers, so every text must name its sender."
    if not enabled:
        return True, f"{accepted} No numbers were recognised in its answer, so from_numbers could not be checked."
    strange = [number for number in from_numbers if number not in enabled]
    words = "; ".join(
        f"{mask_number(number)} is {'not ' if number in strange else ''}SMS-enabled" for number in from_numbers
    )
    return not strange, f"{accepted} From numbers: {words}."


def _words_for(error: Exception) -> str:
    if isinstance(error, InvalidConnection):
        # In the browser it has an id that Airflow made up for the test.
        return _CONNECTION.sub("This connection", str(error), count=1)
    if type(error) is Refused:
        return f"DialogTech refused the test: {mask_numbers(error.description) or 'it gave no reason'}."
    return _WORDS.get(type(error), f"The connection could not be tested ({type(error).__name__}).")
