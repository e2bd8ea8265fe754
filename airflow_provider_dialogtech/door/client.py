"""A backend that reaches the journal through Airflow's API server, by HTTP: for processes without a database."""

from __future__ import annotations

import ssl
import threading
from collections import namedtuple
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ValidationError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from sqlalchemy.engine import Row

from airflow_provider_dialogtech.api.raw_reply import BoundedReader, CallDeadline, TooLarge
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.door import protocol
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.backend import BestReading, Plan, Reading, Statement, T
from airflow_provider_dialogtech.journal.errors import StoreAway, unusable
from airflow_provider_dialogtech.journal.planner import Planned, Planning
from airflow_provider_dialogtech.journal.timing import Timing
from airflow_provider_dialogtech.masking import without_locals

A = TypeVar("A", bound=BaseModel)

MOST_CONNECTIONS = 4
"""How many requests of a process may be open at a time."""
_CONNECT_SECONDS = 5.0
_CHUNK = 64 * 1024
_LARGEST_HEAD = 64 * 1024
_NO_ANSWER = "its answer was cut off, or is not the journal's"


@dataclass(frozen=True)
class Door:
    """The address of the journal on the API server.

    :param url: the API server's URL.
    :param token: returns the token; given True, the newest one, past every cache.
    :param ca_files: files of certificates that are trusted beside the public authorities.
    :param client_cert: the files of the certificate and key that this side shows; by default none.
    """

    url: str
    token: Callable[[bool], str] = field(repr=False, compare=False)
    ca_files: tuple[str, ...] = ()
    client_cert: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """Its host and path, for errors."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{protocol.PATH}"

    @property
    def advice(self) -> str:
        return f"Check that Airflow's API server runs and can be reached at {self.name}."

    def __str__(self) -> str:
        return f"at {self.name}"

    def open(self, clock: Clock, timing: Timing, *, timeout: float) -> DoorBackend:
        backend = DoorBackend(self, clock)
        timing.first_answer(backend.read_clock(timeout).took)
        return backend


class DoorBackend:
    """One process's connections to the door.

    :param door: where it is.
    :param clock: measures how long an answer took.
    """

    def __init__(self, door: Door, clock: Clock) -> None:
        self._door = door
        self._clock = clock
        self._token = ""
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._best = BestReading()
        self._latest: Reading | None = None
        self._session = requests.Session()
        adapter = _Adapter(_trusting(door.ca_files) if door.ca_files else None)
        for scheme in ("http://", "https://"):  # as long as those of requests' own adapters, which win otherwise
            self._session.mount(scheme, adapter)

    def locked(self, lock: str, question: Statement, plan: Plan[T], *, timeout: float) -> T:  # noqa: ARG002
        if not isinstance(plan, Planning):
            raise TypeError("only the planner's questions go through the door")
        asked = self._clock.monotonic()
        latest = self._latest or self.read_clock(timeout)
        request = protocol.Reserve.of(plan, latest, asked, _server_timeout(timeout))
        decided, reading = self._timed("reserve", request, protocol.Decided, timeout)
        if not decided.is_to(plan, reading):
            raise StoreAway(_NO_ANSWER)
        answer: Any = Planned(decided.to(reading), reading)
        return answer  # type: ignore[no-any-return]

    def do(self, statements: Sequence[Statement], *, timeout: float, lock: str | None = None) -> int:
        named = [protocol.NamedStatement.of(statement) for statement in statements]
        request = protocol.Do.model_construct(statements=named, lock=lock, timeout=_server_timeout(timeout))
        return self._post("do", request, protocol.Done, timeout).changed

    def ask(self, question: Statement, *, timeout: float) -> Sequence[Row[Any]]:
        named = protocol.NamedStatement.of(question)
        request = protocol.Ask.model_construct(statement=named, timeout=_server_timeout(timeout))
        found = self._post("ask", request, protocol.Rows, timeout)
        row = _row_of(tuple(question.sql.selected_columns.keys()))
        values = [dict(zip(found.columns, each, strict=False)) for each in found.rows]
        if not protocol.are_of(question.sql, values):
            raise StoreAway(_NO_ANSWER)
        # A newer server may know of more columns.
        rows: Any = [row(*map(each.get, row._fields)) for each in values]
        return rows  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the unused connections; the others are closed when they are given back."""
        self._session.close()

    def read_clock(self, timeout: float) -> Reading:
        """Ask for the store's time."""
        return self._timed("now", protocol.Now(timeout=_server_timeout(timeout)), protocol.NowIs, timeout)[1]

    def _timed(self, step: str, request: BaseModel, answer: type[A], timeout: float) -> tuple[A, Reading]:
        asked = self._clock.monotonic()
        found: Any = self._post(step, request, answer, timeout)
        self._latest = self._best.refine(found.time.reading(asked, self._clock.monotonic()))
        return found, self._latest

    def _post(self, step: str, request: BaseModel, answer: type[A], timeout: float) -> A:
        """Ask once, and once more if the token has changed."""
        body = request.model_dump_json().encode()
        until = self._clock.monotonic() + timeout
        shown = self._token = self._token or self._door.token(False)
        status, said = self._send(step, body, shown, until)
        if status == HTTPStatus.FORBIDDEN:
            self._token = self._door.token(True)
            if self._token != shown:
                status, said = self._send(step, body, self._token, until)
        if status != HTTPStatus.OK:
            raise self._error(status, said, step)
        found = None
        with suppress(ValidationError):
            found = answer.model_validate_json(said)
        if found is None:
            raise StoreAway(_NO_ANSWER)
        return found

    def _send(self, step: str, body: bytes, token: str, until: float) -> tuple[int, bytes]:
        if not self._free.acquire(timeout=max(0.1, until - self._clock.monotonic())):
            raise StoreAway("all of this process's connections to it are busy")
        try:
            return self._exchange(step, body, token, until)
        except requests.RequestException as error:
            problem = _problem(error)
        except (OSError, ValueError) as error:  # the file of authorities, or an invalid address
            problem = StoreAway(type(error).__name__)
        except TooLarge:
            problem = StoreAway(f"its answer has more than {protocol.LARGEST_REPLY} bytes")
        finally:
            self._free.release()
        # Outside the except block: the library's error carries the request.
        raise problem

    @without_locals
    def _exchange(self, step: str, body: bytes, token: str, until: float) -> tuple[int, bytes]:
        remaining = max(0.1, until - self._clock.monotonic())
        _this_thread.deadline = CallDeadline(remaining)
        with self._session.post(
            f"{self._door.url.rstrip('/')}{protocol.PATH}/{step}",
            data=body,
            headers={
                "Content-Type": protocol.CONTENT_TYPE,
                "Accept-Encoding": "identity",
                protocol.VERSION_HEADER: protocol.version(),
            },
            auth=_Bearer(token),
            timeout=(min(_CONNECT_SECONDS, remaining), remaining),
            # A file's name, so that requests does not replace the context; it is added to it.
            verify=DEFAULT_CA_BUNDLE_PATH if self._door.ca_files else True,
            cert=self._door.client_cert,
            allow_redirects=False,
            stream=True,
        ) as response:
            said = bytearray()
            for piece in response.iter_content(_CHUNK):
                said += piece
                if len(said) > protocol.LARGEST_REPLY:
                    raise TooLarge
            return response.status_code, bytes(said)

    def _error(self, status: int, said: bytes, step: str) -> StoreAway | JournalUnavailable:
        """Return the error of an HTTP status that is not a reply."""
        failure = None
        with suppress(ValidationError):
            failure = protocol.Failure.model_validate_json(said)
        tried = f"{self._door.name}/{step} answered HTTP {status}"
        if failure is not None and failure.advice:
            return JournalUnavailable(failure.reason, advice=f"{failure.advice} ({tried}.)")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            return StoreAway(failure.reason if failure else f"HTTP {status}")
        if status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}:
            words = "it does not accept the token of the connection dialogtech_journal"
            advice = (
                "If a secrets backend or an environment variable has that connection, give the API server the same "
                "one; otherwise delete it, and a new one is created"
            )
        elif status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} or status < HTTPStatus.BAD_REQUEST:
            words = "there is no journal at this address"
            advice = (
                "Install this package on the API server, and let it load plugins (not --apps execution alone); or set "
                "the host of the connection dialogtech_journal to the URL of one that does"
            )
        else:
            words = failure.reason if failure else "it refused the request"
            advice = "Run the same version of this package here and on the API server"
        return unusable(f"{words}: {tried}", advice)


