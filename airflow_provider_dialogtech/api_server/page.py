"""The page "Messages" in Airflow's UI: which messages were sent, which were not and why, and which are in doubt.

Airflow mounts a plugin's app without authentication, so every route checks the user's permissions itself. Whatever may
wait runs in threads of the page's own (`threads.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, Field, ValidationError

from airflow_provider_dialogtech.api_server.access import Access, may_test_connections
from airflow_provider_dialogtech.api_server.threads import Busy, LookUps, Threads
from airflow_provider_dialogtech.api_server.usage import KnownAccount, KnownAccounts, shown_usage
from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidConnection
from airflow_provider_dialogtech.journal.records import Record
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.operations import accounts
from airflow_provider_dialogtech.operations.messages import AuditLogUnavailable, Messages, task_names, usage_of
from airflow_provider_dialogtech.operations.messages import settle as settle_message
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.config import frame_path, login_path, task_path
from airflow_provider_dialogtech.settings.journal import journal_store

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
PATIENCE = 3.0
"""How long the page waits for the journal, in seconds, before it reports that the journal does not answer."""
MOST_SHOWN = 200
LONGEST_PERIOD_HOURS = 24 * 3650
LONGEST_NAME = 250
LARGEST_BODY = 1_000
"""Largest accepted request body, in bytes."""
LARGEST_ID = 2**63 - 1
LOOK_UP_SECONDS = 10.0
LARGEST_LISTING = 1024 * 1024
"""Largest list of messages that the page accepts from DialogTech, in bytes: the API server parses it."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

READS = 2
"""How many questions may run at a time: each may hold one of the process's 4 connections to the journal for seconds,
and the door uses the same ones."""
_reads = Threads(READS, patience=PATIENCE)
_look_ups = LookUps(2, deadline=LOOK_UP_SECONDS)


async def _access(user: GetUserDep) -> Access:
    return Access(user)


def _store() -> Store:
    return journal_store(patience=PATIENCE, is_server=True)


def _messages() -> Messages:
    return Messages(_store(), config.namespace())


async def _same_site(
    x_dialogtech_page: Annotated[str, Header()] = "", sec_fetch_site: Annotated[str, Header()] = "same-origin"
) -> None:
    """Refuse requests of other sites: they can carry the user's cookie, but neither of these headers."""
    if x_dialogtech_page != "messages" or sec_fetch_site not in {"same-origin", "none"}:
        raise HTTPException(HTTPStatus.FORBIDDEN, "Settle messages from the page itself.")


AccessDep = Annotated[Access, Depends(_access)]


_Name = Annotated[str, Field(max_length=LONGEST_NAME, pattern=r"^[^\x00]*$")]


class MessageFilter(BaseModel):
    """The filter of the page."""

    hours: float = Field(24, gt=0, le=LONGEST_PERIOD_HOURS)
    state: State | None = None
    dag_id: _Name = ""
    run_id: _Name = ""
    task_id: _Name = ""


class Settlement(BaseModel):
    """The outcome that a person gives a message in doubt."""

    outcome: Literal["sent", "unsent"]


async def _settlement(request: Request) -> Settlement:
    """Read the body within a bound, which FastAPI would not."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The request has more than {LARGEST_BODY} bytes.")
    try:
        return Settlement.model_validate_json(bytes(body))
    except ValidationError:
        pass
    raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "The outcome must be sent or unsent.")


def create_app() -> FastAPI:
    """Return the app that Airflow mounts."""
    app = FastAPI(
        title="DialogTech messages",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A user of Airflow's UI; what they see depends on their permissions for each message.
        dependencies=[Depends(requires_access_view(AccessView.WEBSITE))],
    )
    app.state.accounts = KnownAccounts(fresh_for=30.0, patience=2.0)
    app.middleware("http")(_with_headers)
    app.add_exception_handler(DialogTechError, _answer_of_error)
    app.add_exception_handler(AuditLogUnavailable, _answer_in_words)
    app.add_exception_handler(Busy, _answer_in_words)
    app.add_exception_handler(HTTPException, _answer_of_refusal)
    app.add_exception_handler(RequestValidationError, _answer_of_invalid)
    app.get("/")(page)
    app.get("/static/{name}")(static)
    app.get("/messages")(list_messages)
    app.get("/limits")(list_limits)
    app.post("/messages/{message_id}/settle", dependencies=[Depends(_same_site)])(settle)
    app.post("/messages/{message_id}/look-up", dependencies=[Depends(_same_site)])(look_up)
    return app


async def page(request: Request, access: AccessDep, sec_fetch_dest: Annotated[str, Header()] = "") -> Response:
    """Return the page. Airflow's UI shows it in its frame to those who may see plugins; other users get it alone."""
    if sec_fetch_dest == "document" and await _reads.run(access.may_open_plugins):
        return RedirectResponse(frame_path(request.url.query), HTTPStatus.SEE_OTHER)
    return FileResponse(STATIC / "messages.html")


