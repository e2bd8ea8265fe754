"""Cuts connections to a PostgreSQL that does not answer: its drivers wait for an answer without end."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from airflow_provider_dialogtech.delivery.faults import StoreAway


class Watch:
    """The connections of one piece of work, and when its time is over.

    :param until: when that is, on the monotonic clock.
    """

    def __init__(self, until: float) -> None:
        self.until = until
        self.was_cut = False
        self._handles: list[socket.socket] = []

    def add(self, descriptor: int) -> None:
        """Watch a connection, too.

        :param descriptor: the file descriptor of its socket.
        """
        # A second handle: the driver may close its own meanwhile, and its number may be another connection's by then.
        self._handles.append(socket.socket(fileno=os.dup(descriptor)))
        if self.was_cut:
            self.cut()

    @property
    def left(self) -> float:
        """How many seconds are left."""
        return max(0.0, self.until - time.monotonic())

    def cut(self) -> None:
        self.was_cut = True
        for handle in tuple(self._handles):
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for handle in self._handles:
            handle.close()


class Watchdog:
    """Watches connections from one thread of its own, which is started with the first of them."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, seconds: float) -> Iterator[Watch]:
        """Cut the watch's connections when the block takes too long; whoever waits in it for an answer is woken so.

        :param seconds: how long the block may take.
        :raises StoreAway: when they were cut, in place of the driver's error.
        """
        watch = Watch(time.monotonic() + seconds)
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="dialogtech-journal-watchdog", daemon=True)
                self._thread.start()
            elif len(self._watches) == 1:
                self._changed.notify()
        try:
            yield watch
        except Exception:
            if not watch.was_cut:
                raise
        else:
            return
        finally:
            with self._changed:
                self._watches.discard(watch)
            watch.close()
        raise StoreAway(f"it did not answer for {seconds:.1f} s")

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for watch in [watch for watch in self._watches if watch.until <= now]:
                    self._watches.discard(watch)
                    watch.cut()
                nearest = min((watch.until for watch in self._watches), default=None)
                # Also where another piece of work has less time, it is seen in a second at the latest.
                self._changed.wait(None if nearest is None else min(nearest - now, 1.0))