def _trusting(ca_files: tuple[str, ...]) -> ssl.SSLContext:
    """Return a context that trusts these certificates beside the system's."""
    context = ssl.create_default_context()
    for file in ca_files:
        problem = ""
        try:
            context.load_verify_locations(file)
        except OSError as error:  # not there, or without a certificate
            problem = type(error).__name__
        if problem:
            raise unusable(f"{file} cannot be read ({problem})", "Correct [api] ssl_ca_file or ssl_cert")
    return context


_this_thread = threading.local()


class _BoundedResponse(HTTPResponse):
    """A reply that is read within its request's time; the time-out of `requests` bounds only a single read."""

    def __init__(self, connection: Any, *args: Any, **options: Any) -> None:
        reader: Any = BoundedReader(connection, _this_thread.deadline, _LARGEST_HEAD + protocol.LARGEST_REPLY)
        super().__init__(reader, *args, **options)


class _Adapter(HTTPAdapter):
    """Keeps the connections, and bounds their replies.

    :param context: decides which certificates are trusted; None for the public authorities.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=MOST_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        kind = pool.ConnectionCls
        if kind.response_class is not _BoundedResponse:
            pool.ConnectionCls = type(kind.__name__, (kind,), {"response_class": _BoundedResponse})
        return pool


class _Bearer(AuthBase):
    """Shows the token; as a header alone, one in ~/.netrc would take its place."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _server_timeout(timeout: float) -> float:
    """Return how long the server may take, so that its own error arrives in time."""
    return min(max(0.05, 0.9 * timeout), protocol.LONGEST)


def _problem(error: requests.RequestException) -> StoreAway | JournalUnavailable:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return unusable(
            "the API server's TLS certificate is not trusted here",
            "Set [api] ssl_ca_file here to the file of the authority that issued it, or ssl_cert to the certificate",
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return StoreAway("no connection could be made in time")
    # In the middle of a body, `requests` calls that a lost connection.
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        return StoreAway("it did not answer in time")
    if isinstance(error, requests.ConnectionError):
        return StoreAway("the connection was refused or lost")
    return StoreAway(type(error).__name__)


@lru_cache(maxsize=32)
def _row_of(columns: tuple[str, ...]) -> Any:
    return namedtuple("Row", columns)
