"""When a request came in, and on which connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from dataclasses import dataclass
from typing import cast

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol


@dataclass(frozen=True)
class Receipt:
    """What is known of a request before it is read.

    :param at: when its bytes came in, in seconds since 1970.
    :param monotonic: the same on a clock that nobody can set.
    :param transport: the connection.
    """

    at: float
    monotonic: float
    transport: asyncio.Transport


class ArrivalProtocol(H11Protocol):
    """Reads the clocks when the bytes come in, before anything is done with them."""

    def data_received(self, data: bytes) -> None:
        # uvicorn copies this into the scope of a request that begins now.
        self.app_state = {**self.app_state, "receipt": Receipt(time.time(), time.monotonic(), self.transport)}
        super().data_received(data)


def receipt_of(request: Request) -> Receipt:
    """Return when this request came in."""
    return cast(Receipt, request.state.receipt)


def reset(request: Request) -> None:
    """Close the connection of this request by a TCP reset."""
    transport = receipt_of(request).transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def until_it_is_gone(request: Request) -> None:
    """Wait until the client has closed the connection; if the sandbox stops before, close it without an answer."""
    try:
        while (await request.receive())["type"] != "http.disconnect":
            pass
    finally:
        receipt_of(request).transport.abort()
