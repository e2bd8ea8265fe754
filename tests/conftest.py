"""What all tests share: an Airflow of their own, connections, a local DialogTech."""

import fcntl
import gc
import itertools
import json
import os
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.clocks import time
from tests.coverage.sandboxes import counted
from tests.interpreter import interpreter
from tests.programs import summary
from tests.sentences import sentences_are_short
from tests.stores import (
    door_server,
    door_url,
    journal_url,
    no_slot_is_missed,
    postgres,
    postgres_url,
    proxy,
    shared_proxy,
    spare_databases,
    sqlite_url,
    store,
    store_url,
    timed_store,
)

__all__ = [
    "door_server",
    "door_url",
    "journal_url",
    "no_slot_is_missed",
    "postgres",
    "postgres_url",
    "proxy",
    "sentences_are_short",
    "shared_proxy",
    "spare_databases",
    "sqlite_url",
    "store",
    "store_url",
    "time",
    "timed_store",
]

# The garbage collector would look through all of Airflow's objects again and again, for a sixth of the tests' time. It
# is off while they are imported, and leaves them alone once the tests are collected.
gc.disable()

# Airflow reads these when it is imported, so they stand before any test's imports.
assert "airflow" not in sys.modules, "it would use the database in ~/airflow"
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
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, of no use anywhere else, 64 bytes or more",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME.name}/airflow.db",
}
for name in [name for name in os.environ if name.startswith(("AIRFLOW__DIALOGTECH__", "AIRFLOW_CONN_"))]:
    del os.environ[name]

ACCESS_KEY = "access-of-the-tests"
# Each of these characters looks different in one percent-encoding or another.
SECRET = "s3cr+t/wi=th&each%kind of"
FROM_NUMBERS = ("5554332111", "5554332112")


# Where Airflow's secrets maskers live: two of them from 3.2 on, 3.0 and 3.1, 2.11.
_MASKERS = (
    "airflow.sdk._shared.secrets_masker",
    "airflow._shared.secrets_masker",
    "airflow.sdk.execution_time.secrets_masker",
    "airflow.utils.log.secrets_masker",
)

_CELERY = Path(__file__).parent / "celery"
# The tests of one group run one after the other. They share what takes long to set up (a running Airflow, a database),
# or each starts an Airflow: side by side, these would leave no processor to the other tests.
_GROUPS = {
    "tests/system/": "system",
    "tests/operators/test_in_airflow.py": "airflow",
    "tests/test_example_dags.py": "airflow",
    "tests/decorators/": "airflow",
    "tests/plugins/test_pools.py::test_airflow_loads_the_plugin": "starts",
    "tests/plugins/": "airflow",
    "tests/cli/test_pools.py::test_airflows_own": "airflow",
    "tests/cli/test_pools.py::test_the_module": "starts",
    "tests/notifications/test_in_airflow.py": "airflow",
    "tests/test_get_provider_info.py::test_airflow_takes": "airflow",
    "tests/hostile/test_tracebacks.py": "airflow",
    "tests/settings/test_recorder.py": "airflow",
    "tests/wheel/": "starts",
    "tests/cli/test_operations.py": "starts",
    "tests/cli/test_commands.py": "starts",
    "tests/settings/test_form.py": "starts",
    "tests/notifications/test_sms.py::test_parsing": "starts",
    "tests/test_compat.py": "starts",
    "tests/test_docs.py::test_the_test_that_is_shown": "starts",
    "tests/proxies/": "proxies",
    "tests/alerts/test_silent_journal.py": "silent journal",
    "tests/delivery/test_pgbouncer.py": "pgbouncer",
    "tests/delivery/test_stalls.py": "stalls",
}
# Most of these wait most of their time. Any other file is a group of its own: to set up what it needs takes longer.
_WAITING = ("tests/delivery/", "tests/journal/", "tests/alerts/")
# What takes longest begins first, so that in the end nobody waits for the last one.
_FIRST = ("system", "airflow", "stalls", "silent journal")
_LONG = (
    "starts",
    "proxies",
    "tests/alerts/test_attacks.py",
    "tests/alerts/test_priority.py",
    "tests/delivery/test_sender.py",
    "tests/test_docs.py",
    "tests/tools/",
)


def group_of(nodeid: str) -> str:
    """Return the group that a test belongs to; some are alone in theirs."""
    alone = nodeid if nodeid.startswith(_WAITING) else nodeid.partition("::")[0]
    return next((group for beginning, group in _GROUPS.items() if nodeid.startswith(beginning)), alone)


