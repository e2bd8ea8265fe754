"""Old messages are deleted by the scheduler, also while nobody sends."""

import asyncio
import threading
import time
from contextlib import closing
from sqlite3 import connect
from unittest.mock import create_autospec

import pytest
from sqlalchemy.schema import CreateTable, DropTable

from airflow_provider_dialogtech._compat import IS_AIRFLOW_3
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import journal_version, messages
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.plugins import dialogtech
from airflow_provider_dialogtech.plugins import listener as retention
from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin
from airflow_provider_dialogtech.settings import host
from airflow_provider_dialogtech.settings.journal import Place, journal_store
from tests.journal.looking import change, edit, rows
from tests.settings.test_token import metadata  # noqa: F401 - a fixture

DAY = 86400


@pytest.fixture
def journal(monkeypatch, tmp_path):
    """A journal with 350 messages, 91 days old."""
    file = tmp_path / "journal.db"
    url = f"sqlite:///{file}"
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
    journal = MessageJournal(Store(url), "account", RateLimits())
    journal.reserve(SlotRequest("key", ("5554332111",), "5556667777", "Hello"))
    edit(url, at=time.time() - 91 * DAY, state="sent")
    (row,) = rows(url)
    copies = [row._asdict() | {"id": row.id + n, "key": f"key {n}"} for n in range(1, 350)]
    change(url, messages.insert().values(copies))
    return file


def left(file):
    with closing(connect(file)) as journal:
        return journal.execute("SELECT count(*) FROM dialogtech_messages").fetchone()[0]


def test_all_old_messages_are_deleted_and_the_file_gives_the_space_back(journal):
    size = journal.stat().st_size
    retention.prune()
    assert left(journal) == 0
    assert journal.stat().st_size < size / 2


def test_a_file_that_is_named_by_a_uri_is_pruned(journal, monkeypatch):
    uri = f"sqlite:///file:{journal.parent}/%6Aournal.db?uri=true"
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", uri)
    retention.prune()
    assert left(journal) == 0


def test_what_is_younger_stays(journal, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_RETENTION_DAYS", "92")
    retention.prune()
    assert left(journal) == 350


def test_an_airflow_that_sends_nothing_gets_no_journal(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{tmp_path / 'none.db'}")
    retention.prune()
    assert list(tmp_path.iterdir()) == []


def test_a_metadata_database_gets_no_tables_where_nothing_was_sent(metadata, monkeypatch):  # noqa: F811
    opened = create_autospec(journal_store, side_effect=JournalUnavailable("opened"))
    monkeypatch.setattr("airflow_provider_dialogtech.settings.journal.journal_store", opened)
    monkeypatch.setattr("airflow_provider_dialogtech.settings.journal.place_of", lambda _: Place.METADATA)
    retention.prune()
    assert opened.call_count == 0
    try:
        change(f"sqlite:///{metadata}", CreateTable(journal_version))
        with pytest.raises(JournalUnavailable, match="opened"):
            retention.prune()
    finally:
        change(f"sqlite:///{metadata}", DropTable(journal_version))


def test_an_api_server_that_has_not_said_where_the_journal_is_is_not_asked(monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.settings.journal.place_of", lambda _: Place.DOOR)
    monkeypatch.setattr("airflow_provider_dialogtech.settings.door.door_store", lambda **_: 1 / 0)
    retention.prune()


def test_the_scheduler_asks_the_api_server_where_that_has_a_journal_of_its_own(journal, monkeypatch):
    """It has the metadata database, which is not the journal then."""
    url = f"sqlite:///{journal}"
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.delenv("AIRFLOW__DIALOGTECH__JOURNAL_URL")
    monkeypatch.setattr("airflow_provider_dialogtech.settings.journal.IS_AIRFLOW_3", True)
    monkeypatch.setattr("airflow_provider_dialogtech.settings.journal.server_has_own_journal", lambda: True)
    monkeypatch.setattr("airflow_provider_dialogtech.settings.door.door_store", lambda **_: Store(url))
    retention.prune()
    assert left(journal) == 0


@pytest.mark.skipif(not IS_AIRFLOW_3, reason="Airflow 2 has no API server")
def test_the_api_server_deletes_them_where_it_alone_knows_the_journal(journal, monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.settings.journal.place_of", lambda _: Place.NOWHERE)
    retention.prune()
    assert left(journal) == 350
    keep = create_autospec(retention.keep_retention)
    monkeypatch.setattr(dialogtech, "keep_retention", keep)
    apps = {name: dialogtech._App(name) for name in ("door", "page")}
    for app in apps.values():
        asyncio.run(app({"type": "lifespan"}, ended, ended))
        asyncio.run(app({"type": "lifespan"}, ended, ended))
    assert keep.call_count == 1


async def ended(*_):
    return {"type": "lifespan.shutdown"}


@pytest.mark.parametrize(("job_type", "calls"), [("SchedulerJob", 1), ("TriggererJob", 0)])
def test_the_scheduler_deletes_them_and_nobody_else(monkeypatch, job_type, calls):
    class Job:
        """The class of Airflow's components at their start."""

    keep = create_autospec(retention.keep_retention)
    monkeypatch.setattr(retention, "keep_retention", keep)
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CREATE_POOLS", "False")
    component = Job()
    component.job_type = job_type
    (listener,) = DialogTechPlugin.listeners
    listener.on_starting(component)
    assert keep.call_count == calls


def test_it_goes_on_after_a_failure_and_says_so(monkeypatch, caplog):
    tries = []
    tried_twice = threading.Event()

    def fail():
        tries.append(1)
        if len(tries) == 2:
            tried_twice.set()
            threading.Event().wait(60)  # a daemon thread: it ends with the process
        raise RuntimeError

    monkeypatch.setattr(retention, "prune", lambda **_: fail())
    monkeypatch.setattr(retention, "PRUNED_EVERY", 0.0)
    retention.keep_retention()
    assert tried_twice.wait(30)
    assert "Messages older than journal_retention_days could not be deleted." in caplog.text


def test_the_scheduler_is_known_by_its_command_because_its_job_has_no_type_yet(monkeypatch):
    keep = create_autospec(retention.keep_retention)
    monkeypatch.setattr(retention, "keep_retention", keep)
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CREATE_POOLS", "False")
    (listener,) = DialogTechPlugin.listeners
    for module in (host.SCHEDULER_COMMAND, "airflow.cli.commands.triggerer_command"):
        names = {"__name__": module, "start": listener.on_starting, "job": type("Job", (), {})()}
        exec("start(job)", names)  # noqa: S102 - a module of this name calls it
    assert keep.call_count == 1
