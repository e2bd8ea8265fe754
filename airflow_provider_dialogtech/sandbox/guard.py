"""Refuses requests of other web pages, and oversized bodies.

Any page that a developer visits can make the browser send requests to this machine and, with DNS rebinding, do so under
a host name of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
LONGEST_BODY = 64 * 1024

# Links of other pages may lead here: these paths change nothing.
_LINKED = ("/", "/inbox/")
_OURS = {"same-origin", "none"}


class Guard:
    """Refuses requests that are not meant for the sandbox, and bounds the body of others.

    :param hosts: further accepted host names.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope), scope["path"])
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        # Starlette before 0.49.1, which Airflow up to 3.1 needs, takes time quadratic in the number of ranges.
        headers = [header for header in scope["headers"] if header[0] != b"range"]
        await self._app({**scope, "headers": headers}, _bounded(receive), send)

    def _refusal(self, headers: Headers, path: str) -> JSONResponse | None:
        if _name_in(f"//{headers.get('host', '')}") not in self._hosts:
            return _refuse(HTTPStatus.BAD_REQUEST, "Unknown host name. Start the sandbox with --allow-host NAME.")
        if path != _LINKED[0] and not path.startswith(_LINKED[1]) and _is_from_elsewhere(headers):
            return _refuse(HTTPStatus.FORBIDDEN, "The sandbox refuses requests of other web pages.")
        length = headers.get("content-length", "0")
        if not length.isdigit() or len(length) > len(str(LONGEST_BODY)) or int(length) > LONGEST_BODY:
            return _refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return None


_TOO_LARGE = f"The body must have at most {LONGEST_BODY} bytes."


def _is_from_elsewhere(headers: Headers) -> bool:
    """Judge by headers that browsers add and pages cannot change. Other programs do not send them."""
    if headers.get("sec-fetch-site", "none") not in _OURS:
        return True
    return headers.get("origin", f"http://{headers['host']}") != f"http://{headers['host']}"


def _name_in(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.hostname if "@" not in parts.netloc else None


def _bounded(receive: Receive) -> Receive:
    remaining = LONGEST_BODY

    async def receive_some() -> Message:
        nonlocal remaining
        message = await receive()
        remaining -= len(message.get("body", b""))
        if remaining < 0:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return message

    return receive_some


def _refuse(status: HTTPStatus, problem: str) -> JSONResponse:
    return JSONResponse({"error": problem}, status, {"Connection": "close"})
