"""Where the API server is, and the token for its journal."""

import logging
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech._compat import AirflowNotFoundException
from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.settings import door

TOKEN = "a token of the tests"


@pytest.fixture
def connection(monkeypatch):
    """The connection dialogtech_journal, which a test may change; how often it was read."""
    connection = SimpleNamespace(host=None, schema=None, port=None, password=TOKEN, reads=0)

    def read(conn_id):
        assert conn_id == "dialogtech_journal"
        connection.reads += 1
        return connection

    monkeypatch.setattr(door, "connection_of", read)
    return connection


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://airflow.example/prefix/"}, "https://airflow.example/prefix"),
        ({"host": "http://airflow.example:8080"}, "http://airflow.example:8080"),
        ({"host": "airflow.example", "port": 8080}, "http://airflow.example:8080"),
        ({"host": "airflow.example", "schema": "https"}, "https://airflow.example"),
        ({"host": "[::1]", "port": 8080}, "http://[::1]:8080"),
    ],
)
def test_the_connections_host_is_the_api_server(connection, monkeypatch, fields, url):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://another:8080/execution/")
    vars(connection).update(fields)
    address = door.door_store().url
    assert (address.url, address.name) == (url, f"{url}/dialogtech/journal")


@pytest.mark.parametrize(
    ("execution", "base", "url"),
    [
        ("http://api:8080/execution/", "https://airflow.example", "http://api:8080"),
        ("https://api/team/execution", "", "https://api/team"),
        ("", "https://airflow.example/prefix/", "https://airflow.example/prefix"),
        ("", "/prefix", "http://localhost:8080/prefix"),
        ("", "", "http://localhost:8080"),
    ],
)
def test_else_it_is_beside_the_execution_api_or_where_the_pages_are(connection, monkeypatch, execution, base, url):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", execution)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base)
    assert door.door_store().url.url == url


@pytest.mark.parametrize(
    "host",
    [
        "ftp://airflow", "https://", "https://user:pa55@airflow", "http://a:x", "http://a?b", "http://a#b", "http://[a",
        "http://:pa55@airflow", "http://@airflow", "a b", "http://a\\@b", "http://a\r\nX: y", "http://a/\0", "http://a?",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_by_name_and_not_shown(connection, host):
    connection.host = host
    with pytest.raises(InvalidConnection, match="the host of the connection dialogtech_journal must be") as raised:
        door.door_store()
    assert "pa55" not in str(raised.value)


def test_it_trusts_and_shows_the_certificates_that_airflows_own_client_does(connection, monkeypatch):
    assert (door.door_store().url.ca_files, door.door_store().url.client_cert) == ((), None)
    monkeypatch.setenv("AIRFLOW__API__SSL_CERT", "/etc/ssl/self-signed.pem")
    assert door.door_store().url.ca_files == ("/etc/ssl/self-signed.pem",)
    monkeypatch.setenv("AIRFLOW__API__SSL_CA_FILE", "/etc/ssl/our-ca.pem")
    monkeypatch.setenv("AIRFLOW__API__CLIENT_SSL_CERT", "/etc/ssl/us.pem")
    monkeypatch.setenv("AIRFLOW__API__CLIENT_SSL_KEY", "/etc/ssl/us.key")
    address = door.door_store().url
    assert address.ca_files == ("/etc/ssl/our-ca.pem", "/etc/ssl/self-signed.pem")
    assert address.client_cert == ("/etc/ssl/us.pem", "/etc/ssl/us.key")


def test_the_token_is_read_once_with_the_address_and_anew_where_it_was_refused(connection):
    store = door.door_store(patience=3.0, retry_for=1.0)
    assert store.patience == 3.0
    assert (store.url.token(False), connection.reads) == (TOKEN, 1)
    connection.password = "a new one"
    assert (store.url.token(True), connection.reads) == ("a new one", 2)


def test_the_newest_token_is_read_past_the_cache_of_the_dag_processor(connection, monkeypatch):
    cache = pytest.importorskip("airflow.sdk.execution_time.cache").SecretCache
    monkeypatch.setattr(cache, "_cache", {"__c_dialogtech_journal": "of yesterday"})
    store = door.door_store()
    assert cache._cache is not None
    store.url.token(True)
    assert cache._cache is None


def test_the_token_shows_itself_nowhere(connection, caplog):
    store = door.door_store()
    token = store.url.token(False)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger().warning("%r %r %r", store, store.url, token)
    assert TOKEN not in caplog.text


def test_a_connection_that_cannot_be_read_is_named_with_what_to_do(monkeypatch):
    def fail(conn_id):
        raise RuntimeError("the secrets backend says: pa55")

    monkeypatch.setattr(door, "connection_of", fail)
    with pytest.raises(JournalUnavailable, match=r"connection dialogtech_journal.*\(RuntimeError\)") as raised:
        door.door_store()
    assert "pa55" not in str(raised.value)
    assert raised.value.__context__ is None
    assert "Restart the scheduler" in raised.value.advice


def test_the_server_reads_the_token_as_tasks_do_and_makes_a_new_one_where_it_was_deleted(metadata_db):
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    first = door.newest_token()
    assert len(first) >= 43
    assert door.newest_token() == first
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id == door.CONN_ID))
    assert door.newest_token() not in {"", first}
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id == door.CONN_ID))


def test_a_connection_that_was_deleted_is_asked_for_and_read_anew(monkeypatch):
    """A new task has no earlier token to be refused with: without one, the server makes the connection again."""
    found = iter([None, SimpleNamespace(host=None, schema=None, port=None, password=TOKEN)])

    def read(_):
        connection = next(found)
        if connection is None:
            raise AirflowNotFoundException("no such connection")
        return connection

    monkeypatch.setattr(door, "connection_of", read)
    token = door.door_store().url.token
    assert token(False) == ""
    assert token(True) == TOKEN


def test_a_connection_that_the_server_does_not_make_either_is_named(monkeypatch):
    def read(_):
        raise AirflowNotFoundException("no such connection")

    monkeypatch.setattr(door, "connection_of", read)
    token = door.door_store().url.token
    assert token(False) == ""
    with pytest.raises(JournalUnavailable, match="could not read the connection dialogtech_journal"):
        token(True)


def test_the_server_asks_for_the_token_that_an_environment_variable_gives_to_tasks(metadata_db, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_DIALOGTECH_JOURNAL", '{"conn_type": "generic", "password": "of the environment"}')
    assert door.newest_token() == "of the environment"


def test_a_database_that_is_down_is_an_error_with_a_name(connection, monkeypatch):
    def fail():
        raise OSError("the database says: pa55")

    monkeypatch.setattr(door, "ensure_token", fail)
    assert door.newest_token() == TOKEN
    monkeypatch.setattr(door, "connection_of", lambda conn_id: fail())
    with pytest.raises(JournalUnavailable):
        door.newest_token()
