"""The door to the journal: routes by which tasks, callbacks and triggers use it if they reach no database.

Each request shows the token of the connection `dialogtech_journal`. It gives access only to the journal, and no SQL is
sent or received. The work runs in threads of its own: a message that waits for its account's lock does not hold a
thread of Airflow's own routes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from hmac import compare_digest
from http import HTTPStatus
from typing import TypeVar
from weakref import WeakValueDictionary

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from airflow_provider_dialogtech.api_server.threads import Busy, Threads, ends, in_thread
from airflow_provider_dialogtech.door import protocol
from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.journal.backend import Backend, Reading, Statement
from airflow_provider_dialogtech.journal.errors import StoreAway
from airflow_provider_dialogtech.journal.statements import NOW
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import Opaque
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.door import newest_token
from airflow_provider_dialogtech.settings.journal import journal_store

_BEARER = "Bearer "
_BUSY = "the journal's API server is busy"

T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)

THREADS = 4
THREADS_FOR_ALERTS = 2
"""How many of them the reservations of lists leave free. A reservation waits for its account's lock; alerts and short
steps must not wait behind it."""
TOKEN_SECONDS = 30.0
WRONG_TOKEN_SECONDS = 1.0
"""How long a token is valid after it was rotated, and how often a wrong one makes this side read it again."""
TOKEN_READ_SECONDS = 5.0
"""How many seconds a request waits for the token to be read."""
BODY_SECONDS = 5.0
"""How many seconds a request's body may take to arrive."""


class Refused(Exception):
    """The door refuses a request.

    :param status: the HTTP status.
    :param reason: why, without a full stop.
    :param advice: what to do; empty where a later try may succeed.
    """

    def __init__(self, status: HTTPStatus, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.failure = protocol.Failure.of(reason, advice)


class JournalDoor:
    """The journal of one API server's process, for others.

    :param open_store: opens it; it may block.
    :param read_token: returns the token that requests must show; it may block.
    :param retention: returns for how many seconds messages are kept: the API server decides that.
    """

    def __init__(
        self, open_store: Callable[[], Store], read_token: Callable[[], str], retention: Callable[[], float]
    ) -> None:
        self._open_store = open_store
        self._retention = retention
        self._token = _Token(read_token)
        self._store: Store | None = None
        self._threads = Threads(THREADS, patience=protocol.LONGEST)
        self._lists = anyio.CapacityLimiter(THREADS - THREADS_FOR_ALERTS)
        self._turns: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    async def reserve(self, request: Request) -> BaseModel:
        arrived = time.monotonic()
        asked = await self._read(request, protocol.Reserve)

        def reserve(store: Store, remaining: float) -> BaseModel:
            planning = asked.planning(store.readings, arrived)
            decided = store.once(
                lambda backend, timeout: backend.locked(planning.lock, planning.question, planning, timeout=timeout),
                timeout=remaining,
            )
            reading = protocol.Time.of(decided.reading, arrived, time.monotonic())
            return protocol.Decided.of(decided.answer, reading)

        if asked.request.is_alert:
            return await self._run(reserve, arrived + asked.timeout)
        # One at a time for each account: its messages wait for its lock anyway.
        async with self._turns.setdefault(asked.request.account, anyio.Lock()), self._lists:
            return await self._run(reserve, arrived + asked.timeout)

    async def do(self, request: Request) -> BaseModel:
        arrived = time.monotonic()
        asked = await self._read(request, protocol.Do)
        statements = [self._ours(named.statement(protocol.WRITES)) for named in asked.statements]

        def do(store: Store, remaining: float) -> BaseModel:
            def work(backend: Backend, timeout: float) -> int:
                return backend.do(statements, lock=asked.lock, timeout=timeout)

            return protocol.Done(changed=store.once(work, timeout=remaining))

        return await self._run(do, arrived + asked.timeout)

    async def ask(self, request: Request) -> BaseModel:
        arrived = time.monotonic()
        asked = await self._read(request, protocol.Ask)
        question = asked.statement.statement(protocol.READS)

        def ask(store: Store, remaining: float) -> BaseModel:
            rows = store.once(lambda backend, timeout: backend.ask(question, timeout=timeout), timeout=remaining)
            columns = list(question.sql.selected_columns.keys())
            return protocol.Rows(columns=columns, rows=[list(row) for row in rows])

        return await self._run(ask, arrived + asked.timeout)

    async def now(self, request: Request) -> BaseModel:
        arrived = time.monotonic()
        asked = await self._read(request, protocol.Now)

        def now(store: Store, remaining: float) -> BaseModel:
            begun = time.monotonic()
            (row,) = store.once(
                lambda backend, timeout: backend.ask(Statement(NOW, {}), timeout=timeout), timeout=remaining
            )
            reading = Reading.of(row, begun, time.monotonic())
            return protocol.NowIs(time=protocol.Time.of(reading, arrived, time.monotonic()))

        return await self._run(now, arrived + asked.timeout)

    async def version(self, _request: Request) -> BaseModel:
        return protocol.Version(version=protocol.version())

    def _ours(self, statement: Statement) -> Statement:
        """Return a statement with this side's retention, if it deletes older rows."""
        return Statement(
            statement.sql,
            {name: self._retention() if name == "retention" else value for name, value in statement.values.items()},
        )

    async def _run(self, work: Callable[[Store, float], T], until: float) -> T:
        def in_thread() -> T:
            remaining = until - time.monotonic()
            if remaining <= 0:
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY)
            self._store = self._store or self._open_store()
            return work(self._store, remaining)

        return await self._threads.run(in_thread)

    async def _read(self, request: Request, kind: type[A]) -> A:
        """Read a request, after its token was checked."""
        said = request.headers.get(protocol.VERSION_HEADER, "")
        if not protocol.is_spoken(said):
            raise Refused(
                HTTPStatus.UPGRADE_REQUIRED,
                f"the delivery journal's API server speaks version {protocol.version()}, and this side another one",
                "Install the same version of airflow-provider-dialogtech on the API server and here.",
            )
        given = Opaque(request.headers.get("Authorization", ""))
        if not given.startswith(_BEARER) or not await self._token.is_it(Opaque(given.removeprefix(_BEARER))):
            raise Refused(HTTPStatus.FORBIDDEN, "the token is not valid")
        try:
            with anyio.fail_after(BODY_SECONDS):
                body = await _body(request)
            return kind.model_validate_json(body)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
        except TimeoutError:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the request did not arrive in time") from None
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"the request is malformed ({where[:200]})")


