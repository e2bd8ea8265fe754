"""The only file that uses private names of urllib3: it builds a connection and sends one request.

`requests` chooses proxy, TLS and trusted certificates; urllib3's pool builds the connection; http.client reads the
reply. None of them gets the request, because Sentry and tracers wrap their methods and keep each URL. The connection
never returns to the pool: urllib3 would take the session tickets of TLS 1.3 for a dropped connection and silently open
a second one.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import requests

from airflow_provider_dialogtech.api import raw_reply
from airflow_provider_dialogtech.api.raw_reply import LARGEST_REPLY, BoundedReader, CallDeadline, RawReply


class Transport:
    """An HTTP connection, not connected until `connect`. It uses the proxy that the environment names.

    :param url: the API's URL, as `checked_url` returned it.
    :param watch: called with each socket before it connects.
    :param largest: the largest accepted reply, in bytes.
    :raises Exception: any library error when the environment's proxy or certificates cannot be used.
    """

    def __init__(self, url: str, watch: Callable[[socket.socket], None], largest: int = LARGEST_REPLY) -> None:
        self._watch = watch
        self._largest = largest
        # http never leaves this machine: a proxy would see the keys.
        self._is_plain = url.startswith("http:")
        self._pool = self._pool_for(url)
        self._http: Any = self._pool._new_conn()
        self._http.debuglevel = 0  # http.client's own prints a proxy's CONNECT, with its password
        self._http.response_class = self._bounded_response
        self._http._new_conn = self._by_socks if self._has_socks_proxy else self._by_tcp
        self._deadline: CallDeadline

    @property
    def has_proxy(self) -> bool:
        """Whether it uses a proxy: each read from one has its own time-out, so another thread must watch the total."""
        return bool(self._pool.proxy) or self._has_socks_proxy

    @property
    def _has_socks_proxy(self) -> bool:
        return hasattr(self._http, "_socks_options")

    def connect(self, deadline: CallDeadline) -> None:
        """Connect without writing any of the request.

        :param deadline: when connecting must have ended.
        :raises Exception: any library error.
        """
        self._deadline = deadline
        self._http.timeout = deadline.remaining()
        try:
            if self._pool.proxy:
                self._pool._prepare_proxy(self._http)
            else:
                self._http.connect()
        except BaseException as error:
            _close_interrupted_handshake(error)
            raise

    def ready(self, deadline: CallDeadline) -> bool:
        """Return whether the connection is still open and no unrequested data has come.

        :param deadline: when the request that follows must have ended.
        :raises TimeoutError: when the deadline has passed.
        """
        self._deadline = deadline
        if self._http.sock is None or _is_closed(self._http.sock):
            return False
        self._http.sock.settimeout(deadline.remaining())
        return True

    def request(self, method: str, target: str, headers: Mapping[str, str], body: str = "") -> RawReply:
        """Write a request and read its reply, after `ready`.

        :param target: the path and the query.
        :raises Exception: any library error.
        """
        head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._http.sock.sendall("\r\n".join([*head, "", body]).encode("ascii"))
        with self._bounded_response(self._http.sock, method=method) as response:
            response.begin()
            return raw_reply.read(response, self._largest)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _pool_for(self, url: str) -> Any:
        with requests.Session() as session:
            prepared = requests.Request("GET", url).prepare()
            settings = session.merge_environment_settings(url, {}, True, None, None)
            proxies = {} if self._is_plain else settings["proxies"]
            adapter: Any = session.get_adapter(url)
            pool = adapter.get_connection_with_tls_context(prepared, settings["verify"], proxies, settings["cert"])
            adapter.cert_verify(pool, url, settings["verify"], settings["cert"])
            return pool

    def _by_tcp(self) -> socket.socket:
        def connect(connection: Any, address: Any) -> None:
            connection.connect(address)

        return self._to_the_first_of(self._http.host, self._http.port, socket.socket, connect)

    def _by_socks(self) -> socket.socket:
        import socks

        proxy = self._http._socks_options

        def connect(connection: Any, address: Any) -> None:
            connection.set_proxy(
                proxy["socks_version"], *address[:2], proxy["rdns"], proxy["username"], proxy["password"]
            )
            connection.connect((self._http.host, self._http.port))

        return self._to_the_first_of(proxy["proxy_host"], proxy["proxy_port"], socks.socksocket, connect)

    def _to_the_first_of(
        self, host: str, port: int, make: Callable[..., socket.socket], connect: Callable[[Any, Any], None]
    ) -> socket.socket:
        """Connect to the first of a host's addresses that accepts; all of them share one time-out."""
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure: OSError = socket.gaierror("no address is allowed")
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            if self._is_plain and not ipaddress.ip_address(address[0]).is_loopback:
                continue
            connection = make(family, kind, protocol)
            try:
                for option in self._http.socket_options or ():
                    connection.setsockopt(*option)
                self._watch(connection)
                connection.settimeout(self._deadline.remaining() / (len(addresses) - number))
                connect(connection, address)
                connection.settimeout(self._deadline.remaining())
            except OSError as error:
                failure = error
                connection.close()
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise failure

    def _bounded_response(self, connection: Any, *args: Any, **options: Any) -> http.client.HTTPResponse:
        reader: Any = BoundedReader(connection, self._deadline, self._largest)
        return http.client.HTTPResponse(reader, *args, **options)


def _close_interrupted_handshake(error: BaseException) -> None:
    """Close the TLS socket whose handshake ended with this error.

    Python's `ssl` closes it only after an OSError. After an interrupt, only the frame of its constructor holds it.
    """
    constructor: Any = ssl.SSLSocket
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is constructor._create.__code__:
            with suppress(Exception):  # it may not be there yet
                frame.f_locals["self"].close()


def _is_closed(connection: Any) -> bool:
    """Return whether the server has closed the connection, or sent data before any request."""
    connection.settimeout(0)
    try:
        connection.recv(1)
    # TLS 1.3 sends session tickets, so a readable socket may still be open. pyOpenSSL's sockets raise TimeoutError.
    except (BlockingIOError, ssl.SSLWantReadError, TimeoutError):
        return False
    except OSError:
        return True
    return True
