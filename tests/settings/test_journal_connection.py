"""A connection as the journal: `[dialogtech] journal_conn_id`."""

import json
import sys
from types import ModuleType

import pytest

from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.settings import journal_connection
from airflow_provider_dialogtech.settings.journal import journal_store

HOOK = "airflow.providers.postgres.hooks.postgres"


@pytest.fixture
def journal(monkeypatch):
    """Set the connection up: `journal(password="another")`."""
    monkeypatch.delenv("AIRFLOW__DIALOGTECH__JOURNAL_URL")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_CONN_ID", "pg")

    def set_up(**fields):
        postgres = {"conn_type": "postgres", "host": "db", "login": "us@er", "password": "pa:55", "schema": "journal"}
        monkeypatch.setenv("AIRFLOW_CONN_PG", json.dumps(postgres | fields))

    return set_up


def test_a_postgres_connection_is_the_journal(journal):
    journal(port=5433, extra={"sslmode": "require", "cursor": "dictcursor"})
    url = journal_store().url
    assert (url.drivername, url.username, url.password) == ("postgresql+psycopg2", "us@er", "pa:55")
    assert (url.host, url.port, url.database, dict(url.query)) == ("db", 5433, "journal", {"sslmode": "require"})


def test_its_password_is_read_again_for_each_new_connection(journal, postgres_url, monkeypatch):
    from sqlalchemy.engine import make_url

    tokens = []

    def read(conn_id, named):
        tokens.append(f"token {len(tokens)}")
        return make_url(postgres_url).set(password=tokens[-1])

    journal()
    monkeypatch.setattr(journal_connection, "_url", read)
    store = journal_store()
    store.open()
    asked = len(tokens)
    store._process().close()
    store.open()
    assert len(tokens) > asked


def test_a_token_of_iam_is_what_airflows_own_hook_returns(journal, monkeypatch):
    module = ModuleType(HOOK)

    class PostgresHook:
        def __init__(self, conn_id):
            self.conn_id = conn_id

        def get_iam_token(self, connection):
            return connection.login, f"token for {self.conn_id}", 5432

    module.PostgresHook = PostgresHook
    monkeypatch.setitem(sys.modules, HOOK, module)
    journal(password=None, extra={"iam": True, "aws_conn_id": "aws"})
    url = journal_store().url
    assert (url.username, url.password, url.port, dict(url.query)) == ("us@er", "token for pg", 5432, {})


def test_iam_without_airflows_hook_names_the_package(journal, monkeypatch):
    monkeypatch.setitem(sys.modules, HOOK, None)
    journal(extra={"iam": True})
    with pytest.raises(InvalidConnection, match="needs the package apache-airflow-providers-postgres"):
        journal_store()


def test_another_type_and_a_missing_connection_are_named(journal, monkeypatch, metadata_db):
    journal(conn_type="mysql")
    with pytest.raises(InvalidConnection, match="journal_conn_id must be of type postgres, not 'mysql'") as raised:
        journal_store()
    assert "pa:55" not in str(raised.value)
    monkeypatch.delenv("AIRFLOW_CONN_PG")
    with pytest.raises(InvalidConnection, match=r"Airflow has no connection pg of .*journal_conn_id"):
        journal_store()


def test_a_secrets_backend_that_fails_is_told_without_its_words(journal, monkeypatch):
    def fail(conn_id):
        raise RuntimeError("postgres://us@er:pa:55@db")

    monkeypatch.setattr(journal_connection, "connection_of", fail)
    with pytest.raises(JournalUnavailable, match=r"could not read the connection pg .*\(RuntimeError\)") as raised:
        journal_store()
    assert "pa:55" not in str(raised.value)


def test_both_settings_are_one_too_many(journal, monkeypatch, own_journal):
    journal()
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{own_journal}")
    with pytest.raises(InvalidConnection, match="journal_conn_id and journal_url are both set"):
        journal_store()
