"""The DialogTech API: one call, one reply or one named error."""

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
from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidConnection, NotSent, Unreachable
from airflow_provider_dialogtech.masking import Opaque, without_locals

T = TypeVar("T")


DEFAULT_URL = "https://secure.dialogtech.com/ibp_api.php"
LONGEST_TIMEOUT = 3600.0

_HEADERS = {
    "User-Agent": f"airflow-provider-dialogtech/{__version__}",
    "Accept": "application/xml, text/xml",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


class DialogTechClient:
    """Calls the DialogTech API. One client may be used by several threads.

    :param access_key: the account's access key.
    :param secret_access_key: its secret access key.
    :param url: the API's URL: https, or http to this machine itself.
    :param http_method: `GET`, as the vendor's page has it, or `POST` with the same as a form.
    :param timeout: for how many seconds connecting may take, all addresses together, and then the request with its
        reply. Only the system's resolver knows no bound: what it takes to find a name's addresses comes on top.
    :param throttled_words: words or phrases of a refusal that mean "throttled"; by default the known ones.
    :raises InvalidConnection: when one of these is wrong.
    """

    def __init__(
        self,
        access_key: str,
        secret_access_key: str,
        url: str = DEFAULT_URL,
        *,
        http_method: str = "GET",
        timeout: float = 30.0,
        throttled_words: Sequence[str] = (),
    ) -> None:
        # A traceback may show what the names of this function mean.
        self._keys = {"access_key": Opaque(access_key or ""), "secret_access_key": Opaque(secret_access_key or "")}
        access_key = secret_access_key = ""
        url = Opaque(url)
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
        self._open: set[Connection] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {urlsplit(getattr(self, '_url', '')).hostname}>"

    @property
    def host(self) -> str:
        """The name of the API's host."""
        return urlsplit(self._url).hostname or ""

    def connect(self) -> ApiCall:
        """Open a connection for one message. It may stand idle for a while: nothing is written on it yet.

        :raises Unreachable: when that fails, or takes longer than `timeout`.
        """
        try:
            return self._open_call()
        except NotLeft as failure:
            problem = self._unreachable(failure)
        # Outside the except block, so that nothing of what went on below hangs on to it.
        raise problem

    def send(self, *, to: str, from_: str, message: str) -> ApiReply:
        """Connect and send one message. A second call is a second message: the API knows no idempotency.

        :param to: the recipient's number, in digits.
        :param from_: the number it leaves from, in digits.
        :param message: what it says; it arrives letter for letter.
        :raises Unreachable: when no byte of the request left.
        :raises DialogTechError: what `ApiCall.send` raises.
        """
        text = _text(to, from_, message)
        del to, from_, message
        with self.connect() as call:
            return call._send(text)

    def get_numbers(self) -> tuple[str, ...]:
        """Ask for the account's SMS-enabled numbers, in digits. That sends nothing and proves the keys.

        The names of the reply's elements are documented nowhere: what looks like a number is taken for one.

        :raises Refused: when the API refused it; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when the API throttled it.
        :raises Unreachable: when DialogTech could not be reached.
        :raises NotSent: when it did not answer as documented.
        """
        asked = {"action": "sms.get_numbers"}
        return self._answer(lambda call: call._outcome(asked), LARGEST_REPLY, advice="Check the API URL.").numbers

    def get_messages(self, begin: date, end: date, number: str | None = None) -> list[Message]:
        """Ask which messages went out from and to the account's numbers on some days. That sends nothing.

        The names of the reply's elements are documented nowhere, so each message is all that is said of it. A listing
        may lag: that a message is missing proves nothing.

        :param begin: the first day.
        :param end: the last day.
        :param number: only the messages from and to this number, in digits.
        :raises Refused: when the API refused it; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when the API throttled it.
        :raises Unreachable: when DialogTech could not be reached.
        :raises NotSent: when it did not answer as documented, or with more than 8 MiB.
        """
        asked = {"action": "sms.get_messages", "start_date": f"{begin:%Y%m%d}", "end_date": f"{end:%Y%m%d}"}
        if number is not None:
            asked["number"] = Opaque(number)
        return self._answer(lambda call: call._listing(asked), LARGEST_LISTING, advice="Look in its portal.")

    def abort(self) -> None:
        """Cut every call that is out or being connected, from another thread.

        Messages that are out are in doubt then.
        """
        for connection in tuple(self._open):
            connection.cut("it was stopped")

    def _answer(self, ask: Callable[[ApiCall], T | DialogTechError], largest: int, *, advice: str) -> T:
        """Ask something that sends no text, and return the answer.

        :param largest: how many bytes the answer may have.
        :param advice: what to do where it is none that is documented.
        """
        try:
            with self._open_call(largest) as call:
                answer = ask(call)
        except NotLeft as failure:
            answer = self._unreachable(failure)
        except (NoReply, NotDocumented) as failure:
            answer = NotSent(f"DialogTech did not answer as documented ({failure})", advice=advice)
        if isinstance(answer, DialogTechError):
            raise answer
        return answer

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
    """A call of the API over a connection that stands, for one message. Close it, or use it in a `with` statement.

    :param client: whose keys it uses.
    :param connection: the connection.
    """

    def __init__(self, client: DialogTechClient, connection: Connection) -> None:
        self._client = client
        self._connection = connection

    def __enter__(self) -> ApiCall:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *, to: str, from_: str, message: str) -> ApiReply:
        """Send one message: one request, one reply or one named error. It never connects anew, and never sends twice.

        :param to: the recipient's number, in digits.
        :param from_: the number it leaves from, in digits.
        :param message: what it says; it arrives letter for letter.
        :raises Refused: when the API refused it; `BadCredentials` when it did not accept the keys.
        :raises Throttled: when the API throttled it.
        :raises Unreachable: when no byte of the request left.
        :raises InDoubt: when the message may have been sent.
        """
        text = _text(to, from_, message)
        # A traceback may show what the names of a function mean.
        del to, from_, message
        return self._send(text)

    def close(self) -> None:
        """Close it, from any thread. A message that is out is in doubt then. Closing twice does nothing more."""
        self._client._open.discard(self._connection)
        self._connection.close()

    def _send(self, text: Mapping[str, str]) -> ApiReply:
        try:
            outcome = self._outcome(text)
        except NotLeft as failure:
            outcome = self._client._unreachable(failure)
        except (NoReply, NotDocumented) as failure:
            left_at = self._connection.left_at
            when = f" at {left_at:%Y-%m-%d %H:%M:%S} UTC" if left_at is not None else ""
            outcome = InDoubt(f"its request left{when}, and then {failure}", since=left_at)
        finally:
            self.close()
        if isinstance(outcome, DialogTechError):
            raise outcome
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


