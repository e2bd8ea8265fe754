"""A reply as HTTP brought it: how long it may take, how many bytes it may have, and what is read of it."""

from __future__ import annotations

import http.client
import io
import time
from dataclasses import dataclass, field
from http import HTTPStatus
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

    def remaining(self) -> float:
        """Return the seconds that are left, always more than 0.

        :raises TimeoutError: when it is over.
        """
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining


class BoundedReader(io.RawIOBase):
    """Reads from a socket until a deadline, and no more than a reply may have. A socket's own time-out bounds one read.

    :param connection: the socket.
    :param deadline: when reading ends.
    :param largest: how many bytes may come.
    """

    def __init__(self, connection: Any, deadline: CallDeadline, largest: int = LARGEST_REPLY) -> None:
        self._connection = connection
        self._deadline = deadline
        self._remaining = largest
        # It keeps the socket open: on `Connection: close`, http.client closes its own before the body is read.
        self._raw = connection.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        """Stand in for the socket, from which http.client reads through a file."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.remaining())
        count = self._raw.readinto(buffer) or 0
        self._remaining -= count
        if self._remaining < 0:
            raise TooLarge
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


@dataclass(frozen=True)
class RawReply:
    """A reply as it came.

    :param status: the HTTP status.
    :param retry_after: the header of that name; empty when there is none.
    :param body: the body; of a status with which it says nothing, it is not even read.
    """

    status: int
    retry_after: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)


def is_refusal(status: int) -> bool:
    """Return whether a status means that the API refused. A server's own time-out may come after it took a text."""
    client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return client_error and status != HTTPStatus.REQUEST_TIMEOUT


def read(response: http.client.HTTPResponse, largest: int = LARGEST_REPLY) -> RawReply:
    """Read a reply: of a redirect, or of a server's own failure, not a byte of the body.

    :param response: the response.
    :param largest: how many bytes the body may have.
    :raises Exception: whatever reading from a socket, or what came, may raise.
    """
    return RawReply(response.status, response.headers.get("Retry-After") or "", _body(response, largest))


def _body(response: http.client.HTTPResponse, largest: int) -> bytes:
    if is_refusal(response.status):
        try:
            return _whole_body(response, largest)
        except (OSError, http.client.HTTPException, TooLarge):
            return b""  # the status alone says that it refused
    return _whole_body(response, largest) if response.status == HTTPStatus.OK else b""


def _whole_body(response: http.client.HTTPResponse, largest: int) -> bytes:
    body = response.read(largest + 1)
    if response.length:  # http.client tells that one ends early only to who reads it without a bound
        raise http.client.IncompleteRead(b"")
    return body
