"""Reads an Airflow connection into checked settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from airflow_provider_dialogtech.exceptions import InvalidConnection, InvalidMessage
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.masking import Opaque
from airflow_provider_dialogtech.settings.contacts import (
    LONGEST_CONTACT,
    MOST_CONTACTS,
    MOST_NUMBERS_OF_CONTACT,
    Contacts,
    contacts_in,
)
from airflow_provider_dialogtech.settings.fields import (
    FIELDS,
    LONGEST_EXTRA,
    LONGEST_WORD,
    MOST_NUMBERS,
    MOST_WORDS,
    SHORTEST_WORD,
    json_object,
    list_of,
    number_within,
    unknown_keys,
)
from airflow_provider_dialogtech.settings.identity import account_of
from airflow_provider_dialogtech.sms.numbers import normalize_number


class ConnectionContent:
    """A connection's content, in an object whose repr does not show it."""

    __slots__ = ("conn_id", "conn_type", "extra", "host", "login", "password", "port_or_schema", "unreadable")

    def __init__(self, connection: Any) -> None:
        self.unreadable = ""
        self.conn_id = self.conn_type = self.login = self.password = self.host = self.extra = ""
        self.port_or_schema = False
        try:
            self.conn_id = str(connection.conn_id)
            self.conn_type = str(connection.conn_type or "").strip()
            self.login = str(connection.login or "")
            self.password = Opaque(connection.password or "")
            self.host = str(connection.host or "").strip()
            self.extra = connection.extra or "{}"
            self.port_or_schema = bool(connection.port or connection.schema)
        except Exception as error:  # Airflow decrypts some of these only now, and the key may have changed
            self.unreadable = type(error).__name__


Number = TypeVar("Number", int, float)

CONN_TYPE = "dialogtech"
_LONGEST_TYPE = 40
LONGEST_KEY = 256
_LONGEST_URL = 2_000
# As the form labels them, with Airflow's names for them in brackets.
_LABELS = {"login": "access key (login)", "password": "secret access key (password)", "host": "API URL (host)"}


@dataclass(frozen=True)
class ConnectionSettings:
    """The settings of a connection of type `dialogtech`.

    :param url: its host; empty for the vendor's URL.
    :param from_numbers: the numbers to send from, in digits.
    :param alert_to: the default recipients of alerts, unchecked, so that an invalid one does not affect the others.
    :param alert_budget: the largest number of alerts per recipient in 10 minutes.
    :param timeout: the longest time of one API call, in seconds.
    :param throttled_words: words or phrases in DialogTech's reason that mean that it throttled a message; empty for the
        known wordings.
    :param contacts: names for numbers.
    :param only_to: the only numbers that messages are sent to, in digits; None for all.
    :param account_name: the account's name where several access keys belong to one account.
    """

    conn_id: str
    access_key: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    url: str = field(default="", repr=False)
    from_numbers: tuple[str, ...] = field(default=(), repr=False)
    alert_to: tuple[str, ...] = field(default=(), repr=False)
    alert_budget: int = 10
    http_method: str = "GET"
    timeout: float = 30.0
    limits: RateLimits = field(default_factory=RateLimits)
    throttled_words: tuple[str, ...] = ()
    contacts: Contacts = field(default_factory=Contacts)
    only_to: frozenset[str] | None = field(default=None, repr=False)
    account_name: str = ""

    @property
    def account(self) -> str:
        """The account's name in the journal: connections with the same access key, or name, share its limits."""
        return account_of(self.account_name or self.access_key)

    @classmethod
    def of(cls, connection: Any) -> ConnectionSettings:
        """Read an Airflow connection.

        :param connection: the connection, of any Airflow version, or its content.
        :raises InvalidConnection: when a field is missing or invalid. It names the field and does not show its value.
        """
        content = connection if isinstance(connection, ConnectionContent) else ConnectionContent(connection)
        # A traceback may show local variables, and a connection shows its password.
        del connection
        return _Reader(content).settings()


