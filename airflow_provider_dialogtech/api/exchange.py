"""One HTTP request and its reply, under a deadline that covers all of it.

`requests` times each read, not the whole: a server that drips bytes outlives its time-out many times over. And what
counts for a text is whether the request had begun to leave, which `requests` does not tell. So its connections are
ours: they say when the request leaves, and a watchdog shuts them at the deadline.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPException
from types import TracebackType
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

# The documented reply has some 250 bytes.
LARGEST_REPLY = 64 * 1024


class NotLeft(Exception):
    """No byte of the request has left."""


class NoReply(Exception):
    """The request has left, at least in part, and no whole reply came."""


@dataclass(frozen=True)
class RawReply:
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Exchange:
    """One request on its way; our connections ask it when to write, and tell it that they do.

    :param timeout: for how many seconds the connection may take to stand, and then the request with its reply.
    :param before_write: called once the connection stands, right before the first byte.
    """

    def __init__(self, timeout: float, before_write: Callable[[], None]) -> None:
        self.timeout = timeout
        self.left = False
        self.cut: str | None = None
        self.refusal: tuple[BaseException, TracebackType | None] | None = None
        self._before_write = before_write
        self._connect_by = time.monotonic() + timeout
        self._handle: socket.socket | None = None
        self._watchdog = _Watchdog(lambda: self.shut(f"no reply within {timeout:g} s"))
        # Reentrant: a signal's handler may cut what its own thread is about to end.
        self._closing = threading.RLock()

    def connected(self, connection: socket.socket) -> None:
        """Watch a new connection: the TLS handshake and a proxy's answer take time, too."""
        # Wrapping a socket in TLS takes it away from its object; a second handle still reaches the connection.
        self._handle = connection.dup()
        self._watchdog.watch_until(self._connect_by)

    def leave(self, connection: socket.socket) -> None:
        """Return when the request may be written; from here on it counts as having left."""
        self._watchdog.watch_until(None)
        try:
            self._before_write()
        except BaseException as refusal:
            # Kept, since urllib3 takes an OSError for one of its own.
            self.refusal = refusal, refusal.__traceback__
            raise
        if self.cut is not None or _is_closed(connection):
            raise NotLeft(self.cut or "the connection was closed while it waited")
        self._watchdog.watch_until(time.monotonic() + self.timeout)
        self.left = True

    def shut(self, why: str) -> None:
        """Cut the connection from another thread; whoever waits for it wakes up."""
        self.cut = why
        # A handle that is closed meanwhile may be somebody else's connection by now.
        with self._closing:
            if self._handle is not None:
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Watch no longer."""
        self._watchdog.end()
        with self._closing:
            if self._handle is not None:
                self._handle.close()


class _Watchdog:
    """Calls back at a time that may be moved.

    A `threading.Timer` for each time would start its thread right before the request is written: on a busy machine that
    takes longer than a text may be late.
    """

    def __init__(self, bite: Callable[[], None]) -> None:
        self._bite = bite
        self._until: float | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False

    def watch_until(self, until: float | None) -> None:
        """Call back at this time of the monotonic clock, and at no other; None for not at all."""
        with self._changed:
            self._until = until
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="dialogtech-watchdog", daemon=True)
            self._thread.start()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._ended:
                left = None if self._until is None else self._until - time.monotonic()
                if left is None or left > 0:
                    self._changed.wait(left)
                else:
                    self._until = None
                    self._bite()


def _is_closed(connection: socket.socket) -> bool:
    """Say whether the other side has closed a connection on which it has nothing to say yet."""
    before = connection.gettimeout()
    connection.settimeout(0)
    try:
        connection.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):  # TLS 1.3 sends tickets, so "readable" alone would prove nothing
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(before)
    return True


_current: ContextVar[Exchange | None] = ContextVar("dialogtech_exchange", default=None)


class _Discretion(logging.Filter):
    """Keeps urllib3 from logging our requests, whose URLs carry the keys. Everybody else's are logged as ever."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return _current.get() is None


# A logger's filter does not see what its children log.
for _name in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_Discretion())


