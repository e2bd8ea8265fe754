"""The door's routes: what they refuse, what they tell, and who waits for whom."""

import asyncio
import json
import threading
import time
import traceback
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("airflow.api_fastapi")

from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dialogtech.api_server import door as door_module
from airflow_provider_dialogtech.api_server.door import JournalDoor, create_app
from airflow_provider_dialogtech.api_server.threads import Threads
from airflow_provider_dialogtech.door import protocol
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.backend import Reading
from airflow_provider_dialogtech.journal.errors import StoreAway
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.planner import Planner, Planning
from airflow_provider_dialogtech.journal.records import Reservation, SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from tests.doors import RETENTION, TOKEN
from tests.journal.looking import edit, rows
from tests.settings.test_token import metadata  # noqa: F401 - a fixture

HEADERS = {"Authorization": f"Bearer {TOKEN}", protocol.VERSION_HEADER: protocol.version()}
NUMBER = "5554332111"


def a_client(store, token=TOKEN):
    return TestClient(create_app(JournalDoor(lambda: store, lambda: token, lambda: RETENTION)), headers=HEADERS)


@pytest.fixture
def client(sqlite_url):
    return a_client(Store(sqlite_url))


def a_reserve(key="key", *, account="account", timeout=10.0, held=None, **options):
    request = SlotRequest(key, (NUMBER,), "5556667777", "Hello", **options)
    planner = Planner(request.named(account), RateLimits(), owner=f"owner of {key}"[:32])
    planning = Planning(planner, "plan" if held is None else "restore", held=held)
    return json.loads(protocol.Reserve.of(planning, Reading(0.0, 0.0, 0.0), 0.0, timeout).model_dump_json())


HELD = Reservation(1, "owner of key", a_reserve()["request"]["numbers"][0], 1.0, 0.0)
DO = {"statements": [{"name": "doubt", "values": {"of_id": 1, "of_owner": "owner"}}], "lock": None, "timeout": 1.0}
ASK = {"statement": {"name": "find", "values": {"of_key": "k", "of_body_key": None}}, "timeout": 1.0}
VALID = {"reserve": a_reserve(timeout=1.0), "do": DO, "ask": ASK, "now": {"timeout": 1.0}}


@pytest.mark.parametrize("step", VALID)
def test_what_a_client_asks_is_answered(client, step):
    answered = client.post(f"/{step}", json=VALID[step])
    assert answered.status_code == 200, answered.text


def test_a_reservation_is_made_once_however_often_it_is_asked_for(client, sqlite_url):
    first, again = (client.post("/reserve", json=a_reserve()).json()["answer"] for _ in range(2))
    (row,) = rows(sqlite_url)
    assert (row.id, row.recipient_tail) == (first["id"], "7777")
    assert (again["id"], again["at"]) == (first["id"], pytest.approx(first["at"], abs=1e-3))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(
    ["\x00", "\ud800", "x" * 65, "x" * 300, 2**31, 2**63, -2, 1e300, -1e300, float("nan"), float("inf"), "", [], {}]
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner)
)