async def static(name: Literal["messages.css", "messages.js"]) -> FileResponse:
    """Return the page's style or its script."""
    return FileResponse(STATIC / name)


async def list_messages(access: AccessDep, wanted: Annotated[MessageFilter, Query()]) -> dict[str, Any]:
    """Return the messages that the user may see, the newest first."""
    return await _reads.run(_list, access, wanted)


async def list_limits(request: Request, access: AccessDep) -> dict[str, Any]:
    """Return the limits in use now, and the numbers of alerts, to users who may read the connections."""
    return await _reads.run(_limits, access, await request.app.state.accounts.get())


async def settle(
    message_id: int, settlement: Annotated[Settlement, Depends(_settlement)], access: AccessDep
) -> dict[str, Any]:
    """Settle a message in doubt. The user must be allowed to clear its task."""
    return await _reads.run(_settle, message_id, settlement, access)


async def look_up(message_id: int, access: AccessDep) -> dict[str, Any]:
    """Ask DialogTech whether it lists a message. The user must be allowed to settle it, and to test the connection."""
    return await _look_ups.run(_look_up, message_id, access)


def _list(access: Access, wanted: MessageFilter) -> dict[str, Any]:
    seen = _seen(access, wanted)
    shown = seen[:MOST_SHOWN]
    return {
        "messages": [_shown(message, name, access) for message, name in zip(shown, task_names(shown), strict=True)],
        "more": len(seen) > MOST_SHOWN,
        "may_look_up": may_test_connections(),
    }


def _seen(access: Access, wanted: MessageFilter) -> list[Record]:
    """Return the newest messages that the user may see, one more than are shown."""
    messages = _messages()

    def newest(dag_ids: list[str] | None) -> list[Record]:
        return messages.list(
            since=wanted.hours * 3600,
            state=wanted.state,
            dag_ids=dag_ids,
            run_id=wanted.run_id,
            task_id=wanted.task_id,
            most=MOST_SHOWN + 1,
        )

    found = newest([wanted.dag_id] if wanted.dag_id else None)
    if len(found) > MOST_SHOWN and not wanted.dag_id and not all(access.may_see(message.dag_id) for message in found):
        # What is hidden from the user pushes nothing off their page.
        found = newest([dag_id for dag_id in messages.dag_ids() if access.may_see(dag_id)])
    return [message for message in found if access.may_see(message.dag_id)]


def _limits(access: Access, known: tuple[KnownAccount, ...]) -> dict[str, Any]:
    usage = usage_of(_store())
    sees_all = access.may_read_connections()
    return {
        "accounts": shown_usage(
            usage, [one for one in known if access.may_read_connection(one.name)], with_others=sees_all
        ),
        "alerts_sent": usage.alerts_sent if sees_all else None,
        "alerts_suppressed": usage.alerts_suppressed if sees_all else None,
    }


def _settle(message_id: int, settlement: Settlement, access: Access) -> dict[str, Any]:
    messages = _messages()
    message = _settleable(message_id, access, messages)
    by = access.user_name
    if not settle_message(message, settlement.outcome, messages, by=by, through="the page Messages"):
        raise HTTPException(HTTPStatus.CONFLICT, "This message is no longer in doubt. Reload the page.")
    return {"id": message.id, "state": settlement.outcome}


