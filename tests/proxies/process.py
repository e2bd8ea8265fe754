"""A program of its own process that a test steers: it keeps its times even while the test's process is busy."""

from __future__ import annotations

import asyncio
import multiprocessing
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Protocol

ANSWER_SECONDS = 20.0


class Program(Protocol):
    """What runs in the other process; its methods can be called from here."""

    async def start(self) -> Any:
        """Begin to serve; tell the address, say."""


class Remote:
    """Calls the methods of a program in another process.

    :param started: what its `start` returned.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._one_call = threading.Lock()
        self.started: Any = self._answer()

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        with self._one_call:
            self._pipe.send((method, args, options))
            return self._answer()

    def _answer(self) -> Any:
        if not self._pipe.poll(ANSWER_SECONDS):
            raise TimeoutError("The process of the test tool does not answer.")
        done, value = self._pipe.recv()
        if done:
            return value
        raise RuntimeError(value)


@contextmanager
def running(program: type[Program], *args: Any) -> Iterator[Remote]:
    """Run `program(*args)` in a process that ends with the block, or with this process."""
    with piped(_run, program, args) as pipe:
        yield Remote(pipe)


@contextmanager
def piped(target: Callable[..., None], *args: Any) -> Iterator[Connection]:
    """Run `target(*args, pipe)` in a process that ends with the block; give the pipe's other end."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=target, args=(*args, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join(2)
        if process.is_alive():
            process.kill()
            process.join()


def _run(program: type[Program], args: tuple[Any, ...], pipe: Connection) -> None:
    # `select` waits to the microsecond; `epoll` rounds every wait up to a whole millisecond.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        loop.run_until_complete(_serve(program(*args), pipe))
    finally:
        loop.run_until_complete(_end_all())
        loop.close()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(program: Program, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    answering: set[asyncio.Task[None]] = set()

    def take_one_call() -> None:
        try:
            method, args, options = pipe.recv()
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            ended.set()
            return
        task = loop.create_task(answer(method, args, options))
        answering.add(task)
        task.add_done_callback(answering.discard)

    async def answer(method: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        try:
            done = getattr(program, method)(*args, **options)
            reply = (True, await done if asyncio.iscoroutine(done) else done)
        except Exception as error:  # the caller is told
            reply = (False, repr(error))
        pipe.send(reply)

    pipe.send((True, await program.start()))
    loop.add_reader(pipe.fileno(), take_one_call)
    await ended.wait()
