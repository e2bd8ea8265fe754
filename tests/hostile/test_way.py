"""Hostile servers and connections, tested through every entry point and not only the client.

The hook, both operators, the notifier and the connection test meet each of them concurrently, each with its own account
in one SQLite journal. Each reports quickly, by a named error that matches the journal, and without a key, a number or a
part of the message.
"""

import inspect
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

import pytest

from airflow_provider_dialogtech._compat import AirflowException, AirflowFailException
from airflow_provider_dialogtech.alerts import journals
from airflow_provider_dialogtech.delivery import attempts as tries
from airflow_provider_dialogtech.delivery import sender
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    InvalidConnection,
    Refused,
    Throttled,
    Unreachable,
)
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.schema import messages, metadata
from airflow_provider_dialogtech.masking import encodings_of
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator
from airflow_provider_dialogtech.settings.identity import account_of
from tests.api.server import answering, dripping, failed, read_request, reset_after_request, say_nothing, serving
from tests.api.server import http as an_answer
from tests.hostile.test_replies import ACCESS_KEY, ECHOES, SECRET, chunked, first_bytes, flooding
from tests.hostile.witness import bare, views_of, witnessing
from tests.journal.looking import rows
from tests.vendors_page import SUCCESS

CANARY = "Zanzibar"
MESSAGE = f"{CANARY} <table> & 'more' 100 %"
# What is called, with the number it messages and the one it messages from.
WAYS = {
    "hook": ("2125550181", "5554332181"),
    "operator": ("2125550182", "5554332182"),
    "bulk": ("2125550183", "5554332183"),
    "notifier": ("2125550184", "5554332184"),
    "test_connection": ("2125550185", "5554332185"),
}
SENDING = [way for way in WAYS if way != "test_connection"]
# Of a message in hex, not its beginning either.
CANARIES = (ACCESS_KEY, CANARY, CANARY[:4].encode().hex(), *(number for numbers in WAYS.values() for number in numbers))
TIMEOUT = 1.0
LEEWAY = 40.0  # however busy the machine is
# The connection, the journal and the wait for the slot come before the request.
SLOT = 2.0
# A throttled message waits this long, and then for another slot.
NEXT_TRY = sender.PAUSE + SLOT


class Shown(SimpleNamespace):
    """A connection that shows its password in its repr, as those of Airflow's database do."""


@dataclass
class Ended:
    """The outcome of an entry point."""

    result: Any = None
    error: BaseException | None = None
    took: float = float("inf")
    pushed: dict[str, Any] = field(default_factory=dict)


def the_connection(way: str, host: str, **fields: object) -> Shown:
    to, from_ = WAYS[way]
    extra = {"from_numbers": from_, "alert_to": to, "timeout": TIMEOUT, "account": f"account of {way}"}
    standard = {"login": ACCESS_KEY, "password": SECRET, "host": host, "port": None, "schema": None}
    return Shown(**{"conn_id": way, "conn_type": "dialogtech", **standard, "extra": json.dumps(extra), **fields})


def call(way: str, pushed: dict[str, Any]) -> Any:
    """Call an entry point as a user does."""
    to, _ = WAYS[way]
    ti = SimpleNamespace(dag_id="etl", run_id="run", task_id=way, map_index=-1, try_number=1, max_tries=0)
    ti.xcom_push = lambda key, value: pushed.update({key: value})
    context = {"ti": ti, "task": SimpleNamespace(), "dag": None, "run_id": "run"}
    if way == "hook":
        return DialogTechHook(way).send_sms(to=to, message=MESSAGE)
    if way == "operator":
        return execute(DialogTechSendSmsOperator(task_id=way, to=to, message=MESSAGE, dialogtech_conn_id=way), context)
    if way == "bulk":
        listed = [{"to": to, "name": CANARY}]
        message = MESSAGE.replace(CANARY, "{{ recipient.name }}")
        task = DialogTechSendBulkSmsOperator(
            task_id=way, recipients=listed, message=message, detailed=True, dialogtech_conn_id=way
        )
        return execute(task, context)
    if way == "notifier":
        failed_task = context | {"exception": RuntimeError(f"{MESSAGE} {SECRET}")}
        return DialogTechSmsNotifier(MESSAGE, dialogtech_conn_id=way)(failed_task)
    return DialogTechHook(way).test_connection()