def _look_up(message_id: int, access: Access) -> dict[str, Any]:
    from airflow_provider_dialogtech.operations.look_up import look_up as ask
    from airflow_provider_dialogtech.operations.look_up import why_not_asked

    messages = _messages()
    message = _settleable(message_id, access, messages)
    if not may_test_connections():
        raise HTTPException(
            HTTPStatus.FORBIDDEN,
            "A look-up sends the keys to the connection's host, so it needs [core] test_connection = Enabled. Without "
            "it, run the command `messages look-up`.",
        )
    # Before any secrets backend is asked.
    testable = [conn_id for conn_id in accounts.conn_ids() if access.may_test_connection(conn_id)]
    if not testable:
        raise HTTPException(
            HTTPStatus.FORBIDDEN, "A look-up requires permission to test the connection of the message."
        )
    try:
        found = ask(message, messages, among=testable, within=LOOK_UP_SECONDS, largest=LARGEST_LISTING)
    except DialogTechError as error:
        problem = why_not_asked(error)
    else:
        return {"listed": found.listed, "times": found.times, "sent": found.sent, "meaning": found.meaning}
    raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, problem)


def _settleable(message_id: int, access: Access, messages: Messages) -> Record:
    message = messages.get(message_id) if 0 < message_id <= LARGEST_ID else None
    if message is None or not access.may_see(message.dag_id):
        raise HTTPException(HTTPStatus.NOT_FOUND, "The journal has no such message.")
    if not access.may_settle(message.dag_id):
        raise HTTPException(HTTPStatus.FORBIDDEN, "Settling a message requires permission to clear its task.")
    return message


def _shown(message: Record, name: str, access: Access) -> dict[str, Any]:
    of_task = message.dag_id and message.run_id and message.task_id
    return {
        "id": message.id,
        "at": message.when.isoformat(timespec="seconds"),
        "state": message.state,
        "to": f"…{message.recipient_tail}",
        "dag_id": message.dag_id,
        "run_id": message.run_id,
        "task_name": name,
        "task_url": task_path(message.dag_id, message.run_id, message.task_id, message.map_index) if of_task else "",
        "is_alert": message.is_alert,
        "reason": message.reason,
        "may_settle": message.state is State.IN_DOUBT and message.is_current and access.may_settle(message.dag_id),
    }


async def _with_headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    # Starlette before 0.49.1, which Airflow up to 3.1 needs, takes time quadratic in the number of ranges.
    request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
    try:
        response = await answer(request)
    except Exception:  # of any kind: Starlette's own answer would lack the headers
        log.exception("The page Messages failed.")
        response = JSONResponse(
            {"detail": "The page failed. The API server's log says why."}, HTTPStatus.INTERNAL_SERVER_ERROR
        )
    response.headers.update(_HEADERS)
    return response


def _answer_of_error(_request: Request, error: Exception) -> Response:
    # The error's own sentence and most advice speak of a message that was not sent; of a setting, they do not.
    reason = error.reason if isinstance(error, DialogTechError) else str(error)
    advice = f" {error.advice}" if isinstance(error, InvalidConnection) else ""
    return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"{reason[:1].upper()}{reason[1:]}.{advice}")


def _answer_in_words(_request: Request, error: Exception) -> Response:
    return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error))


def _answer_of_invalid(_request: Request, error: Exception) -> Response:
    """Name what is invalid. FastAPI's own answer repeats it, which not every value survives."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    names = sorted({str(one["loc"][-1]) for one in found if one.get("loc")})
    return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"Invalid: {', '.join(names)}.")


def _answer_of_refusal(request: Request, error: Exception) -> Response:
    """Answer with the error; redirect a request for the page itself to Airflow's login if the user is not logged in."""
    refusal = error if isinstance(error, HTTPException) else HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR)
    is_page = request.scope["path"].rstrip("/") == request.scope.get("root_path", "").rstrip("/")
    if refusal.status_code == HTTPStatus.UNAUTHORIZED and is_page:
        return RedirectResponse(login_path(), HTTPStatus.SEE_OTHER)
    return _refusal(refusal.status_code, refusal.detail)


def _refusal(code: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, code)
