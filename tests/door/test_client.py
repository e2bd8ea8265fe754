"""A process that reaches the journal by the door alone: what it does when the way there, or the other side, fails."""

import inspect
import os
import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
import trustme

pytest.importorskip("airflow.api_fastapi")

from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.door import protocol
from airflow_provider_dialogtech.door.client import Door, DoorBackend
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal import dedup
from airflow_provider_dialogtech.journal import journal as journal_module
from airflow_provider_dialogtech.journal.dedup import AlertGate
from airflow_provider_dialogtech.journal.errors import StoreAway
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.statements import STATEMENTS
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.operations.messages import Messages
from tests.doors import TOKEN, running_door, wire_to
from tests.journal.looking import rows

pytestmark = pytest.mark.usefixtures("no_slot_is_missed")

NUMBERS = tuple(f"55543321{n:02}" for n in range(8))
LIMITS = RateLimits(account_per_second=50)


@pytest.fixture
def behind(door_server, sqlite_url):
    """A file behind the door."""
    door_server.to(sqlite_url)
    return sqlite_url


@pytest.fixture
def wire(door_server, behind):
    with wire_to(door_server.url) as wire:
        yield wire


def a_store(url, *, token=lambda is_newest: TOKEN, patience=20.0, **options):
    """Return the store of a process of its own: one with another clock shares nothing."""
    return Store(Door(url, token), clock=Clock(sleep=partial(time.sleep)), patience=patience, **options)


def a_journal(store):
    return MessageJournal(store, "account", LIMITS)


def a_request(key="key", **options):
    return SlotRequest(key, NUMBERS, "5556667777", "Hello", **options)


def send(journal, key):
    """Do with a message what a sender does."""
    held = journal.reserve(a_request(key))
    assert isinstance(held, Reservation)
    time.sleep(max(0.0, held.due - time.monotonic() - 0.05))
    assert journal.start(held, request_timeout=30)
    assert journal.settle(held, "sent", {})


def test_an_answer_that_was_lost_is_asked_for_again_and_recognised(wire, behind):
    journal = a_journal(a_store(wire.url))
    journal.find("open it")
    for step in ("reserve", "start", "settle"):
        wire.replies_to_lose = 1
        if step == "reserve":
            held = journal.reserve(a_request())
        elif step == "start":
            time.sleep(max(0.0, held.due - time.monotonic() - 0.05))
            assert journal.start(held, request_timeout=30)
        else:
            assert journal.settle(held, "sent", {"sms_id": "1"})
        assert wire.replies_to_lose == 0
    (row,) = rows(behind)
    assert (row.id, row.owner, row.state) == (held.id, held.owner, "sent")


def test_an_alert_whose_answer_was_lost_is_claimed_once(wire):
    gate = AlertGate(a_store(wire.url), "account")
    assert gate.decide("warm up", "5556667777", None).claim
    wire.replies_to_lose = 2
    assert gate.decide("dag failed", "5556667777", None).claim
    assert gate.decide("dag failed", "5556667777", None).claim is not None


def test_a_server_that_is_killed_and_comes_back_in_the_middle_of_a_list_loses_and_doubles_nothing(wire, behind):
    journal = a_journal(a_store(wire.url))
    for n in range(6):
        if n == 3:
            wire.kill()
            threading.Timer(0.5, wire.revive).start()
        send(journal, str(n))
    assert [row.state for row in rows(behind)] == ["sent"] * 6


def test_a_server_that_stands_still_for_a_while_is_waited_for(wire, behind):
    journal = a_journal(a_store(wire.url))
    send(journal, "1")
    wire.stall()
    threading.Timer(0.7, wire.resume).start()
    send(journal, "2")
    assert [row.state for row in rows(behind)] == ["sent"] * 2


def test_a_server_that_does_not_answer_is_given_up_in_time_and_named(wire):
    store = a_store(wire.url, patience=0.6)
    store.open()
    wire.stall()
    begun = time.monotonic()
    with pytest.raises(JournalUnavailable, match="did not answer") as raised:
        a_journal(store).find("key")
    assert time.monotonic() - begun < 5
    assert f"can be reached at {wire.url}/dialogtech/journal." in str(raised.value)


def test_a_server_that_is_gone_is_tried_again_until_patience_ends(wire):
    store = a_store(wire.url, patience=0.5)
    wire.kill()
    with pytest.raises(JournalUnavailable, match="the connection was refused or lost"):
        a_journal(store).reserve(a_request())
    assert wire.accepted > 2


