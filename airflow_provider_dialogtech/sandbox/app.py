"""The sandbox's HTTP side: the API's one URL, what a test may ask of it, and the inbox page."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_dialogtech.sandbox.faults import Fault, Faults
from airflow_provider_dialogtech.sandbox.vendor import Reply, Vendor

_PAGE = Path(__file__).with_name("inbox.html")
_FOR_EVER = 3600.0


@dataclass(frozen=True)
class _Receipt:
    """When the bytes of a request came in, and on which connection."""

    at: float
    monotonic: float
    transport: asyncio.Transport


_receipt: ContextVar[_Receipt] = ContextVar("receipt")


class ArrivalProtocol(H11Protocol):
    """Reads the clock when the bytes come in, before anything is done with them."""

    def data_received(self, data: bytes) -> None:
        _receipt.set(_Receipt(time.time(), time.monotonic(), self.transport))
        super().data_received(data)


class Sandbox:
    """A local DialogTech.

    :param vendor: judges the calls.
    :param latency: how many seconds every answer takes.
    """

    def __init__(self, vendor: Vendor, latency: float = 0.0) -> None:
        self._vendor = vendor
        self._latency = latency
        self._faults = Faults()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._inbox),
                Route("/ibp_api.php", self._call, methods=["GET", "POST"]),
                Route("/sandbox/messages", self._messages, methods=["GET"]),
                Route("/sandbox/messages", self._forget, methods=["DELETE"]),
                Route("/sandbox/faults", self._add_fault, methods=["POST"]),
                Route("/sandbox/faults", self._clear_faults, methods=["DELETE"]),
                Route("/sandbox/limits", self._limits),
                Route("/sandbox/health", self._health),
            ]
        )

    async def _call(self, request: Request) -> Response:
        receipt = _receipt.get()
        sent = request.scope["query_string"] if request.method == "GET" else await request.body()
        parameters = dict(parse_qsl(sent.decode("latin-1"), keep_blank_values=True, encoding="utf-8"))
        fault = self._faults.take(parameters) if parameters.get("action") == "sms.send_message" else None
        reply = self._vendor.receive(parameters, request.method, receipt.at, receipt.monotonic, fault)
        if self._latency:
            await asyncio.sleep(self._latency)
        return await _answer(reply, fault, receipt.transport)

    async def _inbox(self, _: Request) -> Response:
        return HTMLResponse(_PAGE.read_text(encoding="utf-8"))

    async def _messages(self, request: Request) -> Response:
        after = int(request.query_params.get("after", 0))
        return JSONResponse([arrival.as_json() for arrival in self._vendor.arrivals if arrival.id > after])

    async def _forget(self, _: Request) -> Response:
        self._vendor.forget()
        return JSONResponse({"forgotten": True})

    async def _add_fault(self, request: Request) -> Response:
        try:
            fault = Fault.of(await request.json())
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        self._faults.add(fault)
        return JSONResponse(asdict(fault))

    async def _clear_faults(self, _: Request) -> Response:
        self._faults.clear()
        return JSONResponse({"cleared": True})

    async def _limits(self, _: Request) -> Response:
        now = time.monotonic()
        accounts = [_use_of(account, now) for account in self._vendor.accounts.values()]
        return JSONResponse({"newest": self._vendor.newest, "accounts": accounts})

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"healthy": True})


async def _answer(reply: Reply, fault: Fault | None, transport: asyncio.Transport) -> Response:
    """Answer, or do to the answer what the fault says."""
    name = fault.fault if fault is not None else ""
    if fault is not None and name == "late":
        await asyncio.sleep(fault.seconds)
    elif name.startswith("hang_"):
        await asyncio.sleep(_FOR_EVER)
    elif name.startswith("reset_"):
        _reset(transport)
    elif fault is not None and name.startswith("error_"):
        return HTMLResponse("<html><body><h1>Bad Gateway</h1></body></html>", status_code=fault.status or 502)
    elif name == "garbage_after_accept":
        return HTMLResponse("<html><body>Down for maintenance</body></html>")
    elif name == "truncated_after_accept":
        return Response(reply.body[: len(reply.body) // 2], media_type="text/xml")
    return Response(reply.body, reply.status, reply.headers, media_type="text/xml")


def _reset(transport: asyncio.Transport) -> None:
    """Close a connection by a TCP reset."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _use_of(account: Any, now: float) -> dict[str, Any]:
    """Tell how much of its limits an account uses. Its keys are nobody's business."""
    return {
        "used_per_second": account.per_second.used(now),
        "limits": asdict(account.limits),
        "numbers": {
            number: {"used_per_second": second.used(now), "used_per_minute": minute.used(now)}
            for number in account.numbers
            for second, minute in [account.of_number[number]]
        },
    }
