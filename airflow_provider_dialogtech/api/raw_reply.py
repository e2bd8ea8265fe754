"""A reply as HTTP brought it, with as much of it as anybody asks for."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from http import HTTPStatus

from airflow_provider_dialogtech.api.bounds import LARGEST_REPLY, TooLarge


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
