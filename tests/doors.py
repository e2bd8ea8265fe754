"""The door of an API server, in a thread of the tests' own process: what they change in the planner holds there, too."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.door.client import Door, DoorBackend
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.journal.timing import Timing

TOKEN = "token-of-the-tests"


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
        self.store: Store | None = None
        self.token = TOKEN
        self.journal = None

    def to(self, store_url: str) -> UrlBehindDoor:
        """Let the door lead to a database."""
        self.store = Store(store_url, patience=20)
        self.journal._store = None
        url = UrlBehindDoor(store_url)
        url.door = Door(self.url, lambda is_newest: TOKEN)
        return url

    def app(self):
        """Return the real routes."""
        from airflow_provider_dialogtech.api_server.door import JournalDoor, create_app

        self.journal = JournalDoor(lambda: self.store, lambda: self.token, lambda: 90 * 86400.0)
        return create_app(self.journal)


@contextmanager
def running_door() -> Iterator[DoorServer]:
    import uvicorn
    from fastapi import FastAPI

    server = DoorServer()
    airflow = FastAPI()
    airflow.mount("/dialogtech/journal", server.app())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        running = uvicorn.Server(uvicorn.Config(airflow, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=running.run, args=([listening],), daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield server
        running.should_exit = True
        thread.join(10)