class _Token:
    """The token, read again when it may have been rotated.

    :param read: returns it; it may block.
    """

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self._known = ""
        self._read_at = -math.inf
        self._asked_at = -math.inf
        self._answer: Future[None] | None = None

    async def is_it(self, token: str) -> bool:
        """Return whether this is the token."""
        # A wrong token that is tried repeatedly does not cause a read each time.
        valid_for = TOKEN_SECONDS if self._is_known(token) else WRONG_TOKEN_SECONDS
        if time.monotonic() >= self._read_at + valid_for:
            problem = await self._read_again()
            # Airflow's database may be available again soon; until then the old token is used.
            if problem and not self._is_known(token):
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, problem)
        return self._is_known(token)

    async def _read_again(self) -> str:
        """Wait until the token is read. A secrets backend that does not answer holds one thread, and no request.

        :return: why it could not be read; empty if it was.
        """
        if self._answer is None or self._answer.done():
            self._asked_at = time.monotonic()
            self._answer = in_thread(self._remember)
        answer, within = self._answer, self._asked_at + TOKEN_READ_SECONDS - time.monotonic()
        if not await ends(answer, max(0.0, within)):
            return f"its token could not be read within {TOKEN_READ_SECONDS:.0f} s"
        problem = answer.exception()
        if isinstance(problem, DialogTechError):
            return problem.reason
        answer.result()
        return ""

    def _remember(self) -> None:
        self._known = self._read()
        self._read_at = time.monotonic()

    def _is_known(self, token: str) -> bool:
        return bool(self._known) and compare_digest(token.encode(), self._known.encode())


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > protocol.LARGEST_REQUEST:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request has more than {protocol.LARGEST_REQUEST} bytes"
            )
    return bytes(body)


def _answering(handle: Callable[[Request], Awaitable[BaseModel]]) -> Callable[[Request], Awaitable[Response]]:
    """Return the route of a handler: its errors become sentences without SQL and without a stack trace."""

    async def route(request: Request) -> Response:
        try:
            return _response(HTTPStatus.OK, await handle(request))
        except Refused as refused:
            return _response(refused.status, refused.failure)
        except protocol.Malformed as error:
            return _response(HTTPStatus.UNPROCESSABLE_ENTITY, protocol.Failure.of(error))
        except StoreAway as away:
            failure = protocol.Failure.of(away)
        except DialogTechError as error:
            failure = protocol.Failure.of(error.reason, f"On the API server: {error.advice}")
        except (Busy, ClientDisconnect):
            failure = protocol.Failure.of(_BUSY)
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, failure)

    return route


def _response(status: HTTPStatus, content: BaseModel) -> Response:
    return Response(content.model_dump_json(), status, media_type=protocol.CONTENT_TYPE)


def create_app(door: JournalDoor | None = None) -> FastAPI:
    """Return the app with the door's routes.

    :param door: the journal; by default this Airflow's.
    """
    door = door or JournalDoor(
        lambda: journal_store(is_server=True), newest_token, lambda: config.journal_retention().total_seconds()
    )
    app = FastAPI(title="The DialogTech delivery journal", openapi_url=None)
    for handle in (door.reserve, door.do, door.ask, door.now):
        app.add_api_route(f"/{handle.__name__}", _answering(handle), methods=["POST"], response_model=None)
    app.add_api_route("/version", _answering(door.version), methods=["GET"], response_model=None)
    return app
