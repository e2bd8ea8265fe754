"""The page "Messages" in Airflow's UI: which messages were sent, which were not and why, and which are in doubt.

Airflow mounts a plugin's app without authentication, so every route checks the user's permissions itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response, status
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from airflow_provider_dialogtech.api_server.access import Access
from airflow_provider_dialogtech.api_server.usage import known_accounts, shown_usage
from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.journal.records import Record
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.operations.messages import Messages
from airflow_provider_dialogtech.operations.usage import usage_of
from airflow_provider_dialogtech.settings.config import login_path, task_path
from airflow_provider_dialogtech.settings.journal import journal_store

STATIC = Path(__file__).parent / "static"
PATIENCE = 3.0
"""How long the page waits for the journal, in seconds, before it reports that the journal does not answer."""
MOST_READ = 2_000
MOST_SHOWN = 200
LONGEST_PERIOD_HOURS = 24 * 3650

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def _access(user: GetUserDep) -> Access:
    return Access(user)


def _store() -> Store:
    return journal_store(patience=PATIENCE)


def _same_site(
    x_dialogtech_page: Annotated[str, Header()] = "", sec_fetch_site: Annotated[str, Header()] = "same-origin"
) -> None:
    """Refuse requests of other sites: they can carry the user's cookie, but neither of these headers."""
    if x_dialogtech_page != "messages" or sec_fetch_site not in {"same-origin", "none"}:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Settle messages from the page itself.")


AccessDep = Annotated[Access, Depends(_access)]
StoreDep = Annotated[Store, Depends(_store)]


class MessageFilter(BaseModel):
    """The filter of the page."""

    hours: float = Field(24, gt=0, le=LONGEST_PERIOD_HOURS)
    state: State | None = None
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""

    def holds(self, message: Record) -> bool:
        """Return whether a message is of the wanted run and task."""
        return self.run_id in {"", message.run_id} and self.task_id in {"", message.task_id}


class Settlement(BaseModel):
    """The outcome that a person gives a message in doubt."""

    outcome: Literal["sent", "unsent"]


def create_app() -> FastAPI:
    """Return the app that Airflow mounts."""
    app = FastAPI(
        title="DialogTech messages",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
    )
    app.middleware("http")(_with_headers)
    app.add_exception_handler(DialogTechError, _answer_of_error)
    app.add_exception_handler(HTTPException, _answer_of_refusal)
    app.get("/")(page)
    app.get("/static/{name}")(static)
    app.get("/messages")(list_messages)
    app.get("/limits")(list_limits)
    app.post("/messages/{message_id}/settle", dependencies=[Depends(_same_site)])(settle)
    app.post("/messages/{message_id}/look-up", dependencies=[Depends(_same_site)])(look_up)
    return app


def page() -> FileResponse:
    """Return the page."""
    return FileResponse(STATIC / "messages.html")


def static(name: Literal["messages.css", "messages.js"]) -> FileResponse:
    """Return the page's style or its script."""
    return FileResponse(STATIC / name)


def list_messages(access: AccessDep, store: StoreDep, wanted: Annotated[MessageFilter, Query()]) -> dict[str, Any]:
    """Return the messages that the user may see, the newest first."""
    found = Messages(store).list(
        since=wanted.hours * 3600, state=wanted.state, dag_id=wanted.dag_id or None, most=MOST_READ
    )
    seen = [message for message in found if wanted.holds(message) and access.may_see(message.dag_id)]
    return {
        "messages": [_shown(message, access) for message in seen[:MOST_SHOWN]],
        "more": len(seen) > MOST_SHOWN or len(found) == MOST_READ,
    }


def list_limits(store: StoreDep) -> dict[str, Any]:
    """Return the limits in use now, and the numbers of sent and suppressed alerts."""
    usage = usage_of(store)
    return {
        "accounts": shown_usage(usage, known_accounts()),
        "alerts_sent": usage.alerts_sent,
        "alerts_suppressed": usage.alerts_suppressed,
    }


def settle(
    message_id: int, settlement: Settlement, user: GetUserDep, access: AccessDep, store: StoreDep
) -> dict[str, Any]:
    """Settle a message in doubt. The user must be allowed to clear its task."""
    message = _settleable(message_id, access, store)
    if not Messages(store).resolve(message.id, settlement.outcome, by=user.get_name()):
        raise HTTPException(status.HTTP_409_CONFLICT, "This message is no longer in doubt. Reload the page.")
    return {"id": message.id, "state": settlement.outcome}


def look_up(message_id: int, access: AccessDep, store: StoreDep) -> dict[str, Any]:
    """Ask DialogTech whether it lists a message. The user must be allowed to settle it."""
    from airflow_provider_dialogtech.operations.look_up import look_up as ask

    found = ask(_settleable(message_id, access, store), Messages(store))
    return {"listed": found.listed, "times": found.times, "sent": found.sent, "meaning": found.meaning}


def _settleable(message_id: int, access: Access, store: Store) -> Record:
    message = Messages(store).get(message_id)
    if message is None or not access.may_see(message.dag_id):
        raise HTTPException(status.HTTP_404_NOT_FOUND, "The journal has no such message.")
    if not access.may_settle(message.dag_id):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Settling a message requires permission to clear its task.")
    return message


def _shown(message: Record, access: Access) -> dict[str, Any]:
    of_task = message.dag_id and message.run_id and message.task_id
    return {
        "id": message.id,
        "at": message.when.isoformat(timespec="seconds"),
        "state": message.state,
        "to": f"…{message.recipient_tail}",
        "dag_id": message.dag_id,
        "run_id": message.run_id,
        "task_id": message.task_id,
        "map_index": message.map_index,
        "loop_index": message.loop_index,
        "task_url": task_path(message.dag_id, message.run_id, message.task_id, message.map_index) if of_task else "",
        "is_alert": message.is_alert,
        "reason": message.reason,
        "may_settle": message.state is State.IN_DOUBT and message.is_current and access.may_settle(message.dag_id),
    }


async def _with_headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    # Starlette before 0.49.1, which Airflow up to 3.1 needs, takes time quadratic in the number of ranges.
    request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
    response = await answer(request)
    response.headers.update(_HEADERS)
    return response


def _answer_of_error(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status.HTTP_503_SERVICE_UNAVAILABLE)


def _answer_of_refusal(request: Request, error: Exception) -> Response:
    """Answer with the error; redirect a request for the page itself to Airflow's login if the user is not logged in."""
    refusal = error if isinstance(error, HTTPException) else HTTPException(status.HTTP_500_INTERNAL_SERVER_ERROR)
    is_page = request.scope["path"].rstrip("/") == request.scope.get("root_path", "").rstrip("/")
    if refusal.status_code == status.HTTP_401_UNAUTHORIZED and is_page:
        return RedirectResponse(login_path(), status.HTTP_303_SEE_OTHER)
    return JSONResponse({"detail": refusal.detail}, refusal.status_code)
