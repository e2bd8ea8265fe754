"""Nothing on the page holds the threads that the API server's own routes share."""

import threading

import anyio
import httpx
import pytest
from anyio import to_thread

from airflow_provider_dialogtech.api_server import page, threads, usage
from airflow_provider_dialogtech.exceptions import InvalidConnection
from tests.api_server.rights import FROM_PAGE

USERS = 40
# No test waits so long, however loaded the machine is: what is silent answers before.
LONG = 60


class Silence:
    """A journal, a secrets backend and a DialogTech that do not answer before the test says so."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.asked = []

    def of(self, name):
        def wait(*_, **__):
            self.asked.append(name)
            assert self.over.wait(LONG)
            raise OSError

        return wait


@pytest.fixture
def silence():
    silence = Silence()
    yield silence
    silence.over.set()


@pytest.fixture
def served(airflow_app, auth_manager, monkeypatch):
    """Return a client of one API server, which has a route of its own besides the page."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    # Limiters belong to one event loop.
    monkeypatch.setattr(page, "_reads", threads.Threads(4, patience=0.2))
    monkeypatch.setattr(page, "_look_ups", threads.LookUps(2, deadline=0.2))
    airflow_app.get("/own")(lambda: {})
    token = auth_manager.generate_jwt(SimpleAuthManagerUser(username="ada", role="admin"))
    return lambda: httpx.AsyncClient(
        transport=httpx.ASGITransport(airflow_app),
        base_url="http://airflow.example/dialogtech/",
        cookies={"_token": token},
        headers=FROM_PAGE,
        timeout=LONG,
    )


def page_threads():
    return [thread for thread in threading.enumerate() if thread.name == "dialogtech-request"]


def test_the_server_s_own_routes_answer_while_all_that_the_page_needs_is_silent(
    served, silence, connection_tests, monkeypatch
):
    from airflow.models.connection import Connection

    monkeypatch.setattr(page, "journal_store", silence.of("journal"))
    monkeypatch.setattr(Connection, "get_connection_from_secrets", silence.of("connection"))

    async def main():
        finished = []

        async def use(client):
            answers = [await client.get("messages"), await client.get("limits")]
            answers.append(await client.post("messages/1/look-up"))
            answers.append(await client.post("messages/1/settle", json={"outcome": "sent"}))
            finished.append(answers)

        async with served() as client, anyio.create_task_group() as users:
            for _ in range(USERS):
                users.start_soon(use, client)
            with anyio.fail_after(LONG):
                while len(finished) < USERS - 4:  # the others hold the page's four threads
                    assert (await client.get("http://airflow.example/own")).status_code == 200
                    await anyio.sleep(0.01)
            assert to_thread.current_default_thread_limiter().borrowed_tokens == 0
            assert len(page_threads()) <= 3  # two look-ups, and one that reads the connections
            silence.over.set()
        return finished

    finished = anyio.run(main)
    refused = [answer for answers in finished[: USERS - 4] for answer in answers]
    assert {answer.status_code for answer in refused} == {503}
    assert all("Try again" in answer.text or "look-up" in answer.text for answer in refused)
    # Two look-ups wait for the journal, whoever else asks.
    assert silence.asked.count("journal") <= 4 + 2 + 4 * 3
    assert silence.asked.count("connection") <= 1


def test_two_look_ups_run_at_a_time_and_the_third_is_refused_in_words(served, silence, write_message, connection_tests):
    message_id = write_message("in_doubt", key="its key")

    async def main():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(page, "_look_up", silence.of("DialogTech"))
            async with served() as client:
                answers = [await client.post(f"messages/{message_id}/look-up") for _ in range(3)]
                assert len(page_threads()) == 2
                silence.over.set()
                with anyio.fail_after(LONG):
                    while page_threads():
                        await anyio.sleep(0.01)
            return answers

    late, also_late, refused = anyio.run(main)
    assert [answer.status_code for answer in (late, also_late, refused)] == [503] * 3
    for answer in (late, also_late):
        assert answer.json()["detail"].startswith("The look-up took longer than 0.2 s. This says nothing")
    assert refused.json()["detail"].startswith("2 look-ups are running, and no more may run at a time.")
    assert silence.asked == ["DialogTech"] * 2


def test_a_look_up_frees_its_place_when_it_ends():
    async def main():
        look_ups = threads.LookUps(1, deadline=LONG)
        assert [await look_ups.run(int, index) for index in (1, 2, 3)] == [1, 2, 3]
        with pytest.raises(ZeroDivisionError):
            await look_ups.run(lambda: 1 / 0)
        assert await look_ups.run(lambda: 4) == 4

    anyio.run(main)


def test_work_that_has_begun_is_not_cut():
    async def main():
        reads = threads.Threads(1, patience=0.01)
        over = threading.Event()

        async def ends_later():
            await anyio.sleep(0.1)
            over.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ends_later)
            assert await reads.run(over.wait, LONG)

    anyio.run(main)


def test_the_connections_are_read_once_for_all_viewers(monkeypatch):
    reads = []
    monkeypatch.setattr(usage, "known_accounts", lambda: reads.append(None) or ("an account",))

    async def main():
        known = usage.KnownAccounts(fresh_for=LONG, patience=LONG)
        async with anyio.create_task_group() as viewers:
            for _ in range(USERS):
                viewers.start_soon(known.get)
        assert await known.get() == ("an account",)
        known._stale_at = 0
        assert await known.get() == ("an account",)
        with anyio.fail_after(LONG):
            while len(reads) < 2:
                await anyio.sleep(0.01)

    anyio.run(main)
    assert len(reads) == 2


def test_viewers_get_what_was_read_last_while_the_secrets_backend_is_silent(monkeypatch, silence):
    async def main():
        known = usage.KnownAccounts(fresh_for=0, patience=0.05)
        monkeypatch.setattr(usage, "known_accounts", silence.of("connections"))
        assert await known.get() == await known.get() == ()
        known._known = ("an account",)
        assert await known.get() == ("an account",)
        assert silence.asked == ["connections"]
        silence.over.set()

    anyio.run(main)


def test_invalid_conn_ids_are_reported(client_of, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "x" * 300)
    answer = client_of("admin").get("limits")
    assert (answer.status_code, "[dialogtech] conn_ids must be" in answer.json()["detail"]) == (503, True)
    assert InvalidConnection.default_advice not in answer.json()["detail"]