@pytest.mark.parametrize(("path", "status"), [("/elsewhere", 404), ("/get-only", 405), ("/moved", 307)])
def test_where_there_is_no_door_the_address_is_named_and_not_tried_again(door_server, path, status):
    @door_server.airflow.get(f"/get-only{protocol.PATH}/{{step}}")
    def of_another_app(step: str) -> str:
        return step

    @door_server.airflow.api_route(f"/moved{protocol.PATH}/{{step}}", methods=["POST"])
    def moved(step: str):
        from fastapi.responses import RedirectResponse

        return RedirectResponse("/elsewhere")

    with wire_to(door_server.url) as wire, pytest.raises(JournalUnavailable) as raised:
        a_journal(a_store(wire.url + path)).find("key")
    said = str(raised.value)
    assert (
        f"there is no journal at this address: {wire.url}{path}/dialogtech/journal/now answered HTTP {status}" in said
    )
    assert "--apps execution" in said
    assert wire.accepted == 1
    assert TOKEN not in said


def test_a_token_that_was_rotated_is_asked_for_anew_once(door_server, behind):
    asked = []

    def token(is_newest):
        asked.append(is_newest)
        return TOKEN if is_newest else "of yesterday"

    journal = a_journal(a_store(door_server.url, token=token))
    assert journal.find("key") is None
    assert journal.find("key") is None
    assert asked == [False, True]


def test_threads_that_meet_a_rotated_token_at_once_all_take_the_new_one(door_server, behind):
    tokens, together = ["of yesterday"], threading.Barrier(3)

    def token(is_newest):
        if is_newest:
            tokens[0] = TOKEN
            together.wait(10)
        return tokens[0]

    store = a_store(door_server.url, token=lambda is_newest: TOKEN)
    store.open()
    backend = store._process().backend(1)
    backend._door, backend._token = Door(door_server.url, token), "of yesterday"
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(a_journal(store).find, "abc")) == [None] * 3


def test_a_token_that_is_wrong_is_refused_by_name_and_not_shown(door_server, behind):
    with pytest.raises(JournalUnavailable) as raised:
        a_journal(a_store(door_server.url, token=lambda is_newest: "another token")).find("key")
    assert "the token of the connection dialogtech_journal" in str(raised.value)
    assert "another token" not in str(raised.value)


def test_a_server_of_another_version_is_refused_by_name(door_server, behind, monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.door.client.protocol.version", lambda: "9.0")
    with pytest.raises(JournalUnavailable, match="speaks version"):
        a_journal(a_store(door_server.url)).find("key")


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"columns": 1}', b'{"time": {"now": 1e999}}'])
def test_an_answer_that_is_none_is_an_error_with_a_name(door_server, answer):
    from fastapi.responses import Response

    path = f"/odd-{len(answer)}"

    @door_server.airflow.api_route(f"{path}{protocol.PATH}/{{step}}", methods=["POST"])
    def odd(step: str):
        return Response(answer, media_type="application/json")

    with pytest.raises(JournalUnavailable, match="cut off, or is not the journal's"):
        a_journal(a_store(door_server.url + path, retry_for=0)).find("key")


def test_an_answer_without_end_is_an_error_with_a_name(door_server, behind, monkeypatch):
    monkeypatch.setattr(protocol, "LARGEST_REPLY", 10)
    with pytest.raises(JournalUnavailable, match="more than 10 bytes"):
        a_journal(a_store(door_server.url, retry_for=0)).find("key")


def test_what_is_on_the_wire_shows_neither_body_nor_number_nor_key(door_server, behind, monkeypatch):
    sent = []
    exchange = DoorBackend._exchange
    monkeypatch.setattr(
        DoorBackend, "_exchange", lambda self, step, body, *rest: sent.append(body) or exchange(self, step, body, *rest)
    )
    journal = a_journal(a_store(door_server.url))
    send(journal, "a secret key")
    assert isinstance(journal.reserve(a_request("a secret key")), Record)
    said = b"".join(sent).decode()
    assert len(sent) >= 5
    assert not [word for word in ("Hello", "a secret key", "5556667777", *NUMBERS, "SELECT", "UPDATE") if word in said]


@pytest.mark.parametrize(("module", "prefix"), [(journal_module, "statements."), (dedup, "alert_statements.")])
def test_each_statement_of_the_journals_two_faces_may_pass(module, prefix):
    used = re.findall(rf"\b{re.escape(prefix)}([A-Z_]+)\b", inspect.getsource(module))
    names = {f"{prefix.removesuffix('statements.')}{name.lower()}" for name in used} & set(STATEMENTS)
    assert len(names) > 5
    assert names <= protocol.READS | protocol.WRITES


def test_a_question_of_people_is_refused_by_name_before_it_is_asked(wire):
    with pytest.raises(JournalUnavailable, match="only through Airflow's API server") as raised:
        Messages(a_store(wire.url)).list(since=60)
    assert raised.value.advice == "Run the command where the API server runs."


def test_a_list_may_take_longer_than_a_year(wire):
    assert isinstance(a_journal(a_store(wire.url)).reserve(a_request(), max_wait=1e12), Reservation)


