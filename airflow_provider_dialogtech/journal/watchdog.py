"""Cuts the connections of work that takes too long: a peer that sends a byte now and then never exceeds a socket's own
timeout."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from airflow_provider_dialogtech.journal.errors import StoreAway


class Watch:
    """The connections of one piece of work, and when its time is over.

    :param until: when that is, on the monotonic clock.
    """

    def __init__(self, until: float) -> None:
        self.until = until
        self.was_cut = False
        self._handles: list[socket.socket] = []
        self._changing = threading.Lock()

    def add(self, descriptor: int) -> None:
        """Also watch this connection.

        :param descriptor: the file descriptor of its socket.
        """
        # A second handle: the driver may close its own meanwhile, and its number may be another connection's by then.
        handle = socket.socket(fileno=os.dup(descriptor))
        with self._changing:
            self._handles.append(handle)
        if self.was_cut:
            self.cut()

    @property
    def remaining(self) -> float:
        """How many seconds remain."""
        return max(0.0, self.until - time.monotonic())

    def cut(self) -> None:
        """Cut the connections; a thread that waits in one of them for an answer is woken."""
        self.was_cut = True
        with self._changing:
            for handle in self._handles:
                with suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the handles back; the connections stay open."""
        with self._changing:
            for handle in self._handles:
                handle.close()


@contextmanager
def watching(seconds: float) -> Iterator[Watch]:
    """Cut the watch's connections when the block takes too long. The thread that does it ends with the block.

    :param seconds: how long the block may take.
    :raises StoreAway: when they were cut, in place of the driver's error.
    """
    watch = Watch(time.monotonic() + seconds)
    timer = threading.Timer(seconds, watch.cut)
    timer.name, timer.daemon = "dialogtech-journal-watchdog", True
    timer.start()
    try:
        yield watch
    except Exception:
        if not watch.was_cut:
            raise
    else:
        return
    finally:
        timer.cancel()
        watch.close()
    raise StoreAway(f"it did not answer for {seconds:.1f} s")
