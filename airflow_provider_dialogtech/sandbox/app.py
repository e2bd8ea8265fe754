"""The sandbox over HTTP: the API's URL, the test interface, the inbox page, and when each request arrived."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_dialogtech.sandbox.faults import Fault
from airflow_provider_dialogtech.sandbox.guard import Guard
from airflow_provider_dialogtech.sandbox.vendor import REMEMBERED, Account, Reply, Vendor

_INBOX = Path(__file__).with_name("inbox")
# The page runs only its own script, whatever a message contains.
_POLICY = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
_MOST_FIELDS = 1000  # PHP's default


class Sandbox:
    """A local DialogTech.

    :param latency: delay of every answer, in seconds.
    :param hosts: further accepted host names.
    """

    def __init__(self, vendor: Vendor, latency: float = 0.0, hosts: Collection[str] = ()) -> None:
        self._vendor = vendor
        self._hosts = hosts
        self._latency = latency
        self._started = time.time()

    def app(self) -> Starlette:
        """Return the sandbox as an ASGI application."""
        return Starlette(
            routes=[
                Route("/", self._inbox),
                Mount("/inbox", StaticFiles(directory=_INBOX)),
                Route("/ibp_api.php", self._call, methods=["GET", "POST"]),
                Route("/sandbox/messages", self._messages, methods=["GET"]),
                Route("/sandbox/messages", self._forget, methods=["DELETE"]),
                Route("/sandbox/faults", self._add_fault, methods=["POST"]),
                Route("/sandbox/faults", self._clear_faults, methods=["DELETE"]),
                Route("/sandbox/limits", self._limits),
                Route("/sandbox/health", self._health),
            ],
            middleware=[Middleware(Guard, hosts=self._hosts)],
        )

    async def _call(self, request: Request) -> Response:
        try:
            parameters = await _parameters_of(request)
        except ValueError:
            return _bad_request(f"A call has at most {_MOST_FIELDS} parameters.")
        receipt = _receipt_of(request)
        reply = self._vendor.receive(parameters, request.method, receipt.at, receipt.monotonic)
        if self._latency:
            await asyncio.sleep(self._latency)
        return await _answer(reply, request)

    async def _inbox(self, _: Request) -> Response:
        return FileResponse(_INBOX / "index.html", headers=_POLICY)

    async def _messages(self, request: Request) -> Response:
        try:
            after = int(request.query_params.get("after", 0))
            most = int(request.query_params.get("most", REMEMBERED))
        except ValueError:
            return _bad_request(
                "after must be the id of an arrival, and most the number of the newest arrivals to return."
            )
        return JSONResponse([arrival.as_json() for arrival in self._vendor.arrivals_after(after, most)])

    async def _forget(self, _: Request) -> Response:
        self._vendor.forget()
        return JSONResponse({"forgotten": True})

    async def _add_fault(self, request: Request) -> Response:
        # A page of another origin cannot send this content type without a preflight request.
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _bad_request("Send the fault as Content-Type: application/json.", status=415)
        try:
            fault = Fault.of(json.loads(await request.body()))
            self._vendor.faults.add(fault)
        except RecursionError:
            return _bad_request("This JSON is nested too deeply.")
        except (TypeError, ValueError) as error:
            return _bad_request(str(error))
        return JSONResponse(asdict(fault))

    async def _clear_faults(self, _: Request) -> Response:
        self._vendor.faults.clear()
        return JSONResponse({"cleared": True})

    async def _limits(self, _: Request) -> Response:
        now = time.monotonic()
        return JSONResponse(
            {
                "started": self._started,
                "oldest": self._vendor.oldest,
                "newest": self._vendor.newest,
                "accounts": [_use_of(account, now) for account in self._vendor.accounts.values()],
            }
        )

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"healthy": True})


async def _answer(reply: Reply, request: Request) -> Response:
    """Answer as the fault, if any, demands."""
    fault = reply.fault
    name = "" if fault is None else fault.fault
    if fault is not None and name == "late":
        await asyncio.sleep(fault.seconds)
    elif name.startswith("hang_"):
        await _until_disconnected(request)
    elif name.startswith("reset_"):
        _reset(request)
        await _until_disconnected(request)
    elif fault is not None and name.startswith("error_"):
        return HTMLResponse("<html><body><h1>Bad Gateway</h1></body></html>", status_code=fault.status or 502)
    elif name == "garbage_after_accept":
        return HTMLResponse("<html><body>Down for maintenance</body></html>")
    elif name == "truncated_after_accept":
        return Response(reply.body[: len(reply.body) // 2], media_type="text/xml")
    return Response(reply.body, reply.status, reply.headers, media_type="text/xml")


async def _parameters_of(request: Request) -> dict[str, str]:
    """Return the parameters of a call; of repeated ones the last, as PHP does.

    :raises ValueError: when there are too many.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data") and request.method == "POST":
        async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
            return {name: str(value) for name, value in form.multi_items()}
    sent = request.scope["query_string"] if request.method == "GET" else await request.body()
    return dict(
        parse_qsl(sent.decode("latin-1"), keep_blank_values=True, encoding="utf-8", max_num_fields=_MOST_FIELDS)
    )


def _bad_request(problem: str, *, status: int = 400) -> Response:
    # The problem may quote an unpaired surrogate, which UTF-8 cannot encode.
    return JSONResponse({"error": problem.encode(errors="replace").decode()}, status_code=status)


def _use_of(account: Account, now: float) -> dict[str, Any]:
    """Return how much of its limits an account uses, without its keys."""
    return {
        "used_per_second": account.per_second.used(now),
        "limits": asdict(account.limits),
        "numbers": {
            number: {"used_per_second": second.used(now), "used_per_minute": minute.used(now)}
            for number in account.numbers
            for second, minute in [account.of_number[number]]
        },
    }


@dataclass(frozen=True)
class Receipt:
    """The arrival of a request.

    :param at: when its bytes arrived, in seconds since 1970.
    :param monotonic: the same time on the monotonic clock.
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


def _receipt_of(request: Request) -> Receipt:
    return cast(Receipt, request.state.receipt)


def _reset(request: Request) -> None:
    transport = _receipt_of(request).transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _until_disconnected(request: Request) -> None:
    """Wait until the client closes the connection; if the sandbox stops first, close it without an answer."""
    try:
        while (await request.receive())["type"] != "http.disconnect":
            pass
    finally:
        _receipt_of(request).transport.abort()