def execute(task: Any, context: dict[str, Any]) -> Any:
    # Airflow 2.11 wraps it in a check that only the main thread passes.
    return inspect.unwrap(type(task).execute)(task, context)


def run(way: str, ended: Ended) -> None:
    begun = time.monotonic()
    try:
        ended.result = call(way, ended.pushed)
    except Exception as error:
        ended.error = error
    ended.took = time.monotonic() - begun


def assert_silent(shown: str) -> None:
    found = shown.lower()
    assert not [form for form in encodings_of(SECRET) if form.lower() in found]
    for view in views_of(shown):
        assert bare(SECRET) not in view
        for canary in CANARIES:
            for sought in (canary.lower(), bare(canary)):
                at = view.find(sought)
                assert at < 0, view[max(0, at - 300) : at + 60]


@pytest.fixture
def go_all_ways(monkeypatch, tmp_path):
    """Call all entry points concurrently, and check everything that they show."""
    journal = f"sqlite:///{tmp_path / 'journal.db'}"
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", journal)
    monkeypatch.setattr("airflow.configuration.AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(tries, "TRIES", 1)
    # However busy the machine is, the alert waits for the journal.
    patient = [journal._replace(seconds=60.0) for journal in journals.JOURNALS]
    monkeypatch.setattr(journals, "JOURNALS", patient)

    def go(host: str, timeout: float = TIMEOUT + LEEWAY + SLOT, **fields: object) -> SimpleNamespace:
        monkeypatch.setattr(
            DialogTechHook, "get_connection", staticmethod(lambda way: the_connection(way, host, **fields))
        )
        ended = {way: Ended() for way in WAYS}
        with witnessing() as witness:
            threads = [threading.Thread(target=run, args=item, daemon=True) for item in ended.items()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(timeout + SLOT)
            for one in ended.values():
                if one.error is not None:
                    witness.see(one.error)
        slow = {way: one.took for way, one in ended.items() if one.took > timeout}
        assert not slow
        kept = [row for table in metadata.sorted_tables for row in all_rows(journal, table)]
        shown = [f"{one.result!r} {one.pushed!r} {one.error!s}" for one in ended.values()]
        assert_silent("\n".join([*witness.seen, *map(repr, kept), *shown]))
        states = {
            way: [
                row.state
                for row in all_rows(journal, messages)
                # A slow machine may miss a slot, whose row is released; no byte was written in it.
                if row.account == account_of(f"account of {way}") and row.state != "released"
            ]
            for way in WAYS
        }
        return SimpleNamespace(**ended, states=states, log="\n".join(witness.seen))

    return go


def all_rows(journal: str, table: Any) -> list[Any]:
    from sqlalchemy.exc import OperationalError

    try:
        return rows(journal, table)
    except OperationalError:  # the journal was never opened
        return []


def echoing(form: Callable[[str], str], status: str = "200 OK", *headers: str, inside: bytes = failed("REASON")):
    """Answer with everything that the request held."""

    def behave(connection, server):
        if request := read_request(connection, server):
            connection.sendall(an_echo(request, form, status, *headers, inside=inside))

    return behave


def an_echo(request: bytes, form: Callable[[str], str], status: str, *headers: str, inside: bytes) -> bytes:
    values = values_of(request)
    echoed = " ; ".join(
        form(values[name]) for name in ("secret_access_key", "to", "message", "from", "access_key") if name in values
    )
    body = inside.replace(b"REASON", escape(f"Bad: {echoed}").encode())
    return an_answer(body, status, *(header.replace("TOLD", escape(echoed)) for header in headers))


def values_of(request: bytes) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.split()[1].decode()).query))