def _text(to: str, from_: str, message: str) -> Mapping[str, str]:
    return {"action": "sms.send_message", "to": Opaque(to), "from": Opaque(from_), "message": Opaque(message)}


def _url_to_call(url: str) -> str:
    called = Opaque(checked_url(url) or "")
    if not called:
        raise InvalidConnection("the API URL must be a URL without a user, a query and a fragment, or empty")
    if not may_carry_keys(called):
        raise InvalidConnection(
            "the API URL must begin with https, because the keys travel with each call; http is only for this machine "
            "itself"
        )
    return str(called)


def checked_url(written: str) -> str | None:
    """Return a URL as it will be called; None where it cannot be read, or not everybody reads the same in it.

    :param written: what the connection says.
    """
    try:
        called = requests.Request("GET", written).prepare().url or ""
        agreed = _readers_agree(written, called)
    except (ValueError, requests.RequestException, urllib3.exceptions.HTTPError):
        return None
    unsafe = any(sign in written for sign in "\\@?#") or any(sign.isspace() or sign < " " for sign in written)
    return called if agreed and not unsafe else None


def may_carry_keys(url: str) -> bool:
    """Return whether a URL is https, or http to this machine itself.

    :param url: the URL, as `checked_url` returned it.
    """
    return url.startswith("https:") or (url.startswith("http:") and _is_this_machine(url))


def _readers_agree(written: str, called: str) -> bool:
    # What one parser takes for this machine, another may call elsewhere.
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
