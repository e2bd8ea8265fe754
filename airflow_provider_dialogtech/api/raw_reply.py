"""Reads an HTTP reply within bounds of time and size."""

from __future__ import annotations

import http.client
import io
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

LARGEST_REPLY = 64 * 1024
"""Largest accepted reply (status line, headers and body), in bytes. The documented reply has about 250."""

# In bytes. By default it is 128 KiB from Python 3.14 on.
_BUFFER = 8 * 1024


class TooLarge(Exception):
    """The reply is larger than allowed."""


class CallDeadline:
    """When one call of the API must have ended."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the remaining seconds, always more than 0.

        :raises TimeoutError: when the deadline has passed.
        """
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining


class BoundedReader(io.RawIOBase):
    """Reads from a socket up to a deadline and a size. A socket's own time-out would bound only a single read."""

    def __init__(self, connection: Any, deadline: CallDeadline, largest: int = LARGEST_REPLY) -> None:
        self._connection = connection
        self._deadline = deadline
        self._remaining = largest
        # This file keeps the socket open: on `Connection: close`, http.client closes its own before it reads the body.
        self._raw = connection.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        """Return the file through which http.client reads from a socket."""
        # Much smaller than the largest reply: reading the status must not read a large body as well.
        return io.BufferedReader(self, _BUFFER)

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
    """An HTTP reply before it is parsed.

    :param retry_after: the Retry-After header; empty without one.
    :param body: the body; empty for a redirect or a server error, whose body is not read.
    """

    status: int
    retry_after: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)


def is_refusal(status: int) -> bool:
    """Return whether a status is a refusal. 408 is not: the server may have accepted the message before it."""
    client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return client_error and status != HTTPStatus.REQUEST_TIMEOUT


def read(response: http.client.HTTPResponse, largest: int = LARGEST_REPLY) -> RawReply:
    """Read a reply; for a redirect or a server error, without its body.

    :param largest: the largest accepted body, in bytes.
    :raises Exception: any error of the socket or of http.client.
    """
    return RawReply(response.status, response.headers.get("Retry-After") or "", _body(response, largest))


def _body(response: http.client.HTTPResponse, largest: int) -> bytes:
    if is_refusal(response.status):
        try:
            return _whole_body(response, largest)
        except (OSError, http.client.HTTPException, TooLarge):
            return b""  # the status alone is a refusal
    return _whole_body(response, largest) if response.status == HTTPStatus.OK else b""


def _whole_body(response: http.client.HTTPResponse, largest: int) -> bytes:
    body = response.read(largest + 1)
    if response.length:  # http.client raises this itself only for reads without a size
        raise http.client.IncompleteRead(b"")
    return body
