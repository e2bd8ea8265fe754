"""Which listed message is a message of the journal."""

import socket
import time
from dataclasses import replace

import pytest

from airflow_provider_dialogtech.exceptions import JournalUnavailable, NotSent, Throttled, Unreachable
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.records import COLUMNS, Record
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.operations.look_up import listed_as, look_up, why_not_asked
from airflow_provider_dialogtech.operations.messages import Messages
from airflow_provider_dialogtech.settings.journal import journal_store

WORDS = "Hi Ada, it’s done & <dusted>"


def a_message(to="5556667777", words=WORDS) -> Record:
    values = dict.fromkeys(COLUMNS, "") | dict.fromkeys(("id", "at", "deadline", "created", "priority", "displaced"), 0)
    values |= {"state": "in_doubt", "recipient_tail": to[-4:], "digest": digest(to, words), "map_index": -1}
    return Record.of([*values.values(), 0.0])


@pytest.mark.parametrize("to", ["5556667777", "15556667777", "+1 (555) 666-7777", " 555-666-7777\n", "1.555.666.7777"])
@pytest.mark.parametrize(
    "words",
    [
        WORDS,
        f"\n   {WORDS}\n  ",
        WORDS.replace("&", "&amp;").replace("<", "&lt;"),
        "Hi+Ada%2C+it%E2%80%99s+done+%26+%3Cdusted%3E",
    ],
)
def test_a_message_is_recognised_however_it_is_written(to, words):
    assert listed_as(a_message(), [("7", to, "2026-01-02 03:04:05", words)]) == ["2026-01-02 03:04:05"]


def test_the_order_of_the_parts_and_what_else_there_is_do_not_matter():
    assert listed_as(a_message(), [(WORDS, "delivered", "5556667777", "5554332111")]) == [""]


def test_line_ends_that_xml_has_changed_are_the_same():
    assert listed_as(a_message(words="one\r\ntwo"), [("5556667777", "one\ntwo")]) == [""]


@pytest.mark.parametrize(
    "message",
    [
        ("5556667778", WORDS),
        ("5556667777", WORDS + "!"),
        ("5556667777",),
        (WORDS,),
        ("7777", WORDS),
        ("x5556667777", WORDS),
        (),
    ],
    ids=str,
)
def test_anything_else_is_another_message(message):
    assert listed_as(a_message(), [message]) == []


def test_a_foreign_number_is_recognised_with_its_country_code():
    assert listed_as(a_message(to="442079460958"), [("+44 20 7946 0958", WORDS)]) == [""]


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-02 03:04:05",
        "2026-01-02T03:04:05Z",
        "2026/01/02 03:04",
        "1/2/2026 3:04 PM",
        "2026-01-02T03:04:05.678+01:00",
    ],
)
def test_the_time_is_shown_as_it_stands_there(time):
    assert listed_as(a_message(), [("5556667777", WORDS, time)]) == [time]


def test_each_message_counts():
    assert len(listed_as(a_message(), [("5556667777", WORDS)] * 3)) == 3


LONG = 60


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Unreachable("it is away"), " Check the network, the proxy and the API URL in the connection."),
        (Throttled("too many"), ""),
        (NotSent("no connection", advice="Name the connection: --conn-id."), " Name the connection: --conn-id."),
        (JournalUnavailable("it is away"), " Check the journal: `python -m airflow_provider_dialogtech check`."),
        (NotSent("it was stopped"), ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_look_up_that_fails_does_not_advise_to_send_the_message_again(error, advice):
    expected = f"DialogTech was not asked, or did not answer: {error.reason}. This says nothing about the message."
    assert why_not_asked(error) == expected + advice


def test_a_look_up_ends_in_time_however_patient_the_connection_is(connection):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        connection(host=host, extra={"from_numbers": "5554332111", "timeout": 600})
        message = replace(a_message(), account=DialogTechHook().settings.account)
        begun = time.monotonic()
        with pytest.raises(NotSent, match="no reply came within"):
            look_up(message, Messages(journal_store()), within=0.4)
        assert time.monotonic() - begun < LONG


def test_a_list_beyond_its_bound_is_refused(connect_sandbox, sandbox):
    connect_sandbox(extra={"from_numbers": "5554332111"})
    message = replace(a_message(), account=DialogTechHook().settings.account)
    with pytest.raises(NotSent, match="the reply is too large"):
        look_up(message, Messages(journal_store()), largest=10)


def test_only_the_named_connections_are_read(connection, monkeypatch):
    from airflow.models.connection import Connection

    read = []
    connection()
    monkeypatch.setattr(Connection, "get_connection_from_secrets", read.append)
    with pytest.raises(NotSent, match="no connection"):
        look_up(a_message(), Messages(journal_store()), among=["one", "two"])
    assert read == ["one", "two"]


def test_connections_that_cannot_be_read_are_named(connection, monkeypatch):
    from airflow.models.connection import Connection

    def read(conn_id):
        if conn_id != "one":
            raise OSError("password=secret")
        return connections

    connections = Connection(conn_id="one", conn_type="dialogtech", login="a login", password="a password")
    monkeypatch.setattr(Connection, "get_connection_from_secrets", read)
    with pytest.raises(NotSent) as failed:
        look_up(a_message(), Messages(journal_store()), among=["one", "two", "three"])
    assert failed.value.reason.endswith("belongs to the account that sent the message 0; not readable: two, three")
    assert "secret" not in why_not_asked(failed.value)
