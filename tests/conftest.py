"""What all tests share: an Airflow of their own, connections, a local DialogTech."""

import json
import os
import socket
import tempfile
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.stores import postgres, postgres_url, sqlite_url, store_url

__all__ = ["postgres", "postgres_url", "sqlite_url", "store_url"]

# Airflow reads these when it is imported, so they stand before any test's imports.
_HOME = tempfile.TemporaryDirectory(prefix="dialogtech-airflow-", ignore_cleanup_errors=True)
_DAGS = Path(_HOME.name) / "dags"
_DAGS.mkdir()
os.environ |= {
    "AIRFLOW_HOME": _HOME.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(_DAGS),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__PARALLELISM": "2",
    # Airflow 3.2's `airflow dags test` starts no task without one.
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, of no use anywhere else",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME.name}/airflow.db",
}
for name in [name for name in os.environ if name.startswith(("AIRFLOW__DIALOGTECH__", "AIRFLOW_CONN_"))]:
    del os.environ[name]

ACCESS_KEY = "access-of-the-tests"
# Each of these characters looks different in one percent-encoding or another.
SECRET = "s3cr+t/wi=th&each%kind of"
FROM_NUMBERS = ("5554332111", "5554332112")


_CELERY = Path(__file__).parent / "celery"
# The tests of one of these share what takes long to set up: a running Airflow, its runs, an environment.
_TOGETHER = ("tests/system/", "tests/wheel/", "tests/operators/test_in_airflow.py")


class OneAirflow(LoadScopeScheduling):
    """Gives the tests that share an Airflow to one worker, and any other test to any."""

    def _split_scope(self, nodeid: str) -> str:
        return next((together for together in _TOGETHER if nodeid.startswith(together)), nodeid)


def pytest_xdist_make_scheduler(config, log):
    return OneAirflow(config, log)


def pytest_ignore_collect(collection_path, config):
    """Leave the distributed Airflow to `make test-celery`, which asks for it by its mark: it takes minutes."""
    return True if collection_path == _CELERY and config.option.markexpr != "celery" else None


def pytest_collection_modifyitems(items):
    """Begin with the tests that take longest."""
    longest = {"system": 0, "wheel": 1}
    items.sort(key=lambda item: min((longest.get(mark.name, 2) for mark in item.iter_markers()), default=2))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """Let what a hostile test has logged pass from xdist's workers, which send nothing but UTF-8."""
    report = (yield).get_result()
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    return Path(_HOME.name)


@pytest.fixture(scope="session")
def metadata_db(airflow_home):
    """Airflow's metadata database, as `airflow db migrate` leaves a new one."""
    from airflow.utils.db import initdb

    initdb()
    return airflow_home / "airflow.db"


@pytest.fixture(autouse=True)
def own_journal(monkeypatch, tmp_path):
    """Let no test find another one's texts in the delivery journal."""
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{tmp_path / 'journal_of_the_test.db'}")


def connection_as_json(**fields: object) -> str:
    """Return a connection as Airflow reads it from a variable."""
    defaults = {"conn_type": "dialogtech", "login": ACCESS_KEY, "password": SECRET}
    return json.dumps({name: field for name, field in (defaults | fields).items() if field is not None})


@pytest.fixture
def connection(monkeypatch):
    """Set a connection up as a user would: `connection(host=..., extra={...})`."""

    def set_up(conn_id: str = "dialogtech_default", **fields: object) -> str:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection_as_json(**fields))
        return conn_id

    return set_up


@pytest.fixture
def sandbox():
    """A local DialogTech with the tests' numbers."""
    from airflow_provider_dialogtech.sandbox.process import running_sandbox

    with running_sandbox(numbers=FROM_NUMBERS) as running:
        yield running


@pytest.fixture
def connect_sandbox(sandbox, connection):
    """Set a connection to the sandbox up, with keys that it takes: `connect_sandbox(extra={...})`."""
    keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key}
    return lambda *conn_id, **fields: connection(*conn_id, **{"host": sandbox.url, **keys, **fields})


@pytest.fixture
def sandbox_connection(connect_sandbox):
    """The default connection, to the sandbox and with all of its numbers."""
    return connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS)})


@pytest.fixture
def unused_port():
    """A port of this machine that refuses connections: bound, so that nobody else gets it, but not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
