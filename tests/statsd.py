"""A StatsD server of this machine, which keeps what it hears."""

import socket
import threading
import uuid

_LONGEST_WAIT = 60.0


class StatsD:
    """Listens as long as this process runs."""

    def __init__(self) -> None:
        self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.bind(("127.0.0.1", 0))
        self._lines: list[str] = []
        self._news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of an Airflow that sends its metrics here."""
        host, port = self._server.getsockname()
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": host,
            "AIRFLOW__METRICS__STATSD_PORT": str(port),
        }

    def heard(self) -> dict[str, list[str]]:
        """Return the values that were sent since the last call, by metric."""
        end = f"end.{uuid.uuid4().hex}:1|c"
        # On one machine, it arrives after what was sent before.
        self._server.sendto(end.encode(), self._server.getsockname())
        with self._news:
            assert self._news.wait_for(lambda: end in self._lines, _LONGEST_WAIT)
            at = self._lines.index(end)
            lines, self._lines[: at + 1] = self._lines[:at], []
        heard: dict[str, list[str]] = {}
        for line in lines:
            name, value = line.split(":", 1)
            heard.setdefault(name, []).append(value)
        return heard

    def _listen(self) -> None:
        while True:
            received = self._server.recv(65536).decode().splitlines()
            with self._news:
                self._lines += received
                self._news.notify_all()
