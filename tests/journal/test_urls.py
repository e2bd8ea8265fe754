"""Which stores a journal's URL can name."""

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.journal.store import kind_of


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:////tmp/journal.db", "sqlite"),
        ("sqlite+pysqlite:////tmp/journal.db", "sqlite"),
        ("postgresql://me@db/x", "postgresql"),
        ("postgresql+psycopg2://me@db/x", "postgresql"),
        (make_url("postgresql+psycopg2://me@db/x"), "postgresql"),
    ],
)
def test_a_file_and_postgresql_are_stores(url, kind):
    assert kind_of(url) == kind


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "sqlite://", "sqlite:///", "sqlite://journal.db", "mysql://db/x", "://", "postgresql:", "a b"],
)
def test_nothing_else_is_one(url):
    with pytest.raises(InvalidConnection, match="must be the SQLAlchemy URL of a SQLite file"):
        kind_of(url)


@pytest.mark.parametrize(
    ("url", "driver"), [("sqlite+aiosqlite:////x.db", "aiosqlite"), ("postgresql+asyncpg://db/x", "asyncpg")]
)
def test_a_driver_that_the_journal_does_not_work_with_is_named(url, driver):
    with pytest.raises(InvalidConnection, match=f"names the driver '{driver}', which the journal does not work with"):
        kind_of(url)


def test_psycopg_works_from_sqlalchemy_2_on():
    pytest.importorskip("psycopg")
    if sa.__version__.startswith("1."):
        with pytest.raises(InvalidConnection, match="names the driver 'psycopg', which the journal does not work with"):
            kind_of("postgresql+psycopg://db/x")
    else:
        assert kind_of("postgresql+psycopg://db/x") == "postgresql"


def test_of_a_driver_with_an_endless_name_forty_characters_are_told():
    with pytest.raises(InvalidConnection, match=f"names the driver '{'x' * 40}',"):
        kind_of(f"postgresql+{'x' * 99}://db/x")


@pytest.mark.parametrize(
    ("driver", "package"), [("psycopg2", "airflow-provider-dialogtech[postgres]"), ("psycopg", "psycopg[binary]")]
)
def test_a_driver_that_is_not_installed_is_named_with_its_package(driver, package, monkeypatch):
    pytest.importorskip(f"sqlalchemy.dialects.postgresql.{driver}")
    monkeypatch.setattr("airflow_provider_dialogtech.journal.store.find_spec", lambda _: None)
    with pytest.raises(InvalidConnection, match=f"the driver {driver} .* is not installed") as raised:
        kind_of(f"postgresql+{driver}://db/x")
    assert raised.value.advice == f"Install it where Airflow runs: `pip install '{package}'`."


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///journal.db",
        "sqlite:///./journal.db",
        "sqlite:///~/journal.db",
        "sqlite:///${HOME}/journal.db",
        "sqlite://tmp/journal.db",
        "sqlite+pysqlite:///journal.db",
        "sqlite:///file:journal.db?uri=true",
        "sqlite:///file:/tmp/journal.db",  # a folder "file:" without uri=true
        sa.engine.URL.create("sqlite", database="journal.db"),
    ],
    ids=str,
)
def test_a_relative_path_would_be_a_journal_per_working_directory(url):
    with pytest.raises(InvalidConnection, match="has a relative path") as refused:
        kind_of(url)
    assert "sqlite:////opt/airflow/dialogtech_journal.db" in refused.value.advice


@pytest.mark.parametrize(
    "url", ["sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///file:/x.db?mode=memory&uri=true"]
)
def test_a_database_in_memory_would_be_a_journal_per_process(url):
    with pytest.raises(InvalidConnection, match="names a database in memory"):
        kind_of(url)


def test_a_misspelt_option_of_a_file_is_refused():
    with pytest.raises(InvalidConnection, match=r"an unknown option 'timout' \(nearest: timeout\)"):
        kind_of("sqlite:////tmp/journal.db?timout=5")
    assert kind_of("sqlite:///file:/tmp/journal.db?mode=ro&uri=true") == "sqlite"
