"""An Airflow connection, read into checked settings."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from airflow_provider_dialogtech.api.errors import InvalidConnection, InvalidMessage
from airflow_provider_dialogtech.delivery.limits import RateLimits
from airflow_provider_dialogtech.hooks.keys import account_of


@dataclass(frozen=True)
class ConnectionSettings:
    """What a connection of type `dialogtech` says.

    :param conn_id: the connection's id.
    :param access_key: its login.
    :param secret_access_key: its password.
    :param url: its host; empty for the vendor's URL.
    :param from_numbers: the numbers a text may leave from, in digits.
    :param alert_to: the numbers alerts go to, as they were written: a mistake in one must not mute the others.
    :param alert_budget: how many alerts a recipient gets in 10 minutes at most.
    :param http_method: `GET` or `POST`.
    :param timeout: how many seconds one call of the API may take.
    :param limits: what the account may send.
    :param throttled_pattern: what the API's reason looks like when it refuses a text for its rate; None for the known
        wordings.
    """

    conn_id: str
    access_key: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    url: str = ""
    from_numbers: tuple[str, ...] = field(default=(), repr=False)
    alert_to: tuple[str, ...] = field(default=(), repr=False)
    alert_budget: int = 10
    http_method: str = "GET"
    timeout: float = 30.0
    limits: RateLimits = field(default_factory=RateLimits)
    throttled_pattern: str | None = None

    @property
    def account(self) -> str:
        """The account's name in the journal: connections with the same access key share its limits."""
        return account_of(self.access_key)

    @classmethod
    def of(cls, connection: Any) -> ConnectionSettings:
        """Read an Airflow connection.

        :param connection: the connection, of any Airflow version.
        :raises InvalidConnection: when a field is missing or wrong; it is named, its value is not shown.
        """
        return _Reader(connection).settings()


class _Secret(str):
    """Does not show itself where a traceback shows local variables, as Airflow's console does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class _Reader:
    """Reads one connection and names the field that is wrong."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._extra = self._parse_extra()

    def settings(self) -> ConnectionSettings:
        connection = self._connection
        if connection.port or connection.schema:
            self._fail("port and schema must be empty: the host holds the whole API URL")
        return ConnectionSettings(
            conn_id=connection.conn_id,
            access_key=connection.login or self._fail("the login is missing: it holds the DialogTech access key"),
            secret_access_key=_Secret(
                connection.password or self._fail("the password is missing: it holds the DialogTech secret access key")
            ),
            url=(connection.host or "").strip(),
            from_numbers=self._from_numbers(),
            alert_to=self._numbers("alert_to"),
            alert_budget=self._count("alert_budget", 10),
            http_method=self._http_method(),
            timeout=self._timeout(),
            limits=self._limits(),
            throttled_pattern=self._pattern("throttled_pattern"),
        )

    def _parse_extra(self) -> Mapping[str, Any]:
        # Airflow's own extra_dejson takes an extra that is no JSON for an empty one.
        try:
            extra = json.loads(self._connection.extra or "{}")
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            self._fail("the extra must be a JSON object")
        return extra

    def _from_numbers(self) -> tuple[str, ...]:
        from airflow_provider_dialogtech.sms.message import normalize_number

        try:
            return tuple(normalize_number(number, "extra.from_numbers") for number in self._numbers("from_numbers"))
        except InvalidMessage as error:
            problem = str(error).removeprefix("The text was not sent: ").rstrip(".")
        return self._fail(problem)

    def _numbers(self, name: str) -> tuple[str, ...]:
        """Read comma-separated text, a JSON list (also as text), or a single number."""
        value = self._get(name)
        if isinstance(value, str) and value.lstrip().startswith("["):
            value = _json_list(value)
        elif isinstance(value, str):
            value = value.split(",")
        elif isinstance(value, int) or value is None:
            value = [] if value is None else [value]
        if not isinstance(value, list) or any(type(number) not in {str, int} for number in value):
            self._fail(f"extra.{name} must be phone numbers separated by commas, or a JSON list of them")
        return tuple(dict.fromkeys(str(number).strip() for number in value if str(number).strip()))

    def _limits(self) -> RateLimits:
        documented = RateLimits()
        return RateLimits(**{name: self._count(name, default) for name, default in vars(documented).items()})

    def _count(self, name: str, default: int) -> int:
        value = self._get(name)
        if value is None:
            return default
        if not re.fullmatch(r"\+?0*[1-9][0-9]{0,8}", str(value).strip(), re.ASCII):
            self._fail(f"extra.{name} must be a whole number of at least 1")
        return int(value)

    def _timeout(self) -> float:
        value = self._get("timeout")
        if value is None:
            return ConnectionSettings.timeout
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            seconds = math.nan
        if not 0 < seconds < math.inf:
            self._fail("extra.timeout must be a number of seconds greater than 0")
        return seconds

    def _http_method(self) -> str:
        method = str(self._get("http_method") or ConnectionSettings.http_method).strip().upper()
        if method not in {"GET", "POST"}:
            self._fail("extra.http_method must be GET or POST")
        return method

    def _pattern(self, name: str) -> str | None:
        pattern = self._get(name)
        if pattern is None:
            return None
        try:
            re.compile(pattern)
        except (re.error, TypeError):
            pass
        else:
            return str(pattern)
        return self._fail(f"extra.{name} must be a regular expression")

    def _get(self, name: str) -> Any:
        """Return a field of the extra; None when it is missing or empty, as a form leaves it."""
        value = self._extra.get(name)
        return None if isinstance(value, str) and not value.strip() else value

    def _fail(self, problem: str) -> NoReturn:
        raise InvalidConnection(
            f"The connection {self._connection.conn_id!r}: {problem}. Nothing was sent; correct the connection."
        )


def _json_list(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
