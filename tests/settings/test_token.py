import json
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import delete, event, select
from sqlalchemy.orm import Session

from airflow_provider_dialogtech._compat import IS_AIRFLOW_3, connection_of
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.settings.token import CONN_ID, ensure_token, server_has_own_journal

pytestmark = pytest.mark.skipif(not IS_AIRFLOW_3, reason="Airflow 2 has no API server")


@pytest.fixture
def metadata(metadata_db, monkeypatch):
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    def forget():
        with create_session() as session:
            session.execute(delete(Connection).where(Connection.conn_id == CONN_ID))

    forget()
    yield metadata_db
    forget()


def stored(metadata):
    with closing(sqlite3.connect(metadata)) as database:
        rows = "SELECT password, is_encrypted, conn_type, host, login FROM connection WHERE conn_id = ?"
        return database.execute(rows, [CONN_ID]).fetchall()


def test_the_token_is_random_and_encrypted_as_any_password(metadata, monkeypatch):
    from airflow.models import crypto

    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "ZmVybmV0LWtleS1vZi10aGUtdGVzdHMtMDEyMzQ1Njc=")
    monkeypatch.setattr(crypto, "_fernet", None, raising=False)
    if hasattr(crypto.get_fernet, "cache_clear"):
        crypto.get_fernet.cache_clear()
    assert ensure_token() == "created"
    token = connection_of(CONN_ID).password
    ((kept, is_encrypted, *rest),) = stored(metadata)
    assert len(token) >= 43
    assert token not in kept
    assert is_encrypted
    assert rest == ["generic", None, None]


def test_a_token_that_exists_is_kept_and_a_deleted_one_is_another(metadata):
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    ensure_token()
    first = connection_of(CONN_ID).password
    assert ensure_token() == "exists"
    assert connection_of(CONN_ID).password == first
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id == CONN_ID))
    assert ensure_token() == "created"
    assert connection_of(CONN_ID).password != first


def let_another_be_faster(metadata):
    """Create the connection just before this process does."""

    def be_faster(*_: object) -> None:
        with closing(sqlite3.connect(metadata)) as database, database:
            row = "INSERT INTO connection (conn_id, conn_type, password, is_encrypted, is_extra_encrypted)"
            database.execute(f"{row} VALUES (?, 'generic', 'theirs', 0, 0)", [CONN_ID])

    event.listen(Session, "before_flush", be_faster, once=True)


def test_two_components_that_start_together_leave_one_token(metadata):
    let_another_be_faster(metadata)
    assert ensure_token() == "exists"
    assert [row[0] for row in stored(metadata)] == ["theirs"]


@pytest.fixture
def change(metadata):
    """Change the connection as a person does: `change(extra="…")`."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    def change(**fields):
        with create_session() as session:
            connection = session.scalar(select(Connection).where(Connection.conn_id == CONN_ID))
            for name, value in fields.items():
                setattr(connection, name, value)

    return change


def test_the_api_server_says_whether_it_has_a_journal_of_its_own_and_takes_it_back(metadata):
    assert server_has_own_journal() is None
    ensure_token()  # the scheduler, which does not know
    assert server_has_own_journal() is None
    token = connection_of(CONN_ID).password
    for said in (True, False):
        assert ensure_token(has_own_journal=said) == "exists"
        assert ensure_token() == "exists"
        assert server_has_own_journal() is said
    assert connection_of(CONN_ID).password == token


def test_a_new_connection_says_it_too(metadata):
    assert ensure_token(has_own_journal=True) == "created"
    assert server_has_own_journal() is True


@pytest.mark.parametrize("extra", ['{"ours": "kept"}', "", "{}"])
def test_what_a_person_wrote_into_the_connection_stays(metadata, change, extra):
    ensure_token()
    change(extra=extra, host="https://airflow.example")
    ensure_token(has_own_journal=True)
    connection = connection_of(CONN_ID)
    assert connection.host == "https://airflow.example"
    assert {**connection.extra_dejson, **json.loads(extra or "{}")} == connection.extra_dejson
    assert server_has_own_journal() is True


def test_a_connection_in_the_environment_does_not_hide_what_the_api_server_said(metadata, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_DIALOGTECH_JOURNAL", '{"conn_type": "generic", "password": "ours"}')
    ensure_token(has_own_journal=True)
    assert server_has_own_journal() is True


def test_the_api_server_is_heard_though_another_component_was_faster(metadata):
    let_another_be_faster(metadata)
    assert ensure_token(has_own_journal=True) == "exists"
    assert server_has_own_journal() is True


def test_a_database_that_is_down_is_told_by_name(metadata, monkeypatch):
    def fail(**_):
        raise OSError("the database says: pa55")

    monkeypatch.setattr("airflow.utils.session.create_session", fail)
    with pytest.raises(JournalUnavailable, match=r"connection dialogtech_journal.*\(OSError\)") as raised:
        server_has_own_journal()
    assert raised.value.__context__ is None
