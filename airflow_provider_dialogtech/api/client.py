"""The DialogTech API: each call returns one reply or raises one named error."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from airflow_provider_dialogtech import __version__
from airflow_provider_dialogtech.api.connection import Connection, NoReply, NotLeft
from airflow_provider_dialogtech.api.messages import LARGEST_LISTING, Message, listed_messages
from airflow_provider_dialogtech.api.raw_reply import LARGEST_REPLY
from airflow_provider_dialogtech.api.reply import ApiReply, NotDocumented, meaning_of
from airflow_provider_dialogtech.exceptions import (
    DialogTechError,
    InDoubt,
    InvalidConnection,
    InvalidMessage,
    NotSent,
    Unreachable,
)
from airflow_provider_dialogtech.masking import Opaque, holds_secret, mask_numbers, scrub, without_locals

T = TypeVar("T")

DEFAULT_URL = "https://secure.dialogtech.com/ibp_api.php"
LONGEST_TIMEOUT = 3600.0
_LONGEST_PATH = 80

_HEADERS = {
    "User-Agent": f"airflow-provider-dialogtech/{__version__}",
    "Accept": "application/xml, text/xml",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


class DialogTechClient:
    """Calls the DialogTech API. Threads may share a client.

    :param url: the API's URL: https, or http to this machine.
    :param http_method: `GET`, as the vendor documents it, or `POST` with the same parameters as a form.
    :param timeout: seconds allowed for connecting (all addresses together), and again for the request and its reply.
        DNS resolution is not covered.
    :param throttled_words: words or phrases of a refusal that mean "throttled"; empty for the built-in ones.
    :param conn_id: the connection that all this comes from, which errors name; empty for none.
    :raises InvalidConnection: when one of these is invalid.
    """

    @without_locals
    def __init__(
        self,
        access_key: str,
        secret_access_key: str,
        url: str = DEFAULT_URL,
        *,
        http_method: str = "GET",
        timeout: float = 30.0,
        throttled_words: Sequence[str] = (),
        conn_id: str = "",
    ) -> None:
        self._keys = {"access_key": Opaque(access_key or ""), "secret_access_key": Opaque(secret_access_key or "")}
        if not all(self._keys.values()):
            raise InvalidConnection("the access key or the secret access key is missing")
        if http_method not in {"GET", "POST"}:
            raise InvalidConnection("http_method must be GET or POST")
        if not 0 < timeout <= LONGEST_TIMEOUT:
            raise InvalidConnection(f"timeout must be a number of seconds above 0 and at most {LONGEST_TIMEOUT:g}")
        if isinstance(throttled_words, str) or not all(
            isinstance(word, str) and word.strip() for word in throttled_words
        ):
            raise InvalidConnection("throttled_words must be a list of words or phrases")
        self._url = _url_to_call(url)
        self.timeout = timeout
        self._http_method = http_method
        self._throttled_words = tuple(throttled_words)
        self._conn_id = conn_id
        self._open: set[Connection] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {urlsplit(getattr(self, '_url', '')).hostname}>"

    @property
    def host(self) -> str:
        """The API's host name."""
        return urlsplit(self._url).hostname or ""

    @without_locals
    def refuse_own_secret(self, message: str) -> None:
        """Check that a message holds neither of the keys.

        :raises InvalidMessage: when it does, in any encoding.
        """
        if holds_secret(message, *self._keys.values()):
            key = next(name for name, key in reversed(self._keys.items()) if holds_secret(message, key))
            raise InvalidMessage(
                f"its body contains the {key.replace('_', ' ')} of its own connection",
                advice="Remove it. Data that Airflow renders as a template can read the connection.",
            )

    def connect(self) -> ApiCall:
        """Open a connection for one message, without writing to it. It may stay idle for a while.

        :raises Unreachable: when connecting fails or takes longer than `timeout`.
        """
        try:
            return self._open_call()
        except NotLeft as failure:
            problem = self._named(self._unreachable(failure))
        # Outside the except block: otherwise the library's error, which carries the URL, becomes its context.
        raise problem

    def send(self, *, to: str, from_: str, message: str) -> ApiReply:
        """Connect and send one message. The API has no idempotency keys: a second call sends a second message.

        :param to: the recipient's number, in digits.
        :param from_: the number to send from, in digits.
        :param message: the body, sent unchanged.
        :raises Unreachable: when no byte of the request left.
        :raises DialogTechError: as `ApiCall.send` does.
        """
        parameters = _parameters_of(to, from_, message)
        del to, from_, message
        with self.connect() as call:
            return call._send(parameters)

    def get_numbers(self) -> tuple[str, ...]:
        """Return the account's SMS-enabled numbers, in digits. This sends no message; it verifies the keys.

        The reply's element names are undocumented, so every value that looks like a phone number is returned.

        :raises Refused: when the API refused the call; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when the API throttled the call.
        :raises Unreachable: when DialogTech could not be reached.
        :raises NotSent: when the reply is not the documented one.
        """
        parameters = {"action": "sms.get_numbers"}
        return self._answer(lambda call: call._outcome(parameters), LARGEST_REPLY, advice="Check the API URL.").numbers

    def get_messages(
        self, begin: date, end: date, number: str | None = None, *, largest: int = LARGEST_LISTING
    ) -> list[Message]:
        """Return the messages to and from the account's numbers between two days. This sends no message.

        The reply's element names are undocumented, so each message is a tuple of all its values. The listing may lag:
        a missing message proves nothing.

        :param number: only messages to and from this number, in digits; None for all.
        :param largest: the largest accepted list, in bytes; 8 MiB by default.
        :raises Refused: when the API refused the call; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when the API throttled the call.
        :raises Unreachable: when DialogTech could not be reached.
        :raises NotSent: when the reply is not the documented one, or is too large.
        """
        parameters = {"action": "sms.get_messages", "start_date": f"{begin:%Y%m%d}", "end_date": f"{end:%Y%m%d}"}
        if number is not None:
            parameters["number"] = Opaque(number)
        return self._answer(lambda call: call._listing(parameters), largest, advice="Look in its portal.")

    def abort(self) -> None:
        """Cut every open connection, from any thread. A message whose request has left is then in doubt."""
        for connection in tuple(self._open):
            connection.cut("it was stopped")

    def _answer(self, ask: Callable[[ApiCall], T | DialogTechError], largest: int, *, advice: str) -> T:
        """Make a call that sends no message, and return its answer.

        :param largest: the largest accepted reply, in bytes.
        :param advice: what to do when the reply is not the documented one.
        """
        try:
            with self._open_call(largest) as call:
                answer = ask(call)
        except NotLeft as failure:
            answer = self._unreachable(failure)
        except (NoReply, NotDocumented) as failure:
            answer = NotSent(f"DialogTech did not answer as documented ({self._described(failure)})", advice=advice)
        if isinstance(answer, DialogTechError):
            raise self._named(answer)
        return answer

    def _named(self, error: DialogTechError) -> DialogTechError:
        if self._conn_id:
            error.name_connection(self._conn_id)
        return error

    def _described(self, failure: NoReply | NotDocumented) -> str:
        """Return a failure, and where a reply came from that is not DialogTech's: the path may be misspelt."""
        if isinstance(failure, NoReply) or self._url == DEFAULT_URL:
            return str(failure)
        # Cut last: half a key could not be recognised.
        path = mask_numbers(scrub(urlsplit(self._url).path, *self._keys.values()))[:_LONGEST_PATH]
        return f"{failure}, from the path {path} of the API URL"

    def _unreachable(self, failure: NotLeft) -> Unreachable:
        called = urlsplit(self._url)
        host = f"[{called.hostname}]" if ":" in (called.hostname or "") else called.hostname
        port = called.port or (443 if called.scheme == "https" else 80)
        return Unreachable(f"DialogTech could not be reached at {host}:{port} ({failure})")

    @without_locals
    def _open_call(self, largest: int = LARGEST_REPLY) -> ApiCall:
        connection = Connection(self._url, self.timeout, largest)
        self._open.add(connection)
        try:
            connection.open()
        except BaseException:
            self._open.discard(connection)
            raise
        return ApiCall(self, connection)