def places_in(value, path=()):
    """Return the path of every value in a request."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places_in(inner, (*path, key))


def changed(value, path, to):
    if not path:
        return to
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = changed(value[path[0]], path[1:], to)
    return copied


def statement(name):
    """Return a request with valid values for a statement."""
    usual = {str: "x", int: 1, float: 1.0, list: ["x", "y"]}
    values = {parameter: usual[kind] for parameter, kind in protocol._kinds_of(name).items()}
    named = {"name": name, "values": values}
    return ("ask", {**ASK, "statement": named}) if name in protocol.READS else ("do", {**DO, "statements": [named]})


ASKED = [*VALID.items(), ("reserve", a_reserve(held=HELD)), *map(statement, sorted(protocol.READS | protocol.WRITES))]
CHANGED = st.sampled_from(ASKED).flatmap(
    lambda asked: st.tuples(st.just(asked[0]), st.just(asked[1]), st.sampled_from(list(places_in(asked[1]))), ANYTHING)
)


@pytest.mark.parametrize(("backend", "examples"), [("sqlite", 80), ("postgres", 40)])
def test_a_malformed_request_is_refused_and_no_fault_of_the_server(backend, examples, request):
    client = a_client(Store(request.getfixturevalue(f"{backend}_url")))

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CHANGED)
    def attack(asked):
        step, valid, path, to = asked
        body = json.dumps(changed(valid, path, to))
        answered = client.post(f"/{step}", content=body)
        assert answered.status_code in {200, 413, 422}, answered.text

    attack()


@pytest.mark.parametrize("step", VALID)
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"null", b"[" * 60_000, b"1" * 5000, b'{"timeout": 1'])
def test_what_is_no_request_at_all_is_refused(client, step, body):
    answered = client.post(f"/{step}", content=body)
    assert answered.status_code == 422
    assert set(answered.json()) == {"reason", "advice"}


def test_each_statement_takes_what_the_journal_passes_to_it(postgres_url):
    client = a_client(Store(postgres_url))
    for step, asked in map(statement, sorted(protocol.READS | protocol.WRITES)):
        answered = client.post(f"/{step}", json=asked)
        assert answered.status_code == 200, (asked, answered.text)


@pytest.mark.parametrize("name", ["insert", "shift_back", "resolve", "remove_account", "DROP TABLE", ""])
def test_no_other_statement_comes_in(client, name):
    for step, place in (("do", "statements"), ("ask", "statement")):
        named = {"name": name, "values": {}}
        asked = {**VALID[step], place: [named] if step == "do" else named}
        assert client.post(f"/{step}", json=asked).status_code == 422


@pytest.mark.parametrize(
    ("name", "odd"),
    [("start", {"timeout": 1e12}), ("start", {"timeout": -1.0}), ("settle", {"took": 1e12}), ("settle", {"took": -9.0}),
     ("settle", {"pause": 1e12})],
)  # fmt: skip
def test_no_duration_is_longer_than_a_call_or_negative(client, name, odd):
    """Such a message could be settled by nobody, and each later one of the account would be taken for a late one."""
    step, asked = statement(name)
    asked["statements"][0]["values"] |= odd
    assert client.post(f"/{step}", json=asked).status_code == 422


def test_a_message_is_read_by_its_key_or_its_owner_not_by_counting_through_the_rows(client):
    held = client.post("/reserve", json=a_reserve()).json()["answer"]

    def get(**values):
        asked = {**ASK, "statement": {"name": "get", "values": values}}
        answered = client.post("/ask", json=asked)
        return answered.json()["rows"] if answered.status_code == 200 else answered.status_code

    assert get(of_id=held["id"]) == 422
    assert get(of_id=held["id"], of_owner="another") == []
    assert len(get(of_id=held["id"], of_owner=held["owner"])) == 1


def test_the_token_that_is_given_shows_itself_in_no_frame(sqlite_url):
    given = "g1ven-canary"

    def fail():
        raise RuntimeError

    app = create_app(JournalDoor(lambda: Store(sqlite_url), fail, lambda: RETENTION))
    with pytest.raises(RuntimeError) as raised:
        TestClient(app).post("/now", json=VALID["now"], headers={**HEADERS, "Authorization": f"Bearer {given}"})
    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    ours = [frame for frame in frames if frame.f_code.co_filename.endswith("api_server/door.py")]
    assert ours
    assert given not in "".join(repr(value) for frame in ours for value in frame.f_locals.values())


@pytest.mark.parametrize("step", VALID)
@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", "Bearer \xe9"])
def test_without_the_token_nothing_is_told(client, sqlite_url, step, given):
    headers = {"Authorization": "" if given is None else given.encode("latin-1")}
    assert client.post(f"/{step}", json=VALID[step], headers=headers).status_code == 403
    assert client.post(f"/{step}", content=b"{", headers=headers).status_code == 403


def test_no_token_at_all_opens_nothing(sqlite_url):
    client = a_client(Store(sqlite_url), token="")
    assert client.post("/now", json=VALID["now"], headers={"Authorization": "Bearer "}).status_code == 403


def test_a_rotated_token_is_taken_at_once_and_the_old_one_no_longer(sqlite_url, monkeypatch):
    monkeypatch.setattr(door_module, "WRONG_TOKEN_SECONDS", 0.0)
    tokens = ["old"]
    client = TestClient(create_app(JournalDoor(lambda: Store(sqlite_url), lambda: tokens[0], lambda: RETENTION)))

    def status(token):
        return client.post(
            "/now", json=VALID["now"], headers={**HEADERS, "Authorization": f"Bearer {token}"}
        ).status_code

    assert (status("old"), status("new")) == (200, 403)
    tokens[0] = "new"
    assert (status("new"), status("old")) == (200, 403)


def test_whoever_tries_wrong_tokens_does_not_have_the_right_one_read_each_time(sqlite_url):
    reads = []
    door = JournalDoor(lambda: Store(sqlite_url), lambda: reads.append(1) or TOKEN, lambda: RETENTION)
    client = TestClient(create_app(door), headers=HEADERS)
    for n in range(20):
        client.post("/now", json=VALID["now"], headers={"Authorization": f"Bearer {n}"})
    assert len(reads) <= 3
    assert client.post("/now", json=VALID["now"]).status_code == 200


def test_while_airflows_database_is_down_a_known_token_is_taken_and_another_one_told_to_wait(sqlite_url, monkeypatch):
    monkeypatch.setattr(door_module, "TOKEN_SECONDS", 0.0)
    monkeypatch.setattr(door_module, "WRONG_TOKEN_SECONDS", 0.0)
    reads = iter([JournalUnavailable("no database"), TOKEN, *[JournalUnavailable("no database")] * 2])

    def read():
        found = next(reads)
        if isinstance(found, Exception):
            raise found
        return found

    client = TestClient(create_app(JournalDoor(lambda: Store(sqlite_url), read, lambda: RETENTION)), headers=HEADERS)
    first = client.post("/now", json=VALID["now"])
    assert (first.status_code, first.json()) == (503, {"reason": "no database", "advice": ""})
    assert client.post("/now", json=VALID["now"]).status_code == 200
    assert client.post("/now", json=VALID["now"]).status_code == 200
    assert client.post("/now", json=VALID["now"], headers={"Authorization": "Bearer x"}).status_code == 503


def test_a_secrets_backend_that_stalls_holds_no_request_and_a_known_token_is_taken(sqlite_url, monkeypatch):
    monkeypatch.setattr(door_module, "TOKEN_READ_SECONDS", 0.2)
    monkeypatch.setattr(door_module, "TOKEN_SECONDS", 0.0)
    monkeypatch.setattr(door_module, "WRONG_TOKEN_SECONDS", 0.0)
    released, reads = threading.Event(), []

    def read():
        reads.append(1)
        if len(reads) > 1:
            released.wait(60)
        return TOKEN

    client = TestClient(create_app(JournalDoor(lambda: Store(sqlite_url), read, lambda: RETENTION)), headers=HEADERS)
    assert client.post("/now", json=VALID["now"]).status_code == 200
    assert [client.post("/now", json=VALID["now"]).status_code for _ in range(3)] == [200] * 3
    refused = client.post("/now", json=VALID["now"], headers={"Authorization": "Bearer x"})
    assert (refused.status_code, "could not be read within" in refused.json()["reason"]) == (503, True)
    assert len(reads) == 2
    released.set()


@pytest.mark.parametrize("odd", ["a\x1b[2J", "a\nb", "a\tb", "a\u202eb", "a\x85"])
@pytest.mark.parametrize("place", ["dag_id", "run_id", "task_id", "namespace", "recipient_tail"])
def test_what_a_terminal_would_obey_is_not_stored(client, sqlite_url, place, odd):
    asked = a_reserve()
    for found in (asked, asked["request"], asked["request"]["origin"]):
        if place in found:
            found[place] = odd[-4:] if place == "recipient_tail" else odd
    assert client.post("/reserve", json=asked).status_code == 422
    Store(sqlite_url).open()
    assert rows(sqlite_url) == []


@pytest.mark.parametrize(
    ("minor", "is_spoken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)  # fmt: skip
def test_one_minor_version_older_or_newer_is_understood(client, monkeypatch, minor, is_spoken):
    monkeypatch.setattr(protocol, "VERSION", (1, 5))
    status = client.post("/now", json=VALID["now"], headers={protocol.VERSION_HEADER: f"1.{5 + minor}"}).status_code
    assert status == (200 if is_spoken else 426)


@pytest.mark.parametrize("said", ["", "2.0", "1", "1.", "1.0.0", "x", "1.\u0660".encode().decode("latin-1")])
def test_another_version_is_named_before_the_token_is_looked_at(client, said):
    answered = client.post("/now", json=VALID["now"], headers={protocol.VERSION_HEADER: said.encode("latin-1")})
    assert answered.status_code == 426
    assert "the same version" in answered.json()["advice"]


def test_what_a_newer_client_says_beside_is_left_aside(client):
    assert client.post("/now", json={"timeout": 1.0, "new": [1]}).status_code == 200


def test_a_request_that_is_too_large_is_not_read_to_its_end(client):
    assert client.post("/do", content=b"x" * (protocol.LARGEST_REQUEST + 1)).status_code == 413


def test_the_version_is_told_to_everybody(client):
    assert client.get("/version", headers={"Authorization": ""}).json() == {"version": protocol.version()}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreAway("its server is restarting"), "its server is restarting"),
        (JournalUnavailable("its disk is full", advice="Make room."), "its disk is full"),
    ],
)
def test_a_store_that_fails_is_told_in_words_and_says_whether_it_may_come_back(sqlite_url, error, reason):
    class FailingStore(Store):
        def once(self, work, *, timeout):
            raise error

    for step, asked in VALID.items():
        answered = a_client(FailingStore(sqlite_url)).post(f"/{step}", json=asked)
        assert answered.status_code == 503
        assert answered.json()["reason"] == reason
        assert bool(answered.json()["advice"]) == isinstance(error, JournalUnavailable)


def test_how_long_messages_are_kept_the_server_says(client, sqlite_url):
    client.post("/reserve", json=a_reserve())
    edit(sqlite_url, at=time.time() - RETENTION / 2)
    prune = {**DO, "statements": [{"name": "prune", "values": {"retention": 0.0}}]}
    assert client.post("/do", json=prune).json() == {"changed": 0}
    assert len(rows(sqlite_url)) == 1


class SlowStore(Store):
    """A store whose lists' reservations wait for their account's lock until they are let go."""

    def __init__(self, url):
        super().__init__(url)
        self.go = threading.Event()
        self.waiting = 0

    def once(self, work, *, timeout):
        def slow(backend, remaining):
            return work(SlowBackend(self, backend), remaining)

        return super().once(slow, timeout=timeout)


class SlowBackend:
    def __init__(self, store, backend):
        self._store, self._backend = store, backend
        self.do, self.ask = backend.do, backend.ask

    def locked(self, lock, question, plan, *, timeout):
        if not plan.planner.request.is_alert:
            self._store.waiting += 1
            self._store.go.wait(10)
        return self._backend.locked(lock, question, plan, timeout=timeout)


@asynccontextmanager
async def a_slow_door(url):
    """Give a door whose lists' reservations wait, and a client."""
    import httpx

    store = SlowStore(url)
    app = create_app(JournalDoor(lambda: store, lambda: TOKEN, lambda: RETENTION))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door", headers=HEADERS) as client:
        yield store, client
        store.go.set()