def test_the_api_server_may_be_behind_a_socks_proxy(unused_port, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"socks5://127.0.0.1:{unused_port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(StoreAway, match="the connection was refused or lost"):
        a_backend("http://api-server.example").read_clock(5.0)


def a_backend(url="http://127.0.0.1:1"):
    return DoorBackend(Door(url, lambda is_newest: TOKEN), SYSTEM_CLOCK)


def test_a_reading_is_wrong_by_no_more_than_half_of_the_way_there_and_back():
    """The clock was read 0.3 s before the answer left; the server had the request for 0.5 of 0.9 s."""
    told = protocol.Time(now=5000.0, ago=0.3, error=0.01, held=0.5)
    reading = told.reading(asked=100.0, answered=100.9)
    # It left between 100.5, where the way back took all of the 0.4 s, and 100.9, where that took nothing.
    assert reading.at == pytest.approx(100.7 - 0.3)
    assert reading.took / 2 == pytest.approx(0.2 + 0.01)


def test_a_slot_is_due_by_the_best_reading_not_by_a_slow_answer(door_server, behind, wire):
    store = a_store(wire.url)
    store.open()
    backend = store._process().backend(1)
    best = backend._latest
    held = a_journal(store).reserve(a_request())
    assert held.due == pytest.approx(held.at - backend._latest.offset)
    assert abs(backend._latest.offset - best.offset) < 0.2


def test_a_child_process_has_connections_of_its_own(door_server, behind):
    journal = a_journal(a_store(door_server.url))
    send(journal, "parent")
    child = os.fork()
    if not child:
        found = None
        with suppress(BaseException):
            found = journal.find("parent")
        os._exit(0 if found is not None and found.state == "sent" else 1)
    assert journal.find("parent").state == "sent"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Of the server and of a client, each with the authority that issued it, and of another authority."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "client", "other"):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / f"{name}-ca.pem")
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    return {file.name: str(file) for file in folder.iterdir()}


def behind_tls(server, *files, **options):
    return a_journal(Store(Door(server.url, lambda is_newest: TOKEN, files, **options), retry_for=0))


def test_each_certificate_of_airflows_settings_is_trusted_and_no_other(certificates, sqlite_url):
    ours, other = certificates["server-ca.pem"], certificates["other-ca.pem"]
    with running_door("https", ssl_certfile=certificates["server.pem"]) as server:
        server.to(sqlite_url)
        for trusted in ((ours,), (other, ours)):
            assert behind_tls(server, *trusted).find("key") is None
        for trusted in ((), (other,)):
            with pytest.raises(JournalUnavailable, match=r"certificate is not trusted here.*ssl_ca_file"):
                behind_tls(server, *trusted).find("key")
        with pytest.raises(JournalUnavailable, match=r"/not/there cannot be read.*ssl_ca_file"):
            behind_tls(server, "/not/there").find("key")


def test_a_proxy_does_not_change_what_is_trusted(certificates, monkeypatch, sqlite_url):
    """A proxy's CONNECT, for an address that only the proxy knows."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with running_door("https", ssl_certfile=certificates["server.pem"]) as server, wire_to(server.url) as wire:
        server.to(sqlite_url)
        wire.is_proxy = True
        monkeypatch.setenv("HTTPS_PROXY", wire.url)
        assert behind_tls(server, certificates["server-ca.pem"]).find("key") is None
        assert wire.accepted
        with pytest.raises(JournalUnavailable, match="certificate is not trusted here"):
            behind_tls(server, certificates["other-ca.pem"]).find("key")


def test_a_server_that_asks_for_a_certificate_gets_the_one_of_airflows_settings(certificates, sqlite_url):
    asked = {"ssl_ca_certs": certificates["client-ca.pem"], "ssl_cert_reqs": ssl.CERT_REQUIRED}
    with running_door("https", ssl_certfile=certificates["server.pem"], **asked) as server:
        server.to(sqlite_url)
        ours = (certificates["client.pem"], certificates["client.pem"])
        assert behind_tls(server, certificates["server-ca.pem"], client_cert=ours).find("key") is None
        with pytest.raises(JournalUnavailable):
            behind_tls(server, certificates["server-ca.pem"]).find("key")


@pytest.mark.parametrize(
    "beginning", [b"", b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
def test_an_answer_whose_bytes_come_one_by_one_is_given_up_in_time(beginning):
    over = threading.Event()

    def trickle(listening):
        with suppress(OSError), listening.accept()[0] as client:
            client.recv(65536)
            client.sendall(beginning)
            while not over.wait(0.05):
                client.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=trickle, args=(listening,), daemon=True).start()
        backend = a_backend(f"http://127.0.0.1:{listening.getsockname()[1]}")
        threading.Timer(20, over.set).start()
        begun = time.monotonic()
        with pytest.raises(StoreAway, match=r"did not answer in time"):
            backend.read_clock(0.5)
        assert time.monotonic() - begun < 10
        over.set()