class ApiCall:
    """One API call over an open connection. Close it, or use it in a `with` statement."""

    def __init__(self, client: DialogTechClient, connection: Connection) -> None:
        self._client = client
        self._connection = connection

    def __enter__(self) -> ApiCall:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *, to: str, from_: str, message: str) -> ApiReply:
        """Send one message with a single request. It never reconnects and never sends twice.

        :param to: the recipient's number, in digits.
        :param from_: the number to send from, in digits.
        :param message: the body, sent unchanged.
        :raises Refused: when the API refused the message; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when the API throttled the message.
        :raises Unreachable: when no byte of the request left.
        :raises InDoubt: when the message may have been sent.
        """
        parameters = _parameters_of(to, from_, message)
        # A traceback may show this function's locals.
        del to, from_, message
        return self._send(parameters)

    def close(self) -> None:
        """Close the call, from any thread. A message whose request has left is then in doubt. Idempotent."""
        self._client._open.discard(self._connection)
        self._connection.close()

    def _send(self, parameters: Mapping[str, str]) -> ApiReply:
        try:
            outcome = self._outcome(parameters)
        except NotLeft as failure:
            outcome = self._client._unreachable(failure)
        except (NoReply, NotDocumented) as failure:
            left_at = self._connection.left_at
            when = f" at {left_at:%Y-%m-%d %H:%M:%S} UTC" if left_at is not None else ""
            outcome = InDoubt(f"its request left{when}, and then {self._client._described(failure)}", since=left_at)
        finally:
            self.close()
        if isinstance(outcome, DialogTechError):
            raise self._client._named(outcome)
        return outcome

    @without_locals
    def _outcome(self, parameters: Mapping[str, str]) -> ApiReply | DialogTechError:
        client = self._client
        raw = self._connection.request(client._http_method, _HEADERS, {**client._keys, **parameters})
        return meaning_of(raw, client._keys, parameters, client._throttled_words)

    @without_locals
    def _listing(self, parameters: Mapping[str, str]) -> list[Message] | DialogTechError:
        client = self._client
        raw = self._connection.request(client._http_method, _HEADERS, {**client._keys, **parameters})
        messages = listed_messages(raw.body) if raw.status == HTTPStatus.OK else None
        if messages is not None:
            return messages
        outcome = meaning_of(raw, client._keys, parameters, client._throttled_words)
        return outcome if isinstance(outcome, DialogTechError) else []