class _Reader:
    """Reads one connection, and names the invalid field.

    Methods that can raise keep no field's value in a local variable.
    """

    def __init__(self, content: ConnectionContent) -> None:
        self._content = content
        self._extra: Mapping[str, Any] = {}

    def settings(self) -> ConnectionSettings:
        content = self._content
        if content.unreadable:
            self._fail(f"Airflow could not read it ({content.unreadable}); check Airflow's fernet_key")
        # The keys of another type belong to another service.
        if content.conn_type.lower() != CONN_TYPE:
            self._fail(f"the conn_type must be {CONN_TYPE}, {_given_type(content)}")
        if content.port_or_schema:
            self._fail("port and schema must be empty: the API URL (host) holds the whole URL")
        for name in ("login", "password"):
            if not getattr(content, name).strip():
                self._fail(f"the {_LABELS[name]} is missing")
            # The end of a line that was copied with it. DialogTech would only say that the keys are wrong.
            if getattr(content, name) != getattr(content, name).strip():
                self._fail(f"the {_LABELS[name]} begins or ends with a blank")
        for name, label in _LABELS.items():
            longest = _LONGEST_URL if name == "host" else LONGEST_KEY
            if len(getattr(content, name)) > longest:
                self._fail(f"the {label} must have at most {longest:,} characters")
        self._parse_extra()
        contacts = self._contacts()
        return ConnectionSettings(
            conn_id=content.conn_id,
            access_key=Opaque(content.login),
            secret_access_key=Opaque(content.password),
            url=Opaque(content.host),
            from_numbers=self._from_numbers(),
            alert_to=self._numbers("alert_to"),
            alert_budget=self._number("alert_budget", ConnectionSettings.alert_budget),
            http_method=self._http_method(),
            timeout=self._number("timeout", ConnectionSettings.timeout, " (seconds)"),
            limits=self._limits(),
            throttled_words=self._throttled_words(),
            contacts=contacts,
            only_to=self._only_to(contacts),
            account_name=self._account_name(),
        )

    def _parse_extra(self) -> None:
        extra = json_object(self._content.extra)
        if extra is None:
            self._fail(f"the extra must be a JSON object of at most {LONGEST_EXTRA:,} characters, with each key once")
        self._extra = extra
        if problem := unknown_keys(extra):
            self._fail(problem)

    def _from_numbers(self) -> tuple[str, ...]:
        numbers, problem = _normalized(self._numbers("from_numbers"), "extra.from_numbers")
        if problem:
            self._fail(problem)
        return numbers

    def _numbers(self, name: str) -> tuple[str, ...]:
        """Read a comma-separated string, a JSON list (also as a string), or a single number."""
        numbers = list_of(self._get(name), (str, int))
        if numbers is None:
            self._fail(f"extra.{name} must be phone numbers separated by commas, or a JSON list of them")
        if len(numbers) > MOST_NUMBERS:
            self._fail(f"extra.{name} must have at most {MOST_NUMBERS:,} numbers")
        return numbers

    def _contacts(self) -> Contacts:
        if self._get("contacts") is None:
            return Contacts()
        contacts = contacts_in(self._get("contacts"))
        if contacts is None:
            self._fail(
                f"extra.contacts must be a JSON object of at most {MOST_CONTACTS:,} names, each with a phone number or "
                f"a list of at most {MOST_NUMBERS_OF_CONTACT}; a name has a letter, at most 6 digits, no "
                f"comma, and at most {LONGEST_CONTACT} characters, and no two differ in upper and lower case only"
            )
        return contacts

    def _only_to(self, contacts: Contacts) -> frozenset[str] | None:
        if self._get("only_to") is None:
            return None
        written, problem = _found(self._numbers("only_to"), contacts, "extra.only_to")
        if not problem:
            written, problem = _normalized(written, "extra.only_to")
        if problem:
            self._fail(problem)
        return frozenset(written)

    def _limits(self) -> RateLimits:
        documented = RateLimits()
        per_minute = self._number("number_per_minute", documented.number_per_minute)
        return RateLimits(
            account_per_second=self._number("account_per_second", documented.account_per_second),
            number_per_second=self._number("number_per_second", documented.number_per_second),
            number_per_minute=per_minute,
            alert_reserve=self._alert_reserve(per_minute),
        )

    def _alert_reserve(self, number_per_minute: int) -> int | None:
        if self._get("alert_reserve") is None:
            return None
        reserve = self._number("alert_reserve", 0)
        if reserve >= number_per_minute:
            most = number_per_minute - 1
            self._fail(
                f"extra.alert_reserve must be a whole number from 0 to {most:,}, one less than number_per_minute"
            )
        return reserve

    def _number(self, name: str, default: Number, unit: str = "") -> Number:
        if self._get(name) is None:
            return default
        number = number_within(self._get(name), FIELDS[name])
        if number is None:
            self._fail(f"extra.{name} must be {FIELDS[name].bounds}{unit}")
        return type(default)(number)

    def _http_method(self) -> str:
        for method in FIELDS["http_method"].choices:
            if str(self._get("http_method") or ConnectionSettings.http_method).strip().upper() == method:
                return method
        return self._fail(f"extra.http_method must be {' or '.join(FIELDS['http_method'].choices)}")

    def _throttled_words(self) -> tuple[str, ...]:
        words = list_of(self._get("throttled_words"), (str,))
        if words is None:
            self._fail("extra.throttled_words must be words or phrases separated by commas, or a JSON list of them")
        if len(words) > MOST_WORDS or not all(SHORTEST_WORD <= len(word) <= LONGEST_WORD for word in words):
            self._fail(
                f"extra.throttled_words must be at most {MOST_WORDS} words or phrases of {SHORTEST_WORD} to "
                f"{LONGEST_WORD} characters each"
            )
        return tuple(str(word) for word in words)

    def _account_name(self) -> str:
        longest = FIELDS["account"].maximum or 0
        if self._get("account") is None:
            return ""
        if type(self._get("account")) not in {int, str} or len(str(self._get("account")).strip()) > longest:
            self._fail(f"extra.account must be a name of at most {longest} characters")
        return str(self._get("account")).strip()

    def _get(self, name: str) -> Any:
        """Return a field of the extra; None when it is missing, or empty as the form saves it."""
        value = self._extra.get(name)
        return None if isinstance(value, str) and not value.strip() else value

    def _fail(self, problem: str) -> NoReturn:
        raise invalid(self._content.conn_id, problem)


