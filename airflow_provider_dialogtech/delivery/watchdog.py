"""Cuts connections to a PostgreSQL that does not answer: its drivers wait for an answer without end."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Watchdog:
    """Watches connections from one thread of its own, which is started with the first of them."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[float, socket.socket]] = {}
        self._changed = threading.Condition()
        self._ids = itertools.count()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, descriptor: int, seconds: float) -> Iterator[None]:
        """Cut the connection when the block takes too long; whoever waits in it for an answer then gets an error.

        :param descriptor: the file descriptor of the connection's socket.
        :param seconds: how long the block may take.
        """
        # A second handle: the driver may close its own meanwhile, and its number may be another connection's by then.
        handle = socket.socket(fileno=os.dup(descriptor))
        id_ = next(self._ids)
        with self._changed:
            self._watched[id_] = (time.monotonic() + seconds, handle)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="dialogtech-journal-watchdog", daemon=True)
                self._thread.start()
            elif len(self._watched) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._watched.pop(id_, None)
            handle.close()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for id_, (until, handle) in list(self._watched.items()):
                    if until <= now:
                        del self._watched[id_]
                        with suppress(OSError):
                            handle.shutdown(socket.SHUT_RDWR)
                nearest = min((until for until, _ in self._watched.values()), default=None)
                # Also where another connection is watched for less time, it is seen in a second at the latest.
                self._changed.wait(None if nearest is None else min(max(nearest - now, 0.0), 1.0))
