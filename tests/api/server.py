"""A server on a real socket whose behaviour a test defines."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def failed(description: str) -> bytes:
    encoded = description.encode()
    return b"<response><result>failed</result><result_description>" + encoded + b"</result_description></response>"


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: text/xml", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Server:
    """Serves each connection in a thread of its own with `behave(connection, server)`."""

    def __init__(self, behave: Callable[[socket.socket, Server], None], tls: ssl.SSLContext | None = None) -> None:
        self._behave = behave
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/ibp_api.php"

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self.over.set()
        # Closing the socket does not wake a thread that accepts on it; a shutdown does.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._behave(connection, self)


@contextmanager
def serving(behave: Callable[[socket.socket, Server], None], tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(behave, tls)
    threading.Thread(target=server.accept, daemon=True).start()
    try:
        yield server
    finally:
        server.close()


def read_request(connection: socket.socket, server: Server) -> bytes:
    """Read a whole request, head and body."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            return received
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65536)
    whole = head + b"\r\n\r\n" + body
    server.requests.append(whole)
    return whole


def answering(answer: bytes) -> Callable[[socket.socket, Server], None]:
    def behave(connection: socket.socket, server: Server) -> None:
        read_request(connection, server)
        connection.sendall(answer)

    return behave


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset_after_request(connection: socket.socket, server: Server) -> None:
    read_request(connection, server)
    reset(connection)


def close_after_request(connection: socket.socket, server: Server) -> None:
    read_request(connection, server)


def say_nothing(connection: socket.socket, server: Server) -> None:
    read_request(connection, server)
    server.over.wait(30)


def dripping(head: bytes, drop: bytes, every: float = 0.1) -> Callable[[socket.socket, Server], None]:
    """Send a beginning, then a drop at intervals, without end."""

    def behave(connection: socket.socket, server: Server) -> None:
        read_request(connection, server)
        connection.sendall(head)
        while not server.over.is_set():
            connection.sendall(drop)
            time.sleep(every)

    return behave


def flooding(megabytes: int) -> Callable[[socket.socket, Server], None]:
    def behave(connection: socket.socket, server: Server) -> None:
        read_request(connection, server)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {megabytes << 20}\r\n\r\n".encode())
        for _ in range(megabytes):
            connection.sendall(b"x" * (1 << 20))

    return behave