def _given_type(content: ConnectionContent) -> str:
    # Without a scheme, Airflow takes the first part of a URI for its type: the access key, say.
    if not (content.login and content.password):
        return "not another"
    return f"not {content.conn_type[:_LONGEST_TYPE]!r}" if content.conn_type else "not empty"


def invalid(conn_id: str, problem: str) -> InvalidConnection:
    """Return the error of an invalid connection.

    :param problem: what is wrong, without a full stop.
    """
    return InvalidConnection(problem, advice=f"Correct the connection {conn_id!r}.", before_any=True)


def wrong_recipient(settings: ConnectionSettings) -> str:
    """Return what is wrong with a recipient of `alert_to` or a number of `contacts`; empty if all are right.

    Sending does not check them: one that is invalid does not keep a message from the others.
    """
    written, problem = _found(settings.alert_to, settings.contacts, "extra.alert_to")
    problem = problem or _normalized(settings.contacts.every_number, "extra.contacts")[1]
    return problem or _normalized(written, "extra.alert_to")[1]


def _found(listed: tuple[str, ...], contacts: Contacts, field_name: str) -> tuple[tuple[str, ...], str]:
    """Return the numbers of contacts, and the problem with an unknown one."""
    try:
        return tuple(contacts.all_numbers_of(listed)), ""
    except InvalidMessage as error:
        return (), f"in {field_name}, {error.reason}"


def _normalized(written: tuple[str, ...], field_name: str) -> tuple[tuple[str, ...], str]:
    """Return numbers in digits, and the problem with an invalid one."""
    try:
        # As a plain string, not as the `Opaque` that was read.
        return tuple(normalize_number(str(number), field_name) for number in written), ""
    except InvalidMessage as error:
        return (), error.reason