@pytest.mark.parametrize("accounts", [("one",) * 4, ("a", "b", "c", "d")], ids=["one account", "four accounts"])
def test_an_alert_does_not_wait_behind_four_slow_senders(sqlite_url, accounts):
    async def play():
        async with a_slow_door(sqlite_url) as (store, client):
            asked = [a_reserve(f"slow {n}", account=account) for n, account in enumerate(accounts)]
            slow = [asyncio.create_task(client.post("/reserve", json=each)) for each in asked]
            # One at a time for an account, and two for all lists.
            while store.waiting < len(set(accounts[:2])):
                await asyncio.sleep(0.01)
            answers = [await client.post("/reserve", json=a_reserve("alert", is_alert=True)) for _ in range(2)]
            answers += [await client.post(f"/{step}", json=VALID[step]) for step in ("do", "ask", "now")]
            assert [answer.status_code for answer in answers] == [200] * 5
            assert not any(task.done() for task in slow)
            assert store.waiting == len(set(accounts[:2]))
            store.go.set()
            assert [answer.status_code for answer in await asyncio.gather(*slow)] == [200] * 4

    asyncio.run(play())


def test_a_reservation_whose_time_is_over_when_its_turn_comes_is_not_made(sqlite_url):
    async def play():
        async with a_slow_door(sqlite_url) as (store, client):
            slow = asyncio.create_task(client.post("/reserve", json=a_reserve("slow")))
            while not store.waiting:
                await asyncio.sleep(0.01)
            late = asyncio.create_task(client.post("/reserve", json=a_reserve("late", timeout=0.1)))
            await asyncio.sleep(0.2)
            store.go.set()
            assert (await slow).status_code == 200
            answered = await late
            assert (answered.status_code, answered.json()["reason"]) == (503, "the journal's API server is busy")

    asyncio.run(play())
    assert len(rows(sqlite_url)) == 1


