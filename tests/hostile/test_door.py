"""An API server, or a proxy before it, that answers a task with anything: it gets one error with a name, in time."""

import json
import math
import socket
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.door.client import Door, DoorBackend
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.errors import StoreAway
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.planner import Planner, Planning
from airflow_provider_dialogtech.journal.records import COLUMNS, SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.journal.timing import Timing
from airflow_provider_dialogtech.masking import Opaque

TOKEN = Opaque("t0ken-canary")
NOT_ITS = "cut off, or is not the journal's"


@contextmanager
def answering(answer):
    """Give the URL of a server that reads each request, and gives its socket, its step and its content to `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, answer), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _serve(listening, answer):
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_answer, args=(client, answer), daemon=True).start()


def _answer(client, answer):
    with client, client.makefile("rb") as asked, suppress(OSError):
        step, length = asked.readline().split()[1].decode().rpartition("/")[2], 0
        while line := asked.readline().strip().lower():
            length = int(line.split(b":")[1]) if line.startswith(b"content-length") else length
        answer(client, step, json.loads(asked.read(length)))


def say(client, content, status=200):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    client.sendall(b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)


def a_door(url):
    return Door(url, lambda is_newest: TOKEN)


def a_journal(url):
    return MessageJournal(
        Store(a_door(url), clock=Clock(sleep=partial(time.sleep)), patience=0.3), "account", RateLimits()
    )


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [(HEAD, b"x"), (HEAD + b"Content-Length: 9999\r\n\r\n", b" "), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["header", "body", "continue"],
)
def test_an_answer_that_trickles_is_given_up_in_time(head, piece):
    def trickle(client, step, asked):
        client.sendall(head)
        while True:
            client.sendall(piece)
            time.sleep(0.05)

    told = []

    def find(url):
        with pytest.raises(JournalUnavailable) as raised:
            a_journal(url).find("key")
        told.append(str(raised.value))

    with answering(trickle) as url:
        finding = threading.Thread(target=find, args=(url,), daemon=True)
        finding.start()
        finding.join(10)
    assert told
    assert "did not answer" in told[0]


def the_time():
    return {"now": time.time(), "ago": 0.0, "error": 0.0, "held": 0.0}


@pytest.mark.parametrize(
    "odd",
    [
        {"number": "another"},
        {"owner": "another"},
        {"at": math.nan},
        {"at": math.inf},
        {"at": 1e300},
        {"id": 2**63},
        {"id": 0},
    ],
    ids=str,
)
def test_a_slot_that_was_not_asked_for_is_refused(odd):
    def reserve(client, step, asked):
        if step == "now":
            return say(client, {"time": the_time()})
        slot = {"id": 1, "owner": asked["owner"], "number": asked["request"]["numbers"][0], "at": time.time(), "due": 0}
        return say(client, {"time": the_time(), "answer": {**slot, **odd}})

    planner = Planner(
        SlotRequest("key", ("5554332101",), "5556667777", "Hello").named("account"), RateLimits(), owner="own"
    )
    with answering(reserve) as url, pytest.raises(StoreAway, match=NOT_ITS):
        a_door(url).open(SYSTEM_CLOCK, Timing(), timeout=5).locked("", None, Planning(planner), timeout=5)


A_ROW = dict.fromkeys(COLUMNS, "x") | {
    "id": 1, "at": 0.0, "state": "sending", "deadline": 0.0, "created": 0.0, "priority": 0, "displaced": 0,
    "map_index": -1, "loop_index": -1, "read_at": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [{"state": "of a newer version"}, {"state": None}, {"at": "x"}, {"deadline": None}, {"recipient_tail": 1}],
    ids=str,
)
def test_rows_that_cannot_be_its_own_are_refused(odd):
    row = A_ROW | odd

    def ask(client, step, asked):
        say(client, {"time": the_time()} if step == "now" else {"columns": [*row], "rows": [[*row.values()]]})

    with answering(ask) as url, pytest.raises(JournalUnavailable, match=NOT_ITS):
        a_journal(url).find("key")


@pytest.mark.parametrize("status", [403, 422, 503])
def test_its_words_do_not_reach_a_terminal_as_commands(status):
    words = {"reason": "\x1b[2Jcl\x07ear\nit", "advice": "do \u202e\x1b[31mthis"}
    commands = answering(lambda client, step, asked: say(client, words, status))
    with commands as url, pytest.raises(JournalUnavailable) as raised:
        a_journal(url).find("key")
    assert str(raised.value).isprintable()


def test_an_interrupt_while_it_is_asked_shows_the_token_in_no_frame(monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("urllib3.connection.HTTPConnection.getresponse", interrupted)
    with answering(lambda *_: None) as url, pytest.raises(KeyboardInterrupt) as raised:
        a_journal(url).find("key")
    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    assert any(frame.f_code is DoorBackend._send.__code__ for frame in frames)
    shown = [repr(value) for frame in frames for value in frame.f_locals.values() if frame.f_globals is not globals()]
    assert not [value for value in shown if str(TOKEN) in value]