def turns(groups: Iterable[str]) -> dict[str, float]:
    """Return the order in which the groups begin: those that wait among those that compute."""
    in_turn = {group: place - len(_FIRST) for place, group in enumerate(_FIRST)}
    rest = sorted(set(groups) - set(_FIRST), key=lambda group: (not group.startswith(_LONG), group))
    for waits in (True, False):
        part = [group for group in rest if group.startswith(_WAITING) == waits]
        in_turn |= {group: place / len(part) for place, group in enumerate(part)}
    return in_turn


class Groups(LoadScopeScheduling):
    """Gives the tests of a group to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False  # it would begin with the groups of most tests
    return Groups(config, log)


def pytest_ignore_collect(collection_path, config):
    """Leave the distributed Airflow to `make test-celery`, which asks for it by its mark: it takes minutes."""
    return True if collection_path == _CELERY and config.option.markexpr != "celery" else None


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def pytest_sessionfinish():
    # In the end pytest looks for garbage five times, in all that the tests have imported. Once is enough.
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    in_turn = turns(group_of(item.nodeid) for item in items)
    items.sort(key=lambda item: in_turn[group_of(item.nodeid)])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """Let what a hostile test has logged pass from xdist's workers, which send nothing but UTF-8."""
    report = (yield).get_result()
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """Name the missing programs below everything else."""
    result = yield
    for line in summary(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line, yellow=True)
    return result


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    return Path(_HOME.name)


@pytest.fixture(scope="session")
def new_metadata_db(airflow_home, tmp_path_factory) -> Path:
    """A metadata database as `airflow db migrate` leaves it, to be copied."""
    folder = tmp_path_factory.getbasetemp()
    made = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "airflow.db"
    # Airflow takes some ten seconds to make it: one of xdist's workers does, for all.
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            from airflow.utils.db import initdb

            initdb()
            _copy(airflow_home / "airflow.db", made)
    return made


@pytest.fixture(scope="session")
def metadata_db(new_metadata_db, airflow_home) -> Path:
    """The metadata database of the tests' own Airflow."""
    database = airflow_home / "airflow.db"
    _copy(new_metadata_db, database)
    return database


def _copy(source: Path, target: Path) -> None:
    # SQLite may keep a part of an open database in another file.
    with closing(sqlite3.connect(source)) as reads, closing(sqlite3.connect(target)) as writes:
        reads.backup(writes)


@pytest.fixture(scope="session")
def journals(tmp_path_factory):
    """The names of new files in one folder, since a folder for each of all tests would take its time."""
    folder = tmp_path_factory.mktemp("journals")
    return (folder / f"journal_{number}.db" for number in itertools.count())


@pytest.fixture(autouse=True)
def own_journal(monkeypatch, journals) -> Path:
    """Let no test find another one's messages in the delivery journal."""
    journal = next(journals)
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{journal}")
    return journal


def connection_as_json(**fields: object) -> str:
    """Return a connection as Airflow reads it from a variable."""
    defaults = {"conn_type": "dialogtech", "login": ACCESS_KEY, "password": SECRET}
    return json.dumps({name: field for name, field in (defaults | fields).items() if field is not None})


@pytest.fixture(autouse=True)
def own_secrets():
    """Let Airflow mask in no test what another one called a secret: `password`, for instance."""
    for module in filter(None, map(sys.modules.get, _MASKERS)):
        with suppress(RuntimeError):  # 2.11 has none before its logging is set up
            masker = module._secrets_masker()
            masker.patterns, masker.replacer = set(), None


@pytest.fixture
def connection(monkeypatch):
    """Set a connection up as a user would: `connection(host=..., extra={...})`."""

    def set_up(conn_id: str = "dialogtech_default", **fields: object) -> str:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection_as_json(**fields))
        return conn_id

    return set_up


@pytest.fixture(scope="session")
def shared_sandbox():
    from airflow_provider_dialogtech.sandbox.process import running_sandbox

    with ExitStack() as running:
        with counted():
            sandbox = running.enter_context(running_sandbox(numbers=FROM_NUMBERS))
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox):
    """A local DialogTech with the tests' numbers and nothing in it."""
    shared_sandbox.clear_faults()
    shared_sandbox.forget()
    return shared_sandbox


@pytest.fixture
def connect_sandbox(sandbox, connection):
    """Set a connection to the sandbox up, with keys that it takes: `connect_sandbox(extra={...})`."""
    keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key}
    return lambda *conn_id, **fields: connection(*conn_id, **{"host": sandbox.url, **keys, **fields})


@pytest.fixture
def sandbox_connection(connect_sandbox):
    """The default connection, to the sandbox and with all of its numbers."""
    return connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS)})


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """A command that runs Python programs, which find Airflow imported: `[*python, "-c", code]`."""
    with interpreter(tmp_path_factory.mktemp("python")) as command:
        yield command


@pytest.fixture
def unused_port():
    """A port of this machine that refuses connections: bound, so that nobody else gets it, but not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
