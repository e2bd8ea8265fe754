"""Airflow's metadata database, as Airflow itself connects to it."""

import sys
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.settings import metadata

SCHEMA, ARGUMENTS = "AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS"


def test_without_settings_nothing_is_passed_on():
    found = metadata.access()
    assert (found.setting, found.schema, dict(found.connect_args)) == ("[database] sql_alchemy_conn", "", {})


def test_the_schema_and_the_drivers_arguments_are_airflows(monkeypatch):
    monkeypatch.setitem(sys.modules, "their_database", SimpleNamespace(arguments={"keepalives": 1}))
    monkeypatch.setenv(SCHEMA, "airflow")
    monkeypatch.setenv(ARGUMENTS, "their_database.arguments")
    found = metadata.access()
    assert (found.schema, dict(found.connect_args)) == ("airflow", {"keepalives": 1})
    assert "keepalives" not in repr(found)


def test_arguments_that_cannot_be_imported_are_named(monkeypatch):
    monkeypatch.setenv(ARGUMENTS, "no_such_module.arguments")
    with pytest.raises(InvalidConnection, match=r"\[database\] sql_alchemy_connect_args cannot be imported"):
        metadata.access()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql+psycopg2://u:p@h/d", "postgresql"),
        ("postgresql://u:p@h/d", "postgresql"),
        ("mysql+mysqldb://u:p@h/d", "mysql"),
        ("sqlite:////airflow.db", "sqlite"),
    ],
)
def test_the_kind_of_database_is_told_by_its_url(monkeypatch, url, kind):
    from airflow import settings

    monkeypatch.setattr(settings, "SQL_ALCHEMY_CONN", url)
    assert metadata.kind() == kind
