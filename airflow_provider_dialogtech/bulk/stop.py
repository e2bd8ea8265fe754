"""How the sending of a list is stopped."""

from __future__ import annotations

import threading


class ListFailed(Exception):
    """A list has come to its end, and not everybody on it got their message.

    :param message: how it ended, in words that stand before those of the report.
    :param final: whether a retry by Airflow would be in vain.
    """

    def __init__(self, message: str = "", *, final: bool) -> None:
        super().__init__(message)
        self.final = final


class Stopped(ListFailed):
    """The sending was stopped. What has not left by then is not sent, and its slot is free again."""

    def __init__(self) -> None:
        super().__init__("Stopped. ", final=False)


class Stop:
    """Ends the sending of a list when it is set: by another thread, or by a signal handler.

    Nothing in the main thread waits for it: a signal handler that interrupts such a wait could not set it.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Let no more messages leave."""
        self._event.set()

    def check(self) -> None:
        """Do nothing, unless it is set.

        :raises Stopped: when it is.
        """
        if self._event.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Sleep. Every wait of the messages under way is one of these.

        :raises Stopped: as soon as it is set.
        """
        if self._event.wait(seconds):
            raise Stopped
