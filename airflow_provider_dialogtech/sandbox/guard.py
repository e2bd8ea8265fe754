"""What keeps other people's web pages and endless bodies out.

Any page that a developer visits can have the browser send requests to this machine, and a name of the page's own may
lead here (DNS rebinding).
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

# A page that a link leads to. It does nothing by itself.
_LINKED = ("/", "/inbox/")
_OURS = {"same-origin", "none"}


class Guard:
    """Answers what is not meant for the sandbox itself, and bounds the body of what is.

    :param app: the sandbox.
    :param hosts: the names by which it may be called, besides this machine's own.
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
        await self._app(scope, _bounded(receive), send)

    def _refusal(self, headers: Headers, path: str) -> JSONResponse | None:
        if _name_in(f"//{headers.get('host', '')}") not in self._hosts:
            return _refuse(HTTPStatus.BAD_REQUEST, "This is no name of the sandbox. Start it with --allow-host NAME.")
        if path != _LINKED[0] and not path.startswith(_LINKED[1]) and _is_from_elsewhere(headers):
            return _refuse(HTTPStatus.FORBIDDEN, "The sandbox answers no request of another web page.")
        length = headers.get("content-length", "0")
        if not length.isdigit() or len(length) > len(str(LONGEST_BODY)) or int(length) > LONGEST_BODY:
            return _refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return None


_TOO_LARGE = f"The body may have {LONGEST_BODY} bytes."


def _is_from_elsewhere(headers: Headers) -> bool:
    """Judge by what browsers add, and pages cannot change. Programs send none of it."""
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
    left = LONGEST_BODY

    async def receive_some() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return message

    return receive_some


def _refuse(status: HTTPStatus, words: str) -> JSONResponse:
    return JSONResponse({"error": words}, status, {"Connection": "close"})
