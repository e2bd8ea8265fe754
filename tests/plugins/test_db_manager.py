"""`airflow db migrate` makes the journal's tables, where the metadata database has the journal."""

import ast
from pathlib import Path

import pytest

from airflow_provider_dialogtech.get_provider_info import get_provider_info
from airflow_provider_dialogtech.plugins import db_manager as module
from airflow_provider_dialogtech.plugins.db_manager import JournalDBManager
from tests.settings.test_journal import airflow  # noqa: F401 - a fixture

AN_OPTION = {"use_migration_files": True}


@pytest.fixture
def manager():
    if module._Base is object:
        return JournalDBManager()
    return JournalDBManager(session=None)


@pytest.fixture
def opened(monkeypatch):
    """The journals that were opened."""
    opened = []

    class Journal:
        def open(self):
            opened.append(self)

    monkeypatch.setattr(module, "journal_store", lambda **_: Journal())
    return opened


@pytest.mark.parametrize(
    ("version", "options", "count"),
    [
        (3, {}, 1),
        (2, {}, 1),
        (3, {"executor": "LocalExecutor"}, 0),
        (3, {"metadata": "mysql://db/airflow"}, 0),
    ],
)
def test_tables_are_made_where_the_journal_is(airflow, manager, opened, version, options, count):  # noqa: F811, PLR0917
    airflow(version, **options)
    manager.upgradedb(**AN_OPTION)
    manager.initdb(**AN_OPTION)
    assert len(opened) == 2 * count


def test_airflows_migration_goes_on_though_the_tables_cannot_be_made(airflow, manager, caplog):  # noqa: F811
    airflow(3, metadata="postgresql+psycopg2://airflow:pa55@127.0.0.1:1/airflow")
    caplog.set_level("WARNING")
    module._PATIENCE, before = 0.2, module._PATIENCE
    try:
        manager.initdb()
    finally:
        module._PATIENCE = before
    assert "were not created: the delivery journal is not available" in caplog.text
    assert "pa55" not in caplog.text


def test_airflow_waits_for_no_migration_and_drops_no_message(manager):
    assert manager.check_migration() is True
    assert manager.supports_table_dropping is False
    manager.downgrade("0.1.0")


def test_airflow_accepts_it():
    pytest.importorskip("airflow.utils.db_manager")
    from airflow.utils.db_manager import RunDBManager

    assert get_provider_info()["db-managers"] == [f"{JournalDBManager.__module__}.{JournalDBManager.__name__}"]
    RunDBManager._validate(JournalDBManager)
    assert ast.parse((Path(JournalDBManager.migration_dir) / "env.py").read_text())
