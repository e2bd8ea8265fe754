"""The door of an API server in a thread of the tests' own process, so that what they patch holds behind it, and a wire
to it that can be cut and stalled."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from airflow_provider_dialogtech.api_server.door import JournalDoor, create_app
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.door.client import Door, DoorBackend
from airflow_provider_dialogtech.door.protocol import PATH
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.journal.timing import Timing

TOKEN = "token-of-the-tests"
RETENTION = 86400.0


class UrlBehindDoor(str):
    """A database's URL; a `Store` of it asks the door, whereas a person with a database client goes past it."""

    door: Door

    @property
    def advice(self) -> str:
        return self.door.advice

    def open(self, clock: Clock, timing: Timing, *, timeout: float) -> DoorBackend:
        return self.door.open(clock, timing, timeout=timeout)


class DoorServer:
    """A door on loopback.

    :param url: its API server's URL.
    """

    def __init__(self) -> None:
        self.url = ""
        self.airflow = FastAPI()
        self.token = TOKEN
        self.journal = JournalDoor(lambda: self.store, lambda: self.token, lambda: RETENTION)
        self.store: Store | None = None

    def to(self, store_url: str) -> UrlBehindDoor:
        """Let the door lead to a database."""
        self.store = Store(store_url, patience=20)
        self.journal._store = None
        url = UrlBehindDoor(store_url)
        url.door = Door(self.url, lambda is_newest: TOKEN)
        return url


@contextmanager
def running_door(scheme: str = "http", **options: Any) -> Iterator[DoorServer]:
    server = DoorServer()
    server.airflow.mount(PATH, create_app(server.journal))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server.url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
        running = uvicorn.Server(uvicorn.Config(server.airflow, log_level="warning", lifespan="off", **options))
        thread = threading.Thread(target=running.run, args=([listening],), daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield server
        running.should_exit = running.force_exit = True
        thread.join(10)


class Wire:
    """A TCP proxy to a server, which fails as a network does.

    :param url: the server's URL.
    """

    def __init__(self, url: str) -> None:
        self._target = (urlsplit(url).hostname, urlsplit(url).port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.replies_to_lose = 0
        self.accepted = 0
        self.is_proxy = False
        self._flows = threading.Event()
        self._flows.set()
        self._is_refused = self._is_closed = False
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Pass nothing on."""
        self._flows.clear()

    def resume(self) -> None:
        self._flows.set()

    def kill(self) -> None:
        """Cut what stands, and what comes."""
        self._is_refused = True
        for end in list(self._open):
            _cut(end)

    def revive(self) -> None:
        self._is_refused = False

    def close(self) -> None:
        self._is_closed = True
        self.kill()
        self.resume()
        _cut(self._listening)

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._is_closed:
                client, _ = self._listening.accept()
                self.accepted += 1
                if self._is_refused:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                if self.is_proxy:
                    client.recv(65536)  # CONNECT
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_reply: bool) -> None:
        self._open |= {source}
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                if is_reply and self.replies_to_lose:
                    self.replies_to_lose -= 1
                    break
                target.sendall(data)
        self._open -= {source}
        _cut(source)
        _cut(target)


def _cut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    with closing(Wire(url)) as wire:
        yield wire