class _Leaving:
    """Tells the exchange when the connection stands and when the first byte is about to leave."""

    sock: Any
    debuglevel = 0  # where somebody sets http.client's own, it prints requests whole
    _connecting = False

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        _carried().connected(connected)
        return connected

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if not self._connecting and not _carried().left:
            _carried().leave(self.sock)
        super().send(data)  # type: ignore[misc]


@cache
def _leaving(pool: Any) -> Any:
    """Derive a kind of pool whose connections tell when they leave; a SOCKS proxy's pools are of their own kind."""
    connection = type("Leaving" + pool.ConnectionCls.__name__, (_Leaving, pool.ConnectionCls), {})
    return type("Leaving" + pool.__name__, (pool,), {"ConnectionCls": connection})


def _let_tell(manager: Any) -> None:
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _leaving(pool) for scheme, pool in pools.items()}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _let_tell(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        _let_tell(manager)
        return manager


class _NoAuth(requests.auth.AuthBase):
    """Keeps `requests` from looking for the host in a .netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def carry(current: Exchange, request: requests.Request) -> RawReply:
    """Send a request over a new connection and read its reply.

    A connection is never used twice: one that the other side has closed meanwhile would look like a lost reply. What
    `before_write` raises comes out as it is, and nothing has left then.

    :raises NotLeft: when no byte has left.
    :raises NoReply: when the request has left and no whole reply of a sane size came.
    """
    token = _current.set(current)
    interrupted: BaseException | None = None
    reason = ""
    try:
        with _session() as session:
            return _read(session, request, current.timeout)
    except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
        reason = _in_words(error)
    except BaseException as error:
        interrupted = error
    finally:
        current.end()
        _current.reset(token)
    # Outside the except blocks: the library's errors, and its frames, carry the URL, and with it the keys.
    if current.refusal is not None:
        refusal, came_from = current.refusal
        raise refusal.with_traceback(came_from)
    if interrupted is not None:
        # It may have struck while the library was about an error of its own.
        interrupted.__context__ = None
        raise interrupted.with_traceback(None)
    raise NoReply(current.cut or reason) if current.left else NotLeft(current.cut or reason)


def _carried() -> Exchange:
    current = _current.get()
    if current is None:
        raise RuntimeError("this connection carries no exchange")
    return current


def _session() -> requests.Session:
    session = requests.Session()
    session.auth = _NoAuth()
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(max_retries=0))
    return session


def _read(session: requests.Session, request: requests.Request, timeout: float) -> RawReply:
    prepared = session.prepare_request(request)
    settings = session.merge_environment_settings(prepared.url, {}, True, None, None)
    if (prepared.url or "").startswith("http:"):
        settings["proxies"] = {}  # this machine itself is meant; a proxy elsewhere would see the keys
    with session.send(prepared, timeout=timeout, allow_redirects=False, **settings) as response:
        body = response.raw.read(LARGEST_REPLY + 1, decode_content=False)
        if len(body) > LARGEST_REPLY:
            raise NoReply(f"the reply is larger than {LARGEST_REPLY} bytes")
        return RawReply(response.status_code, response.headers, body)


# The kinds of failure, told from the names of the errors: their texts carry the URL. What says most stands first.
_WORDS = {
    "ProxyError": "the proxy failed",
    "NameResolutionError": "its name was not resolved",
    "gaierror": "its name was not resolved",
    "SSLCertVerificationError": "its certificate is not trusted",
    "SSLError": "TLS failed",
    "ConnectionRefusedError": "the connection was refused",
    "ConnectionResetError": "the connection was reset",
    "BrokenPipeError": "the connection was reset",
    "RemoteDisconnected": "the connection was closed without a reply",
    "IncompleteRead": "the reply ended early",
    "ConnectTimeoutError": "the connection took too long",
    "ReadTimeoutError": "no reply in time",
    "LocationParseError": "its URL cannot be read",
    "InvalidProxyURL": "the proxy's URL cannot be read",
}


def _in_words(error: BaseException) -> str:
    """Tell the kind of a failure by the most telling of the errors that led to it."""
    names = [type(found).__name__ for found in _chain(error)]
    return next((words for name, words in _WORDS.items() if name in names), names[0])


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]