def test_a_body_that_does_not_arrive_is_not_waited_for(sqlite_url, monkeypatch):
    import httpx

    monkeypatch.setattr(door_module, "BODY_SECONDS", 0.05)
    door = JournalDoor(lambda: Store(sqlite_url), lambda: TOKEN, lambda: RETENTION)

    async def never():
        yield b"{"
        await asyncio.sleep(10)

    async def play():
        transport = httpx.ASGITransport(create_app(door))
        async with httpx.AsyncClient(transport=transport, base_url="http://door", headers=HEADERS) as client:
            return await client.post("/now", content=never())

    assert asyncio.run(play()).status_code == 503


def test_slow_questions_of_the_page_leave_connections_to_the_door(postgres_url):
    import anyio
    import httpx

    from airflow_provider_dialogtech.api_server import page

    store, over, held = Store(postgres_url), threading.Event(), threading.Semaphore(0)
    backend = store._process().backend(20)

    def hold():
        with backend._connection(60):
            held.release()
            assert over.wait(60)

    async def play():
        door = create_app(JournalDoor(lambda: store, lambda: TOKEN, lambda: RETENTION))
        transport, reads = httpx.ASGITransport(door), Threads(page.READS, patience=60)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://door", headers=HEADERS) as client,
            anyio.create_task_group() as questions,
        ):
            for _ in range(2 * page.READS):
                questions.start_soon(reads.run, hold)
            for _ in range(page.READS):
                await anyio.to_thread.run_sync(held.acquire)
            answered = await asyncio.gather(*[client.post("/now", json={"timeout": 15.0}) for _ in range(4)])
            over.set()
        return [one.status_code for one in answered]

    assert asyncio.run(play()) == [200] * 4


def test_airflow_mounts_the_door_before_the_page(metadata, sqlite_url, monkeypatch):  # noqa: F811
    from fastapi import FastAPI

    from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin
    from airflow_provider_dialogtech.settings.door import newest_token

    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", sqlite_url)
    airflow = FastAPI()
    for app in DialogTechPlugin.fastapi_apps:
        airflow.mount(app["url_prefix"], app["app"])
    client = TestClient(airflow)
    assert client.get(f"{protocol.PATH}/version").json() == {"version": protocol.version()}
    headers = {**HEADERS, "Authorization": f"Bearer {newest_token()}"}
    assert client.post(f"{protocol.PATH}/reserve", json=a_reserve(), headers=headers).status_code == 200
    assert [row.state for row in rows(sqlite_url)] == ["reserved"]
    assert client.post(f"{protocol.PATH}/reserve", json=a_reserve(), headers=HEADERS).status_code == 403
