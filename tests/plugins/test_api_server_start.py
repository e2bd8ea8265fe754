"""The API server says at its start whether it has a journal of its own, and the other processes go by that."""

import threading

import pytest

from airflow_provider_dialogtech._compat import IS_AIRFLOW_3
from airflow_provider_dialogtech.plugins import dialogtech, listener
from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin
from airflow_provider_dialogtech.settings.door import newest_token
from airflow_provider_dialogtech.settings.journal import Place, place_of, situation, tasks_miss_the_server
from airflow_provider_dialogtech.settings.token import CONN_ID, ensure_token, server_has_own_journal
from tests.settings.test_token import metadata, stored  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif(not IS_AIRFLOW_3, reason="Airflow 2 has no API server")


@pytest.fixture
def start(monkeypatch, sqlite_url):
    """Start an API server with or without `journal_url`; the other processes never have it."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")

    def start(*, is_set):
        server = FastAPI()
        for middleware in DialogTechPlugin.fastapi_root_middlewares:
            server.add_middleware(middleware["middleware"])
        with monkeypatch.context() as patch:
            patch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", sqlite_url if is_set else "")
            with TestClient(server):  # it starts; nobody asks it anything
                pass

    monkeypatch.delenv("AIRFLOW__DIALOGTECH__JOURNAL_URL")
    return start


def test_the_others_follow_the_api_server_to_its_own_journal_and_back(metadata, start):  # noqa: F811
    assert place_of(situation()) is Place.DOOR  # it has not said anything yet
    for is_set, place in ((True, Place.DOOR), (False, Place.FILE), (True, Place.DOOR)):
        start(is_set=is_set)
        assert place_of(situation()) is place
        assert place_of(situation(is_server=True)) is Place.FILE
        ensure_token()  # a scheduler that starts later
        assert place_of(situation()) is place


def test_local_tasks_that_miss_the_api_servers_journal_are_named(metadata, start, monkeypatch):  # noqa: F811
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    start(is_set=False)
    assert stored(metadata) == []  # nobody needs the connection
    for is_set in (True, False):
        start(is_set=is_set)
        assert place_of(situation()) is Place.FILE
        assert tasks_miss_the_server() is is_set


def test_the_scheduler_says_that_its_tasks_miss_it(metadata, monkeypatch, caplog):  # noqa: F811
    monkeypatch.setattr(listener, "tasks_miss_the_server", lambda: True)
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CREATE_POOLS", "False")
    listener.Listener().on_starting(type("Job", (), {"job_type": "TriggererJob"})())
    assert "journal_url is set on the API server but not here" in caplog.text


def test_a_token_that_was_deleted_comes_back_with_what_the_api_server_says(metadata, monkeypatch, sqlite_url):  # noqa: F811
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", sqlite_url)
    newest_token()
    assert server_has_own_journal() is True


def test_the_api_server_starts_though_it_cannot_say_it(start, monkeypatch, caplog):
    monkeypatch.setattr(dialogtech, "say_where_the_journal_is", lambda: 1 / 0)
    start(is_set=True)
    assert "Other processes do not know where the delivery journal is" in caplog.text


def test_the_api_servers_log_says_that_its_metadata_cannot_hold_the_journal(metadata, start, monkeypatch, caplog):  # noqa: F811
    monkeypatch.setattr("airflow_provider_dialogtech.settings.metadata.kind", lambda: "mysql")
    start(is_set=True)
    assert "journal_url" not in caplog.text
    start(is_set=False)
    assert "Airflow's metadata database (mysql) cannot hold the delivery journal" in caplog.text
    assert "Set [dialogtech] journal_url on the API server only" in caplog.text


def test_the_api_server_does_not_wait_for_a_database_that_does_not_answer(start, monkeypatch):
    is_over = threading.Event()
    monkeypatch.setattr(dialogtech, "SECONDS_TO_READ", 0.01)
    monkeypatch.setattr(dialogtech, "say_where_the_journal_is", is_over.wait)
    start(is_set=True)
    is_over.set()


def test_a_setting_that_is_wrong_is_named(start, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_CONN_ID", "x" * 300)
    start(is_set=False)
    assert "[dialogtech] journal_conn_id must be" in caplog.text
    assert CONN_ID not in caplog.text
