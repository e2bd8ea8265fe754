"""The page "Texts" in Airflow's UI: what was texted, what was not and why, and what is in doubt.

Airflow mounts a plugin's app without authentication, so every route checks by itself who asks.
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

from airflow_provider_dialogtech.delivery.records import State
from airflow_provider_dialogtech.delivery.store import Store
from airflow_provider_dialogtech.delivery.texts import JournalText, Texts
from airflow_provider_dialogtech.delivery.usage import usage_of
from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.page.access import Access
from airflow_provider_dialogtech.page.limits import known_accounts, shown_usage
from airflow_provider_dialogtech.page.place import login_path, task_path
from airflow_provider_dialogtech.settings.journal_place import journal_store

STATIC = Path(__file__).parent / "static"
# A page that waits longer for the journal says that it does not answer.
PATIENCE = 3.0
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
    """Refuse what another site's page asks for: it can send the user's cookie, but neither of these headers."""
    if x_dialogtech_page != "texts" or sec_fetch_site not in {"same-origin", "none"}:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Settle texts from the page itself.")


AccessDep = Annotated[Access, Depends(_access)]
StoreDep = Annotated[Store, Depends(_store)]


class TextFilter(BaseModel):
    """Which texts a person wants to see."""

    hours: float = Field(24, gt=0, le=LONGEST_PERIOD_HOURS)
    state: State | None = None
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""

    def holds(self, text: JournalText) -> bool:
        """Return whether a text of the wanted DAG is of the wanted run and task."""
        return self.run_id in {"", text.run_id} and self.task_id in {"", text.task_id}


class Settlement(BaseModel):
    """What a person says of a text in doubt."""

    outcome: Literal["sent", "unsent"]


def create_app() -> FastAPI:
    """Return the app that Airflow mounts."""
    app = FastAPI(
        title="DialogTech texts",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
    )
    app.middleware("http")(_with_headers)
    app.add_exception_handler(DialogTechError, _problem)
    app.add_exception_handler(HTTPException, _refused)
    app.get("/")(page)
    app.get("/static/{name}")(static)
    app.get("/texts")(list_texts)
    app.get("/limits")(list_limits)
    app.post("/texts/{text_id}/settle", dependencies=[Depends(_same_site)])(settle)
    app.post("/texts/{text_id}/look-up", dependencies=[Depends(_same_site)])(look_up)
    return app


def page() -> FileResponse:
    """Return the page."""
    return FileResponse(STATIC / "texts.html")


def static(name: Literal["texts.css", "texts.js"]) -> FileResponse:
    """Return its style or its script."""
    return FileResponse(STATIC / name)


def list_texts(access: AccessDep, store: StoreDep, wanted: Annotated[TextFilter, Query()]) -> dict[str, Any]:
    """Return the texts that the user may see, the newest first."""
    found = Texts(store).list(
        since=wanted.hours * 3600, state=wanted.state, dag_id=wanted.dag_id or None, most=MOST_READ
    )
    seen = [text for text in found if wanted.holds(text) and access.may_see(text.dag_id)]
    return {
        "texts": [_shown(text, access) for text in seen[:MOST_SHOWN]],
        "more": len(seen) > MOST_SHOWN or len(found) == MOST_READ,
    }


def list_limits(store: StoreDep) -> dict[str, Any]:
    """Return how much of each limit is in use now, and how many alerts were only counted."""
    usage = usage_of(store)
    return {
        "accounts": shown_usage(usage, known_accounts()),
        "alerts_sent": usage.alerts_sent,
        "alerts_suppressed": usage.alerts_suppressed,
    }


def settle(
    text_id: int, settlement: Settlement, user: GetUserDep, access: AccessDep, store: StoreDep
) -> dict[str, Any]:
    """Settle a text in doubt, as a person who may clear its task says."""
    text = _settleable(text_id, access, store)
    if not Texts(store).resolve(text.id, settlement.outcome, by=user.get_name()):
        raise HTTPException(status.HTTP_409_CONFLICT, "This text is not in doubt any more. Load the page again.")
    return {"id": text.id, "state": settlement.outcome}


def look_up(text_id: int, access: AccessDep, store: StoreDep) -> dict[str, Any]:
    """Ask DialogTech whether it lists a text, for who may settle it."""
    from airflow_provider_dialogtech.operations.look_up import look_up as ask

    found = ask(_settleable(text_id, access, store), Texts(store))
    return {"listed": found.listed, "times": found.times, "sent": found.sent, "meaning": found.meaning}


def _settleable(text_id: int, access: Access, store: Store) -> JournalText:
    text = Texts(store).get(text_id)
    if text is None or not access.may_see(text.dag_id):
        raise HTTPException(status.HTTP_404_NOT_FOUND, "The journal has no such text.")
    if not access.may_settle(text.dag_id):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "To settle a text one must be allowed to clear its task.")
    return text


def _shown(text: JournalText, access: Access) -> dict[str, Any]:
    of_task = text.dag_id and text.run_id and text.task_id
    return {
        "id": text.id,
        "at": text.at.isoformat(timespec="seconds"),
        "state": text.state,
        "to": f"…{text.recipient_tail}",
        "dag_id": text.dag_id,
        "run_id": text.run_id,
        "task_id": text.task_id,
        "map_index": text.map_index,
        "task_url": task_path(text.dag_id, text.run_id, text.task_id, text.map_index) if of_task else "",
        "is_alert": text.is_alert,
        "reason": text.reason,
        "may_settle": text.state == "in_doubt" and text.is_current and access.may_settle(text.dag_id),
    }


async def _with_headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answer(request)
    response.headers.update(_HEADERS)
    return response


def _problem(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status.HTTP_503_SERVICE_UNAVAILABLE)


def _refused(request: Request, error: Exception) -> Response:
    """Lead who is not logged in to Airflow's login, where a person asks for the page itself."""
    refusal = error if isinstance(error, HTTPException) else HTTPException(status.HTTP_500_INTERNAL_SERVER_ERROR)
    is_page = request.scope["path"].rstrip("/") == request.scope.get("root_path", "").rstrip("/")
    if refusal.status_code == status.HTTP_401_UNAUTHORIZED and is_page:
        return RedirectResponse(login_path(), status.HTTP_303_SEE_OTHER)
    return JSONResponse({"detail": refusal.detail}, refusal.status_code)