ECHOING_SUCCESS = SUCCESS.replace(b"[1] Message Sent", b"[1] Message Sent REASON")
LYING_SUCCESS = SUCCESS.replace(b"[1] Message Sent", b"[0] REASON")
LOCATION = "Location: /?TOLD"
ECHOED = ("plain", "html twice", "double percent", "base64", "hex", "zero-width spaces between")
IN_DOUBT = {
    "a redirect that echoes": echoing(ECHOES["quote all"], "302 Found", LOCATION),
    "a redirect with a body without end": flooding(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"),
    "a redirect with a gzip bomb": answering(
        an_answer(first_bytes(b"x" * 1024), "302 Found", "Location: /", "Content-Encoding: gzip")
    ),
    "dripping headers": dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drip: drop\r\n"),
    "a dripping body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b" "),
    "a body without end": flooding(b"HTTP/1.1 200 OK\r\n\r\n"),
    "a chunk of size -1": flooding(chunked(b"-1\r\n")),
    "a success that counts nothing": echoing(str, inside=LYING_SUCCESS),
    "a failure that echoes": echoing(str, "500 Oops"),
    "rubbish": answering(b"220 mail.example ESMTP\r\n"),
    "rubbish that echoes": echoing(str, inside=b"REASON"),
    "a reset": reset_after_request,
    "no reply": say_nothing,
}
REFUSED = {f"a reason that echoes, {name}": (echoing(ECHOES[name]), Refused) for name in ECHOED} | {
    "keys that are not accepted and echoed": (echoing(ECHOES["&#039;"], "401 Unauthorized"), BadCredentials)
}
COME_BACK = ("9" * 6000, f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT", "1e400")


def assert_reported_as(ended: SimpleNamespace, kind: type[DialogTechError], counted: str, words: str) -> None:
    """Check what each entry point reports."""
    final = kind in {InDoubt, Refused, BadCredentials}
    assert type(ended.hook.error) is kind
    assert words in str(ended.hook.error)
    assert type(ended.operator.error) is (AirflowFailException if final else kind)
    assert words in str(ended.operator.error)
    assert type(ended.bulk.error) is (AirflowFailException if final else AirflowException)
    assert ended.bulk.pushed["return_value"][counted] == 1
    assert ended.bulk.pushed["return_value"]["failures"][0]["to"] == f"…{WAYS['bulk'][0][-4:]}"
    assert ended.notifier.error is None
    assert f"…{WAYS['notifier'][0][-4:]} {'may have been' if kind is InDoubt else 'was not'} sent" in ended.log
    assert ended.test_connection.error is None


@pytest.mark.parametrize("behave", IN_DOUBT.values(), ids=IN_DOUBT)
def test_every_way_reports_and_records_in_doubt(behave, go_all_ways):
    with serving(behave) as server:
        ended = go_all_ways(server.url)
    assert_reported_as(ended, InDoubt, "in_doubt", "may have been sent")
    assert [ended.states[way] for way in SENDING] == [["in_doubt"]] * len(SENDING)


@pytest.mark.parametrize(("behave", "kind"), REFUSED.values(), ids=REFUSED)
def test_every_way_reports_and_records_refused(behave, kind, go_all_ways):
    with serving(behave) as server:
        ended = go_all_ways(server.url)
    assert_reported_as(ended, kind, "refused", "was not sent")
    assert [ended.states[way] for way in SENDING] == [["refused"]] * len(SENDING)
    assert ended.test_connection.result[0] is False


@pytest.mark.parametrize("come_back", COME_BACK, ids=["a long number", "a far year", "infinity"])
def test_every_way_reports_and_records_throttled(come_back, go_all_ways):
    with serving(echoing(str, "429 Slow", f"Retry-After: {come_back}")) as server:
        ended = go_all_ways(server.url)
    assert_reported_as(ended, Throttled, "not_sent", "was not sent")
    assert [ended.states[way] for way in SENDING] == [["throttled"]] * len(SENDING)
    assert ended.test_connection.result[0] is False


def test_every_way_reports_an_unreachable_api(unused_port, go_all_ways):
    ended = go_all_ways(f"http://127.0.0.1:{unused_port}/")
    assert_reported_as(ended, Unreachable, "not_sent", "was not sent")
    assert [ended.states[way] for way in SENDING] == [[]] * len(SENDING)
    assert ended.test_connection.result[0] is False


def test_every_way_reports_a_success_that_echoes(go_all_ways):
    with serving(echoing(ECHOES["html"], inside=ECHOING_SUCCESS)) as server:
        ended = go_all_ways(server.url)
    assert (ended.hook.result.status, ended.operator.result["status"], ended.bulk.result["sent"]) == ("sent", "sent", 1)
    assert f"…{WAYS['notifier'][0][-4:]} was sent" in ended.log
    assert [ended.states[way] for way in SENDING] == [["sent"]] * len(SENDING)


def test_every_way_reports_a_message_that_is_sent_later(go_all_ways, monkeypatch):
    monkeypatch.setattr(tries, "TRIES", 2)
    throttled = set()

    def once_wrong(connection, server):
        if not (request := read_request(connection, server)):
            return
        number = values_of(request).get("to")
        known = number in throttled
        throttled.add(number)
        if known:
            connection.sendall(an_echo(request, str, "200 OK", inside=ECHOING_SUCCESS))
        else:
            connection.sendall(an_echo(request, str, "429 Slow", "Retry-After: -1", inside=failed("REASON")))

    with serving(once_wrong) as server:
        ended = go_all_ways(server.url, timeout=TIMEOUT + LEEWAY + SLOT + NEXT_TRY)
    assert (ended.hook.result.status, ended.operator.result["status"], ended.bulk.result["sent"]) == ("sent", "sent", 1)
    assert [ended.states[way] for way in SENDING] == [["throttled", "sent"]] * len(SENDING)


DEEP = 20_000
CONNECTIONS = {
    "a backslash": {"host": f"http://evil.example:80\\[::1]/{CANARY}"},
    "brackets": {"host": f"http://[{CANARY}.example]/"},
    "a user": {"host": f"https://{CANARY}:{SECRET}@secure.dialogtech.com/"},
    "a query": {"host": f"https://secure.dialogtech.com/?{SECRET}"},
    "http elsewhere": {"host": f"http://{CANARY}.example/"},
    "no URL": {"host": SECRET},
    "another scheme": {"host": f"file:///{CANARY}"},
    "a long host": {"host": f"https://{CANARY}.example/" + "a" * 3000},
    "a deep extra": {"extra": f'{{"{CANARY}":' + "[" * DEEP},
    "an extra that is none": {"extra": f"{CANARY} {WAYS['hook'][0]}"},
    "an extra of 5,000 digits": {"extra": '{"timeout": ' + "9" * 5000 + "}"},
    "an extra of bytes": {"extra": CANARY.encode()},
    "an extra that is a list": {"extra": [CANARY]},
    "wrong numbers": {"extra": json.dumps({"from_numbers": [WAYS["hook"][1] + CANARY]})},
    "a mapping of numbers": {"extra": json.dumps({"from_numbers": {CANARY: WAYS["hook"][1]}})},
    "a wrong time-out": {"extra": json.dumps({"timeout": CANARY})},
    "an endless time-out": {"extra": '{"timeout": Infinity}'},
    "a wrong method": {"extra": json.dumps({"http_method": CANARY})},
    "a wrong limit": {"extra": json.dumps({"account_per_second": CANARY})},
    "a port": {"port": 25},
    "no password": {"password": None},
    "a long password": {"password": SECRET * 200},
    "a password of bytes": {"password": SECRET.encode() * 200},
}


@pytest.mark.parametrize("fields", CONNECTIONS.values(), ids=CONNECTIONS)
def test_every_way_refuses_an_invalid_connection_and_shows_none_of_its_values(fields, go_all_ways):
    ended = go_all_ways(**{"host": "", **fields})
    assert type(ended.hook.error) is InvalidConnection
    assert type(ended.operator.error) is type(ended.bulk.error) is AirflowFailException
    assert "Nothing was sent" in str(ended.hook.error)
    assert f"Nothing was sent: {ended.hook.error.reason}. Correct the connection" in str(ended.operator.error)
    assert "no message was sent" in ended.log or "was not sent" in ended.log
    worked, words = ended.test_connection.result
    assert worked is False
    assert words.startswith("This connection: ")
    assert [ended.states[way] for way in WAYS] == [[]] * len(WAYS)


def test_the_look_would_find_what_leaks():
    for leak in (SECRET, *encodings_of(SECRET), MESSAGE, "+1 (212) 555-0184"):
        with pytest.raises(AssertionError):
            assert_silent(f"so {leak} it is")