def _parameters_of(to: str, from_: str, message: str) -> Mapping[str, str]:
    return {"action": "sms.send_message", "to": Opaque(to), "from": Opaque(from_), "message": Opaque(message)}


def _url_to_call(url: str) -> str:
    called = checked_url(url) or ""
    if not called:
        raise InvalidConnection("the API URL must be a URL without a user, a query and a fragment, or empty")
    if not may_carry_keys(called):
        raise InvalidConnection(
            "the API URL must begin with https, because each call carries the keys; http is allowed only for this "
            "machine"
        )
    return called


def checked_url(written: str) -> str | None:
    """Return a URL as `requests` calls it; None when it is invalid, or when parsers disagree about its host or port.

    :param written: the URL as the connection has it.
    """
    try:
        called = requests.Request("GET", written).prepare().url or ""
        agreed = _parsers_agree(written, called)
    except (ValueError, requests.RequestException, urllib3.exceptions.HTTPError):
        return None
    unsafe = any(sign in written for sign in "\\@?#") or any(sign.isspace() or sign < " " for sign in written)
    return called if agreed and not unsafe else None


def may_carry_keys(url: str) -> bool:
    """Return whether a URL is https, or http to this machine.

    :param url: the URL, as `checked_url` returned it.
    """
    return url.startswith("https:") or (url.startswith("http:") and _is_this_machine(url))


def _parsers_agree(written: str, called: str) -> bool:
    # One parser's loopback address may be another parser's remote host.
    parts, theirs = urlsplit(called), urllib3.util.parse_url(called)
    host = parts.hostname or ""
    if "[" in parts.netloc or ":" in host:
        ipaddress.IPv6Address(host)
    else:
        host.encode("idna")
    same_port = parts.port == theirs.port == urlsplit(written).port
    return bool(host) and host == (theirs.host or "").strip("[]").lower() and same_port


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
