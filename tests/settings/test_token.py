import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import delete, event
from sqlalchemy.orm import Session

from airflow_provider_dialogtech._compat import connection_of
from airflow_provider_dialogtech.settings.token import CONN_ID, ensure_token


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


def test_two_components_that_start_together_leave_one_token(metadata):
    def be_faster(*_: object) -> None:
        with closing(sqlite3.connect(metadata)) as database, database:
            row = "INSERT INTO connection (conn_id, conn_type, password, is_encrypted, is_extra_encrypted)"
            database.execute(f"{row} VALUES (?, 'generic', 'theirs', 0, 0)", [CONN_ID])

    event.listen(Session, "before_flush", be_faster, once=True)
    assert ensure_token() == "exists"
    assert [row[0] for row in stored(metadata)] == ["theirs"]
