"""Threads of the page and the door, for work that may wait.

Such work does not run in the 40 threads that the API server's routes share, which also serve the heartbeats of tasks: a
slow journal, secrets backend or DialogTech would occupy them all.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

import anyio
from anyio import to_thread

P = ParamSpec("P")
T = TypeVar("T")


class Busy(Exception):
    """No thread is free, or the work took too long. Its words are for the user."""


class Threads:
    """A few threads, for which requests wait a short time.

    :param most: the number of threads.
    :param patience: for how many seconds a request waits for one.
    """

    def __init__(self, most: int, patience: float) -> None:
        self._free = anyio.CapacityLimiter(most)
        self._patience = patience

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work that has a deadline of its own, and return its result.

        :raises Busy: when no thread was free in time.
        """
        done: list[T] = []
        # Work that has begun is not cancelled: only the wait for a thread is bounded here.
        with anyio.move_on_after(self._patience):
            done.append(await to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self._free))
        if not done:
            raise Busy("The page has too many requests to answer at once. Try again in a few seconds.")
        return done[0]


class LookUps:
    """Threads for work without a deadline of its own: it is abandoned, and holds its thread until it ends.

    :param most: how much of it may run at a time.
    :param deadline: after how many seconds it is abandoned.
    """

    def __init__(self, most: int, deadline: float) -> None:
        self._most = most
        self._free = threading.BoundedSemaphore(most)
        self._deadline = deadline

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work, and return its result.

        :raises Busy: when no thread is free, or the work takes too long.
        """
        if not self._free.acquire(blocking=False):
            raise Busy(f"{self._most} look-ups are running, and no more may run at a time. Try again in a few seconds.")
        answer = in_thread(lambda: work(*args, **kwargs), self._free.release)
        if not await ends(answer, self._deadline):
            raise Busy(
                f"The look-up took longer than {self._deadline:g} s. This says nothing about the message. Run "
                "`messages look-up`, which waits longer, or look in DialogTech's message log."
            )
        return answer.result()


def in_thread(work: Callable[[], T], finally_: Callable[[], object] = lambda: None) -> Future[T]:
    """Start work in a thread that no shutdown waits for.

    :param work: the work.
    :param finally_: called when it has ended.
    """
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # so that a request that is gone does not cancel it

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            finally_()
            answer.set_exception(error)
        else:
            finally_()
            answer.set_result(result)

    threading.Thread(target=run, name="dialogtech-request", daemon=True).start()
    return answer


async def ends(answer: Future[T], within: float) -> bool:
    """Wait for a thread's answer, and return whether it came.

    :param answer: the answer, which the thread goes on to give.
    :param within: the longest wait, in seconds.
    """
    waited = asyncio.wrap_future(answer)
    waited.add_done_callback(lambda late: late.cancelled() or late.exception())  # read, so that asyncio does not log it
    done, _ = await asyncio.wait([waited], timeout=within)
    return bool(done)
