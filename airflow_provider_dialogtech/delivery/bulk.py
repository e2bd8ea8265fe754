"""Many texts at once: requests overlap, so that the API's latency does not slow the line."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from airflow_provider_dialogtech.api.errors import DialogTechError
from airflow_provider_dialogtech.delivery.result import SendResult

T = TypeVar("T")

# How long requests that are out are given for their reply when all is to end; after that they are cut, and in doubt.
LAST_REPLIES = 2.5
LAST_RECORDS = 1.5


class Stopped(Exception):
    """The sending was stopped. What was not started is not sent, and its slot is free again."""


class BulkSender(Generic[T]):
    """Sends many texts in several threads.

    :param threads: how many may be under way at once.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._stop = threading.Event()
        self._outcomes: queue.SimpleQueue[tuple[T, SendResult | DialogTechError] | BaseException | None] = (
            queue.SimpleQueue()
        )

    def pause(self, seconds: float) -> None:
        """Sleep; every wait of the texts under way must be one of these.

        :raises Stopped: as soon as the sending is stopped.
        """
        if self._stop.wait(seconds):
            raise Stopped

    def stop(self) -> None:
        """Start no more texts, from any thread or signal handler."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def run(
        self, texts: Iterator[T], send: Callable[[T], SendResult], *, abort: Callable[[], None], tick: float
    ) -> Iterator[tuple[T, SendResult | DialogTechError] | None]:
        """Send all; yield each with what became of it, and None every `tick` seconds.

        However the caller leaves, nothing goes on afterwards.

        :param texts: the texts; they are asked for one at a time, and by one thread at a time.
        :param send: sends one; raises `DialogTechError` when it was not sent or is in doubt.
        :param abort: cuts the requests that are out.
        """
        lock = threading.Lock()
        workers = [
            threading.Thread(target=self._work, args=(texts, lock, send), name=f"dialogtech-{n}", daemon=True)
            for n in range(self._threads)
        ]
        for worker in workers:
            worker.start()
        try:
            yield from self._collect(len(workers), abort, tick)
        finally:
            self.stop()
            _join(workers, LAST_REPLIES)
            abort()
            _join(workers, LAST_RECORDS)

    def _work(self, texts: Iterator[T], lock: threading.Lock, send: Callable[[T], SendResult]) -> None:
        try:
            while not self._stop.is_set():
                with lock:
                    text = next(texts)
                try:
                    outcome: SendResult | DialogTechError = send(text)
                except DialogTechError as error:
                    outcome = error
                self._outcomes.put((text, outcome))
        except (StopIteration, Stopped):
            pass
        except BaseException as error:
            self._outcomes.put(error)
        finally:
            self._outcomes.put(None)

    def _collect(
        self, working: int, abort: Callable[[], None], tick: float
    ) -> Iterator[tuple[T, SendResult | DialogTechError] | None]:
        next_tick = time.monotonic() + tick
        cut: float | None = None
        while working:
            # Looked at often, since a stop may come from a signal handler that interrupts nothing.
            with suppress(queue.Empty):
                outcome = self._outcomes.get(timeout=0.2)
                if outcome is None:
                    working -= 1
                elif isinstance(outcome, BaseException):
                    raise outcome
                else:
                    yield outcome
            if self.stopped and cut is None:
                cut = time.monotonic() + LAST_REPLIES
            if cut is not None and time.monotonic() >= cut:
                abort()
            if time.monotonic() >= next_tick:
                next_tick += tick
                yield None


def _join(workers: list[threading.Thread], seconds: float) -> None:
    until = time.monotonic() + seconds
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
