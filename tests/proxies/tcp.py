"""A PostgreSQL some way off: a proxy that delays, counts, stalls, refuses and cuts.

with running_proxy(postgres_url, delay=0.025) as proxy:
    Store(proxy.url)
    proxy.counts().round_trips
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import make_url
from sqlalchemy.engine.url import URL

from tests.proxies.cutting import Cut
from tests.proxies.process import Remote, running
from tests.proxies.relay import Counts, Relay, Target

__all__ = ["Counts", "TcpProxy", "address_of", "running_proxy", "url_to"]

_PORT = 5432


class TcpProxy:
    """Steers the proxy.

    :param url: the SQLAlchemy URL that leads to the same database, through the proxy.
    """

    def __init__(self, remote: Remote, url: str, port: int) -> None:
        self._remote = remote
        self.url = url
        self.port = port

    def to(self, store_url: str) -> TcpProxy:
        """Return how the same proxy leads to another database of its server."""
        return TcpProxy(self._remote, url_to(store_url, self.port), self.port)

    def calm(self) -> None:
        """Do nothing to anybody any more, and forget all connections and counts."""
        self.set_delay(0)
        self.keep_commits()
        self.accept()
        self.resume()
        self.cut_all()
        self.reset_counts()

    def set_delay(self, delay: float, *, back: float | None = None) -> None:
        """Let every byte take so many seconds each way: half the round trip.

        :param back: how many it takes from the server; by default as many.
        """
        self._remote.call("set_delay", delay, back)

    def counts(self) -> Counts:
        """Return round trips, connections and commits since `reset_counts`."""
        counts: Counts = self._remote.call("counts")
        return counts

    def reset_counts(self) -> None:
        self._remote.call("reset_counts")

    def stall(self) -> None:
        """Accept connections and bytes, but pass nothing on, not even an end."""
        self._remote.call("stall")

    def resume(self) -> None:
        self._remote.call("resume")

    def refuse(self) -> None:
        """Refuse new connections; those that stand go on."""
        self._remote.call("refuse")

    def accept(self) -> None:
        self._remote.call("accept")

    def cut_all(self) -> None:
        """Drop every connection that stands."""
        self._remote.call("cut_all")

    def cut_after_commit(
        self, *, every: int = 1, probability: float = 1.0, only: str = "", times: int | None = None, seed: int = 0
    ) -> None:
        """Drop connections after the server has committed and before the client hears of it.

        :param every: each so-manieth of the commits that `only` chooses.
        :param probability: at random, with so much probability.
        :param only: only those with this in the message of their transaction, or in a message bound to it.
        :param times: at most so often.
        :param seed: of the random choice.
        """
        self._remote.call("cut_after_commit", Cut(every, probability, only, times, seed))

    def keep_commits(self) -> None:
        """Lose no answer any more."""
        self._remote.call("cut_after_commit", None)


@contextmanager
def running_proxy(store_url: str, *, delay: float = 0.0) -> Iterator[TcpProxy]:
    """Run a proxy in front of a PostgreSQL, in a process of its own.

    :param store_url: the SQLAlchemy URL of the PostgreSQL; it may listen at a Unix socket.
    :param delay: seconds that every byte takes each way.
    """
    with running(Relay, address_of(store_url), delay) as remote:
        yield TcpProxy(remote, url_to(store_url, remote.started), remote.started)


def address_of(store_url: str) -> Target:
    """Return where a PostgreSQL listens: the path of its Unix socket, or host and port."""
    url = make_url(store_url)
    host = url.query.get("host", url.host or "127.0.0.1")
    port = int(str(url.query.get("port", url.port or _PORT)))
    if not isinstance(host, str):
        raise TypeError("The test tools take a URL with one host.")
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


def url_to(store_url: str, port: int) -> str:
    """Return the URL of the same database at a port of this machine."""
    url = make_url(store_url)
    query = {name: value for name, value in url.query.items() if name not in {"host", "port"}} | {"sslmode": "disable"}
    through = URL.create(url.drivername, url.username, url.password, "127.0.0.1", port, url.database, query)
    return through.render_as_string(hide_password=False)
