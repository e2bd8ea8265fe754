"""The journal's door of a real API server, some way off, beside users who look at Airflow's pages."""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from airflow_provider_dialogtech.door.client import Door
from airflow_provider_dialogtech.journal.store import Store
from tests.proxies.process import running
from tools.airflow_home import AirflowHome

TOKEN = "token-of-the-benchmarks"
PAGES = (
    "/ui/dags?limit=50",
    "/api/v2/pools",
    "/api/v2/connections",
    "/ui/dashboard/dag_stats",
    "/api/v2/monitor/health",
)
USERS = 8


def store_at(url: str) -> Store:
    """Return the journal at a URL: that of a database, or of an API server."""
    return Store(Door(url, lambda _: TOKEN) if url.startswith("http") else url)


@contextmanager
def running_api_server(journal_url: str) -> Iterator[str]:
    """Run an API server whose door leads to a journal; give its URL."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dags").mkdir()
        settings = {
            "AIRFLOW__DIALOGTECH__JOURNAL_URL": journal_url,
            "AIRFLOW_CONN_DIALOGTECH_JOURNAL": json.dumps({"conn_type": "generic", "password": TOKEN}),
        }
        home = AirflowHome(Path(folder) / "home", Path(folder) / "dags", settings)
        try:
            home.airflow("db", "migrate")
            host, port = home.url.removeprefix("http://").split(":")
            # Not by `home.start`, which gives it a low priority.
            command = (sys.executable, "-m", "airflow", "api-server", "--host", host, "--port", port)
            home.processes.start("api-server", *command)
            home.processes.wait_until("the API server answers", home.api.answers, seconds=300)
            yield home.url
        finally:
            home.stop_all()


@contextmanager
def busy_ui(url: str, per_second: float) -> Iterator[None]:
    """Let users look at pages meanwhile."""
    spawn = multiprocessing.get_context("spawn")
    answered, begun = spawn.Value("i", 0), time.monotonic()
    process = spawn.Process(target=_look_at_pages, args=(url, per_second, answered), daemon=True)
    process.start()
    try:
        yield
    finally:
        print(f"The users got {answered.value / (time.monotonic() - begun):.0f} pages per second.", file=sys.stderr)
        process.kill()
        process.join()


def _look_at_pages(url: str, per_second: float, answered: Any) -> None:
    token = requests.get(f"{url}/auth/token", timeout=60).json()["access_token"]

    def look(user: int) -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {token}"
            begun = time.monotonic() + user / per_second
            for place in itertools.count():
                time.sleep(max(0.0, begun + place * USERS / per_second - time.monotonic()))
                session.get(url + PAGES[(user + place) % len(PAGES)], timeout=60).raise_for_status()
                with answered.get_lock():
                    answered.value += 1

    with ThreadPoolExecutor(USERS) as users:
        for ended in [users.submit(look, user) for user in range(USERS)]:
            ended.result()


class Distance:
    """Carries bytes to a server and back, each after its delay.

    :param port: the server's port on this machine.
    :param delay: seconds that every byte takes each way.
    """

    def __init__(self, port: int, delay: float) -> None:
        self._port = port
        self._delay = delay
        self._listener: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; tell the port."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._listener.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(
            self._carry(reader, server_writer), self._carry(server_reader, writer), return_exceptions=True
        )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(65536):
            loop.call_later(self._delay, writer.write, data)
        loop.call_later(self._delay, writer.close)


@contextmanager
def at_distance(url: str, round_trip: float) -> Iterator[str]:
    """Give the URL of a server on this machine as if it were some way off."""
    host, _, port = url.rpartition(":")
    with running(Distance, int(port), round_trip / 2) as distance:
        yield f"{host}:{distance.started}"
