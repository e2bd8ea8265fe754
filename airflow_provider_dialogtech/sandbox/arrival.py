"""When a request arrived, and on which connection."""

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
    """The arrival of a request.

    :param at: when its bytes arrived, in seconds since 1970.
    :param monotonic: the same time on the monotonic clock.
    :param transport: the connection.
    """

    at: float
    monotonic: float
    transport: asyncio.Transport


class ArrivalProtocol(H11Protocol):
    """Reads the clocks when the bytes arrive, before they are parsed."""

    def data_received(self, data: bytes) -> None:
        # uvicorn copies this state into the scope of a request that begins now.
        self.app_state = {**self.app_state, "receipt": Receipt(time.time(), time.monotonic(), self.transport)}
        super().data_received(data)


def receipt_of(request: Request) -> Receipt:
    """Return the arrival of this request."""
    return cast(Receipt, request.state.receipt)


def reset(request: Request) -> None:
    """Reset the TCP connection of this request."""
    transport = receipt_of(request).transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def until_disconnected(request: Request) -> None:
    """Wait until the client closes the connection; if the sandbox stops first, close it without an answer."""
    try:
        while (await request.receive())["type"] != "http.disconnect":
            pass
    finally:
        receipt_of(request).transport.abort()
