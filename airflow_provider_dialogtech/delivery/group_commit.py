"""One commit for all the threads of a process that wait for the same file: on a slow disk, commits are scarce."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar, cast

from sqlalchemy.engine import Connection

from airflow_provider_dialogtech.delivery.faults import StoreAway

T = TypeVar("T")

_STOPPED = "the thread that wrote to the file was stopped"


class GroupCommit:
    """Runs the work of several threads in one transaction: whoever gets the file does it for all who wait by then.

    Nobody gets an answer before the commit. Work that fails is undone by itself and fails for its thread alone; where
    the transaction fails, all of its work does.

    :param transaction: opens a transaction within so many seconds, and commits it at the end of its block.
    """

    def __init__(self, transaction: Callable[[float], AbstractContextManager[Connection]]) -> None:
        self._transaction = transaction
        self._changed = threading.Condition()
        self._waiting: list[Work[Any]] = []
        self._committing: Work[Any] | None = None

    @property
    def waiting(self) -> int:
        """How many threads wait for a commit that has not begun."""
        return len(self._waiting)

    def run(self, work: Callable[[Connection], T], *, within: float, is_urgent: bool) -> T:
        """Do some work and commit it, alone or together with that of others.

        :param work: what to do with the connection; it may run in another thread.
        :param within: how many seconds that may take.
        :param is_urgent: whether it goes before what is not.
        :raises StoreAway: when its time is over. Then it is not done, or is being committed at this moment.
        """
        ours = Work(work, is_urgent)
        until = time.monotonic() + within
        try:
            with self._changed:
                self._waiting.append(ours)
            while self._wait_for_turn(ours, until):
                self._commit_for_all(max(0.0, until - time.monotonic()))
        finally:
            self._leave(ours)
        return ours.result()

    def _wait_for_turn(self, ours: Work[Any], until: float) -> bool:
        """Wait until another thread has done our work, or until it is our turn to commit; return whether it is."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: ours.is_over or self._committing is None, max(0.0, until - time.monotonic())
            ):
                raise StoreAway("the file is locked")
            if ours.is_over:
                return False
            if ours not in self._waiting:
                raise StoreAway(_STOPPED)
            self._committing = ours
            return True

    def _leave(self, ours: Work[Any]) -> None:
        """Let others go on, wherever this thread was stopped: Airflow 2 ends a task by an exception at any moment."""
        with self._changed:
            if ours in self._waiting:
                self._waiting.remove(ours)
            if self._committing is ours:
                self._committing = None
                self._changed.notify_all()

    def _commit_for_all(self, within: float) -> None:
        done: list[Work[Any]] = []
        error: BaseException | None = None
        try:
            with self._transaction(within) as connection:
                while work := self._next():
                    done.append(work)
                    work.run(connection)
        except BaseException as caught:
            error = caught
            raise
        finally:
            for work in done:
                work.end(error)

    def _next(self) -> Work[Any] | None:
        with self._changed:
            if not self._waiting:
                return None
            first = min(self._waiting, key=lambda work: not work.is_urgent)
            self._waiting.remove(first)
            return first


class Work(Generic[T]):
    """What one thread waits for, and what came of it.

    :param work: what to do with the connection.
    :param is_urgent: whether it goes before what is not.
    """

    def __init__(self, work: Callable[[Connection], T], is_urgent: bool) -> None:
        self.is_urgent = is_urgent
        self.is_over = False
        self._work = work
        self._answer: T | None = None
        self._error: Exception | None = None

    def run(self, connection: Connection) -> None:
        connection.exec_driver_sql("SAVEPOINT work")
        try:
            self._answer = self._work(connection)
        except Exception as error:
            self._error = error
            connection.exec_driver_sql("ROLLBACK TO work")
        connection.exec_driver_sql("RELEASE work")

    def end(self, error: BaseException | None) -> None:
        """Let the thread go on that waits for it.

        :param error: why the transaction failed, if it did.
        """
        if isinstance(error, Exception):
            self._error = self._error or error
        elif error is not None:
            self._error = StoreAway(_STOPPED)
        self.is_over = True

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return cast(T, self._answer)
