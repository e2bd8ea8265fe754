"""The connection test. What it says is shown in the browser as it is, so it never repeats what the connection holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    InvalidConnection,
    NotSent,
    Refused,
    Throttled,
    Unreachable,
)
from airflow_provider_dialogtech.masking import mask_number, mask_numbers

if TYPE_CHECKING:
    from airflow_provider_dialogtech.api.client import DialogTechClient
    from airflow_provider_dialogtech.settings.connection import ConnectionSettings

_WORDS: dict[type[Exception], str] = {
    BadCredentials: "DialogTech did not accept the access keys. Check the access key and the secret access key.",
    Unreachable: "DialogTech could not be reached. Check the API URL, the network and the proxy.",
    Throttled: "DialogTech throttled the request, so the keys could not be tested. Try again in a minute.",
}


def check(connect: Callable[[], tuple[ConnectionSettings, DialogTechClient]]) -> tuple[bool, str]:
    """Test a connection and say in words what was found.

    :param connect: reads the connection.
    """
    try:
        settings, client = connect()
        return _compared(settings.from_numbers, client.get_numbers())
    except Exception as error:
        return False, _words_for(error)


def _compared(from_numbers: Sequence[str], enabled: Sequence[str]) -> tuple[bool, str]:
    accepted = "DialogTech accepted the access keys."
    if not from_numbers:
        return True, f"{accepted} The connection has no from_numbers, so every message must name its sender (from_)."
    if not enabled:
        return True, f"{accepted} Its answer has no numbers that could be read, so from_numbers could not be checked."
    not_enabled = [number for number in from_numbers if number not in enabled]
    words = "; ".join(
        f"{mask_number(number)} is {'not ' if number in not_enabled else ''}SMS-enabled" for number in from_numbers
    )
    return not not_enabled, f"{accepted} From numbers: {words}."


def _words_for(error: Exception) -> str:
    if isinstance(error, InvalidConnection):
        # Without its advice, which names the connection: in the browser it has an id that Airflow made up for the test.
        return f"This connection: {error.reason}. Correct it, then test it again."
    if type(error) is Refused:
        return f"DialogTech refused the test: {mask_numbers(error.description) or 'it gave no reason'}."
    if type(error) is NotSent:
        return f"The connection could not be tested: {error.reason}. {error.advice}"
    return _WORDS.get(type(error), f"The connection could not be tested ({type(error).__name__}).")
