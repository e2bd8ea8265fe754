"""A connection for one request and its reply, with a deadline. Another thread may cut it."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from urllib3.util.ssl_match_hostname import CertificateError

from airflow_provider_dialogtech.api.raw_reply import LARGEST_REPLY, CallDeadline, RawReply, TooLarge
from airflow_provider_dialogtech.api.transport import Transport


class NotLeft(Exception):
    """No byte of the request left."""


class NoReply(Exception):
    """The request left, at least in part, and no complete reply came."""


# The first entry that matches an error or one of its causes names the failure.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (TooLarge, "the reply is too large"),
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
    (http.client.HTTPException, "the reply was not HTTP"),
    (requests.exceptions.InvalidProxyURL, "the proxy's URL cannot be read"),
    (urllib3.exceptions.ProxySchemeUnknown, "the proxy's URL cannot be read"),
    (urllib3.exceptions.LocationParseError, "its URL cannot be read"),
    (requests.exceptions.InvalidSchema, "a SOCKS proxy needs the package PySocks"),
    (UnicodeError, "it has characters that cannot be encoded"),
)


def in_words(error: BaseException) -> str:
    """Describe a failure by the most specific of the errors in its chain."""
    if isinstance(error, NotLeft):
        return str(error)
    found = tuple(_chain(error))
    return next((words for kind, words in _WORDS if any(isinstance(one, kind) for one in found)), type(error).__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]


class Connection:
    """A connection to the API for one request. Another thread may cut it at any time.

    :param url: the API's URL, as `checked_url` returned it.
    :param timeout: seconds allowed for connecting (all addresses, the proxy and TLS), and again for the request and
        its reply. DNS resolution is not covered.
    :param largest: the largest accepted reply, in bytes.
    """

    def __init__(self, url: str, timeout: float, largest: int = LARGEST_REPLY) -> None:
        self.left_at: datetime | None = None
        self._largest = largest
        self._url = url
        self._timeout = timeout
        self._transport: Transport | None = None
        self._handle: socket.socket | None = None
        self._cut = ""
        self._busy = False
        # Reentrant: a signal handler may cut the connection that its own thread is closing.
        self._closing = threading.RLock()

    def open(self) -> None:
        """Connect, with the proxy and the trusted certificates of the environment. No byte of the request is written.

        :raises NotLeft: when connecting fails.
        """
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

    def request(self, method: str, headers: Mapping[str, str], parameters: Mapping[str, str]) -> RawReply:
        """Write the request, read its reply and close the connection.

        :param parameters: the parameters of the query, or of the form.
        :raises NotLeft: when no byte of the request left.
        :raises NoReply: when the request left, at least in part, and no complete reply came.
        """
        deadline = CallDeadline(self._timeout)
        self.left_at = None
        self._busy = True
        reason = ""
        try:
            request = _as_http(method, self._url, headers, parameters)
            return self._ready(deadline).request(*request)
        except TimeoutError:
            reason = f"no reply came within {self._timeout:g} s"
        except Exception as error:
            reason = in_words(error)
        finally:
            self._busy = False
            self.close()
        raise NotLeft(self._cut or reason) if self.left_at is None else NoReply(self._cut or reason)

    def cut(self, why: str) -> None:
        """Cut the connection, from any thread. A thread that waits for it gets an error.

        :param why: the reason that the error gives.
        """
        # The lock is held because the descriptor of a closed handle may already belong to another connection.
        with self._closing:
            self._cut = self._cut or why
            if self._handle is not None:
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, from any thread; a request in progress is cut. Idempotent."""
        with self._closing:
            if self._busy:
                # The thread that waits for the reply closes it: until then its descriptor must not be reused.
                self.cut("it was closed")
                return
            if self._transport is not None:
                with suppress(Exception):
                    self._transport.close()
            if self._handle is not None:
                self._handle.close()
                self._handle = None

    def _open(self) -> None:
        deadline = CallDeadline(self._timeout)
        self._transport = Transport(self._url, self._watch, self._largest)
        if self._transport.has_proxy:
            with self._watchdog():
                self._transport.connect(deadline)
        else:
            self._transport.connect(deadline)

    @contextmanager
    def _watchdog(self) -> Iterator[None]:
        """Cut the connection when connecting through a proxy takes longer than the time-out."""
        watchdog = threading.Timer(self._timeout, self.cut, ["the proxy took too long"])
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def _watch(self, connection: socket.socket) -> None:
        """Duplicate the socket's descriptor, because wrapping the socket in TLS detaches the original."""
        with self._closing:
            if self._cut:
                raise ConnectionAbortedError
            if self._handle is not None:
                self._handle.close()
            self._handle = socket.socket(
                connection.family, connection.type, connection.proto, fileno=os.dup(connection.fileno())
            )

    def _ready(self, deadline: CallDeadline) -> Transport:
        """Check that the connection is still open: a request written to a closed one would be in doubt."""
        if self._transport is None or self._handle is None:
            raise NotLeft("the connection was closed")
        if not self._transport.ready(deadline):
            raise NotLeft("the connection was closed while it waited")
        with self._closing:
            if self._cut:
                raise NotLeft(self._cut)
            self.left_at = datetime.now(timezone.utc)
        return self._transport

    def _why_not_open(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return "the connection took too long"
        by_proxy = self._transport is not None and self._transport.has_proxy
        if by_proxy and isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            return "the proxy failed"
        return in_words(error)


def _as_http(
    method: str, url: str, headers: Mapping[str, str], parameters: Mapping[str, str]
) -> tuple[str, str, Mapping[str, str], str]:
    """Return the method, the target, the headers and the body of a request."""
    called = urlsplit(url)
    headers = {"Host": called.netloc, **headers}
    path, encoded = called.path or "/", urlencode(parameters)
    if method == "GET":
        return method, f"{path}?{encoded}", headers, ""
    form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(encoded))}
    return method, path, {**headers, **form}, encoded
