"""One connection, one request over it, one reply: within a deadline, and with a bound on all that comes back.

`requests` prepares the request and chooses proxy, TLS and trust; urllib3's pool builds the connection; http.client
writes the request and reads the reply. The connection never returns to the pool: TLS 1.3 sends tickets, for which
urllib3 would take it for dropped, and silently open a second one. What is private to urllib3 stands in this file alone.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.util.ssl_match_hostname import CertificateError

from airflow_provider_dialogtech.opaque import Private

# Status line, headers and body together; the documented reply has some 250 bytes.
LARGEST_REPLY = 64 * 1024


class NotLeft(Exception):
    """No byte of the request has left."""


class NoReply(Exception):
    """The request has left, at least in part, and no whole reply came."""


class _TooLarge(Exception):
    """More came than a reply may have."""


@dataclass(frozen=True)
class RawReply:
    """A reply as it came, with as much of it as anybody asks for.

    :param status: the HTTP status.
    :param retry_after: the header of that name; empty when there is none.
    :param body: the body; of a status with which it says nothing, it is not even read.
    """

    status: int
    retry_after: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)


class Connection:
    """A connection to the API, for one request. Another thread may cut it at any time.

    :param url: the API's URL, as `checked_url` returned it.
    :param timeout: for how many seconds connecting may take, and then again the request with its reply. Connecting
        includes all addresses, a proxy and TLS; only the system's resolver knows no bound.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.left_at: datetime | None = None
        self._url = url
        self._timeout = timeout
        self._deadline = _Deadline(timeout)
        self._http: Any = None
        self._handle: socket.socket | None = None
        self._cut = ""
        self._busy = False
        self._proxied = False
        # Reentrant: a signal's handler may cut what its own thread is about to close.
        self._closing = threading.RLock()

    def open(self) -> None:
        """Connect, through the proxy and with the trust that the environment names. Nothing is written on it then.

        :raises NotLeft: when that fails.
        """
        self._deadline = _Deadline(self._timeout)
        reason = ""
        try:
            self._open()
        except Exception as error:
            reason = self._why_not_open(error)
        except BaseException:
            self.close()
            raise
        # Outside the except block: a library's error may carry a proxy's password, or the URL.
        if reason or self._cut:
            self.close()
            raise NotLeft(self._cut or reason)

    def carry(self, method: str, headers: Mapping[str, str], parameters: Private[Mapping[str, str]]) -> RawReply:
        """Write the request, read its reply and close.

        :param method: `GET` or `POST`.
        :param headers: the request's headers.
        :param parameters: what stands in the query, or in the form.
        :raises NotLeft: when no byte has left.
        :raises NoReply: when the request has left, at least in part, and no whole reply came.
        """
        self._deadline = _Deadline(self._timeout)
        self.left_at = None
        self._busy = True
        reason = ""
        try:
            return self._carry(_prepared(method, self._url, headers, parameters))
        except TimeoutError:
            reason = f"no reply within {self._timeout:g} s"
        except Exception as error:
            reason = _in_words(error)
        finally:
            self._busy = False
            self.close()
        raise NotLeft(self._cut or reason) if self.left_at is None else NoReply(self._cut or reason)

    def cut(self, why: str) -> None:
        """Cut the connection, from any thread; whoever waits for it wakes up.

        :param why: what becomes of it, for the error.
        """
        # A handle that is closed meanwhile may be somebody else's connection by now.
        with self._closing:
            self._cut = self._cut or why
            if self._handle is not None:
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, from any thread; a request that is out is cut. Closing twice does nothing more."""
        with self._closing:
            if self._busy:
                # The thread that waits for the reply closes it; what is closed under its feet may be reused.
                self.cut("it was closed")
                return
            if self._http is not None:
                with suppress(Exception):
                    self._http.close()
            if self._handle is not None:
                self._handle.close()
                self._handle = None

    def _open(self) -> None:
        with requests.Session() as session:
            prepared = requests.Request("GET", self._url).prepare()
            settings = session.merge_environment_settings(self._url, {}, True, None, None)
            # http is for this machine itself; a proxy elsewhere would see the keys.
            proxies = {} if self._is_plain() else settings["proxies"]
            adapter: Any = session.get_adapter(self._url)
            pool = adapter.get_connection_with_tls_context(prepared, settings["verify"], proxies, settings["cert"])
            adapter.cert_verify(pool, self._url, settings["verify"], settings["cert"])
            connection = self._http = pool._new_conn()
            self._proxied = bool(pool.proxy)
            connection.debuglevel = 0  # where somebody sets http.client's own, it prints requests whole
            connection.response_class = self._bounded_response
            connection.timeout = self._timeout
            connection._new_conn = self._by_socks if hasattr(connection, "_socks_options") else self._by_tcp
            if self._proxied:
                self._open_tunnel(pool)
            else:
                connection.connect()
            connection.auto_open = 0

    def _open_tunnel(self, pool: Any) -> None:
        # A second TLS inside of a proxy's own is timed for each read only. So here, but nowhere else, a thread watches.
        watchdog = threading.Timer(self._timeout, self.cut, ["the proxy took too long"])
        watchdog.daemon = True
        watchdog.start()
        try:
            pool._prepare_proxy(self._http)
        finally:
            watchdog.cancel()

    def _by_tcp(self) -> socket.socket:
        """Connect to the first of the host's addresses that answers, all of them within one time-out."""
        addresses = socket.getaddrinfo(self._http.host, self._http.port, type=socket.SOCK_STREAM)
        failure: OSError = socket.gaierror("no address that may be called")
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            if self._is_plain() and not ipaddress.ip_address(address[0]).is_loopback:
                continue
            connection = socket.socket(family, kind, protocol)
            try:
                for option in self._http.socket_options or ():
                    connection.setsockopt(*option)
                self._watch(connection)
                connection.settimeout(self._deadline.left() / (len(addresses) - number))
                connection.connect(address)
                connection.settimeout(self._deadline.left())
            except OSError as error:
                failure = error
                connection.close()
            else:
                return connection
        raise failure

    def _by_socks(self) -> socket.socket:
        # PySocks times each of its few reads.
        connection: socket.socket = type(self._http)._new_conn(self._http)
        self._watch(connection)
        connection.settimeout(self._deadline.left())
        return connection

    def _watch(self, connection: socket.socket) -> None:
        """Keep a handle of our own: TLS takes the socket away from its object."""
        with self._closing:
            if self._cut:
                raise ConnectionAbortedError
            if self._handle is not None:
                self._handle.close()
            self._handle = socket.socket(
                connection.family, connection.type, connection.proto, fileno=os.dup(connection.fileno())
            )

    def _bounded_response(self, connection: Any, *args: Any, **options: Any) -> http.client.HTTPResponse:
        reader: Any = _BoundedReader(connection, self._deadline)
        return http.client.HTTPResponse(reader, *args, **options)

    def _carry(self, prepared: requests.PreparedRequest) -> RawReply:
        self._leave()
        # http.client's own: urllib3's would log, and unpack what is compressed.
        http.client.HTTPConnection.request(
            self._http,
            prepared.method or "",
            prepared.path_url,
            prepared.body,
            dict(prepared.headers),
        )
        with http.client.HTTPConnection.getresponse(self._http) as response:
            return RawReply(response.status, response.headers.get("Retry-After") or "", _body(response))

    def _leave(self) -> None:
        """Look whether the connection still stands, for what is written on a closed one is in doubt."""
        if self._http is None or self._http.sock is None:
            raise NotLeft("the connection was closed")
        if _is_closed(self._http.sock):
            raise NotLeft("the connection was closed while it waited")
        self._http.sock.settimeout(self._deadline.left())
        with self._closing:
            if self._cut:
                raise NotLeft(self._cut)
            self.left_at = datetime.now(timezone.utc)

    def _is_plain(self) -> bool:
        return self._url.startswith("http:")

    def _why_not_open(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return "the connection took too long"
        if self._proxied and isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            return "the proxy failed"
        return _in_words(error)


def is_refusal(status: int) -> bool:
    """Say whether a status means that the API refused. A time-out of the server's own may strike after it took a text.

    :param status: the HTTP status.
    """
    client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return client_error and status != HTTPStatus.REQUEST_TIMEOUT


def checked_url(given: Private[str]) -> str | None:
    """Return the URL as it will be called; None where the keys must not travel.

    :param given: what the connection says. It may carry a password, so it is kept from tracebacks.
    """
    written = given.reveal()
    try:
        # What one parser takes for this machine, another may call elsewhere: both must agree on what is called at last.
        called = requests.Request("GET", written).prepare().url or ""
        parts, theirs = urlsplit(called), urllib3.util.parse_url(called)
        host, port = parts.hostname or "", parts.port
        agreed = host == (theirs.host or "").strip("[]").lower() and port == theirs.port
        agreed = agreed and port == urlsplit(written).port
        if "[" in parts.netloc or ":" in host:
            ipaddress.IPv6Address(host)
        else:
            host.encode("idna")
    except (ValueError, requests.RequestException, urllib3.exceptions.HTTPError):
        return None
    strange = any(sign in written for sign in "\\@?#") or any(sign.isspace() or sign < " " for sign in written)
    if strange or not host or not agreed:
        return None
    return called


def _prepared(
    method: str, url: str, headers: Mapping[str, str], parameters: Private[Mapping[str, str]]
) -> requests.PreparedRequest:
    place = "params" if method == "GET" else "data"
    return requests.Request(method, url, headers=dict(headers), **{place: dict(parameters.reveal())}).prepare()


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, more than none.

        :raises TimeoutError: when it is over.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _BoundedReader(io.RawIOBase):
    """Reads until a deadline, and no more than a reply may have. A socket's own time-out bounds one read."""

    def __init__(self, connection: Any, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = LARGEST_REPLY
        # It keeps the socket open: on `Connection: close`, http.client closes its own before the body is read.
        self._raw = connection.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        """Stand in for the socket, from which http.client reads through a file."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.left())
        count = self._raw.readinto(buffer) or 0
        self._left -= count
        if self._left < 0:
            raise _TooLarge
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _body(response: http.client.HTTPResponse) -> bytes:
    """Read the body where one says something: of a redirect, or of a server's own failure, not a byte is read."""
    if is_refusal(response.status):
        try:
            return _whole_body(response)
        except (OSError, http.client.HTTPException, _TooLarge):
            return b""  # the status alone says that it refused
    return _whole_body(response) if response.status == HTTPStatus.OK else b""


def _whole_body(response: http.client.HTTPResponse) -> bytes:
    body = response.read(LARGEST_REPLY + 1)
    if response.length:  # http.client tells that one ends early only to who reads it without a bound
        raise http.client.IncompleteRead(b"")
    return body


def _is_closed(connection: Any) -> bool:
    """Say whether the other side has closed a connection on which it has nothing to say yet."""
    connection.settimeout(0)
    try:
        connection.recv(1)
    # TLS 1.3 sends tickets, so "readable" alone would prove nothing. pyOpenSSL's sockets tell a TimeoutError.
    except (BlockingIOError, ssl.SSLWantReadError, TimeoutError):
        return False
    except OSError:
        return True
    return True


# What says most stands first. The errors' own texts carry URLs and hosts.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (_TooLarge, f"the reply is larger than {LARGEST_REPLY} bytes"),
    # These two come from SOCKS alone, and the first is a kind of the second.
    (urllib3.exceptions.NewConnectionError, "the proxy failed"),
    (urllib3.exceptions.ConnectTimeoutError, "the connection took too long"),
    (socket.gaierror, "its name was not resolved"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted"),
    (CertificateError, "its certificate is not trusted"),
    (ssl.SSLError, "TLS failed"),
    (urllib3.exceptions.SSLError, "TLS failed"),
    (ConnectionRefusedError, "the connection was refused"),
    (http.client.RemoteDisconnected, "the connection was closed without a reply"),
    (ConnectionResetError, "the connection was reset"),
    (BrokenPipeError, "the connection was reset"),
    (http.client.IncompleteRead, "the reply ended early"),
    (http.client.HTTPException, "what came was no HTTP"),
    (requests.exceptions.InvalidProxyURL, "the proxy's URL cannot be read"),
    (urllib3.exceptions.ProxySchemeUnknown, "the proxy's URL cannot be read"),
    (urllib3.exceptions.LocationParseError, "its URL cannot be read"),
    (requests.exceptions.InvalidSchema, "a SOCKS proxy needs the package PySocks"),
    (UnicodeError, "it has characters that cannot be encoded"),
)


def _in_words(error: BaseException) -> str:
    """Tell the kind of a failure by the most telling of the errors that led to it."""
    if isinstance(error, NotLeft):
        return str(error)
    found = tuple(_chain(error))
    return next((words for kind, words in _WORDS if any(isinstance(one, kind) for one in found)), type(error).__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]
