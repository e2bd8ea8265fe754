"""The bounds of a call: how long it may take, and how many bytes may come back."""

from __future__ import annotations

import io
import time
from typing import Any

LARGEST_REPLY = 64 * 1024
"""Status line, headers and body together, in bytes. The documented reply has some 250."""


class TooLarge(Exception):
    """More came than a reply may have."""


class CallDeadline:
    """The end of the time that one call of the API may take.

    :param seconds: how far away it is.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, always more than 0.

        :raises TimeoutError: when it is over.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class BoundedReader(io.RawIOBase):
    """Reads from a socket until a deadline, and no more than a reply may have. A socket's own time-out bounds one read.

    :param connection: the socket.
    :param deadline: when reading ends.
    :param largest: how many bytes may come.
    """

    def __init__(self, connection: Any, deadline: CallDeadline, largest: int = LARGEST_REPLY) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = largest
        # It keeps the socket open: on `Connection: close`, http.client closes its own before the body is read.
        self._raw = connection.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        """Stand in for the socket, from which http.client reads through a file."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.left())
        count = self._raw.readinto(buffer) or 0
        self._left -= count
        if self._left < 0:
            raise TooLarge
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
