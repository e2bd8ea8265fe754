import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.settings import journal as journal_place
from airflow_provider_dialogtech.settings.journal import journal_store, on_container_layer

POSTGRES = "postgresql+psycopg2://airflow:pa55@db/airflow"


@pytest.fixture(autouse=True)
def a_local_executor(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")


def test_on_one_machine_the_journal_is_a_file_without_any_setting():
    assert journal_store().is_file


def test_several_machines_share_a_postgres(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", POSTGRES)
    assert not journal_store().is_file


@pytest.mark.parametrize(
    ("executor", "named"),
    [
        ("CeleryExecutor", "CeleryExecutor"),
        ("KubernetesExecutor", "KubernetesExecutor"),
        ("LocalExecutor,KubernetesExecutor", "KubernetesExecutor"),
        ("airflow.providers.celery.executors.celery_executor.CeleryExecutor", "CeleryExecutor"),
        ("airflow.providers.celery.executors.celery_executor.CeleryExecutor:Remote", "CeleryExecutor"),
        ("LocalExecutor;sales=CeleryExecutor", "CeleryExecutor"),
    ],
)
def test_a_file_journal_is_refused_where_tasks_run_on_several_machines(monkeypatch, executor, named):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    with pytest.raises(InvalidConnection, match=f"not sent: {named} may run.*AIRFLOW__DIALOGTECH__JOURNAL_URL"):
        journal_store()


def test_a_person_may_allow_a_file_all_the_same(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALLOW_LOCAL_JOURNAL", "True")
    assert journal_store().is_file


@pytest.mark.parametrize("executor", ["LocalExecutor", "SequentialExecutor", "my.module.LocalExecutor"])
def test_a_file_is_a_journal_where_tasks_run_beside_their_scheduler(monkeypatch, executor):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    assert journal_store().is_file


def test_another_database_is_refused_without_showing_its_password(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", "mysql://airflow:pa55@db/airflow")
    with pytest.raises(InvalidConnection) as raised:
        journal_store()
    assert "pa55" not in str(raised.value)


# Open the journal, then write into it.
OPEN = """
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.settings.journal import journal_store
store = journal_store()
print("IS FILE", store.is_file)
if store.is_file:
    MessageJournal(store, "an account", RateLimits()).find("a key")
"""


def opened(home: Path, **environment: str) -> str:
    """Open the journal in an Airflow of its own; return what that printed."""
    done = in_an_airflow(home, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def in_an_airflow(home: Path, code: str = OPEN, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    others = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__DIALOGTECH__")}
    variables = others | {"AIRFLOW_HOME": str(home), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////none.db"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables | environment, check=False)


# Open a journal in each home of the arguments, and print the errors.
OPEN_IN_HOMES = """
import os, sys, traceback
from airflow import configuration
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.settings.journal import journal_store
for home in sys.argv[1:]:
    os.environ["AIRFLOW_HOME"] = home
    configuration.AIRFLOW_HOME = configuration.get_airflow_home()
    try:
        MessageJournal(journal_store(), "an account", RateLimits()).find("a key")
    except Exception:
        traceback.print_exc()
"""
SIGNS = {"?": "a", "#": "b", "%": "c", "%3F": "d", "?mode=ro#x": "e", " ": "f", "ü": "g"}


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Homes with strange names, each in a folder of its own, after a journal was opened there; and what went wrong."""
    homes = {sign: tmp_path_factory.mktemp(name) / f"air{sign}flow" for sign, name in SIGNS.items()}
    for home in homes.values():
        home.mkdir()
    done = in_an_airflow(homes["?mode=ro#x"], OPEN_IN_HOMES, *map(str, homes.values()))
    return homes, done.stderr


@pytest.mark.parametrize("sign", SIGNS)
def test_the_journal_lies_in_airflow_home_whatever_that_is_called(homes, sign):
    home, went_wrong = homes[0][sign], homes[1]
    assert (home / "dialogtech_journal.db").exists(), went_wrong
    assert [path.name for path in home.parent.iterdir()] == [home.name]


def test_a_command_may_return_the_journals_url(tmp_path):
    written = opened(tmp_path, AIRFLOW__DIALOGTECH__JOURNAL_URL_CMD=f"echo {POSTGRES}")
    assert "IS FILE False" in written


def test_a_command_in_airflow_cfg_may_return_the_journals_url(tmp_path):
    (tmp_path / "airflow.cfg").write_text(f"[dialogtech]\njournal_url_cmd = echo {POSTGRES}\n")
    assert "IS FILE False" in opened(tmp_path)


def test_a_secrets_backend_may_return_the_journals_url(tmp_path):
    (tmp_path / "vault.py").write_text(
        "from airflow.secrets import BaseSecretsBackend\n"
        "class Vault(BaseSecretsBackend):\n"
        "    def get_config(self, key):\n"
        f"        return {{'the_journal': {POSTGRES!r}}}.get(key)\n"
    )
    written = opened(
        tmp_path,
        PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        AIRFLOW__SECRETS__BACKEND="vault.Vault",
        AIRFLOW__DIALOGTECH__JOURNAL_URL_SECRET="the_journal",
    )
    assert "IS FILE False" in written


def test_a_failing_command_is_reported_without_its_output(tmp_path):
    program = OPEN.replace("store = journal_store()", "store = journal_store()  # raises")
    others = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__DIALOGTECH__")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=others | {"AIRFLOW__DIALOGTECH__JOURNAL_URL_CMD": "ls /pa55-of-nobody"},
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert "JournalUnavailable: The message was not sent: Airflow could not read [dialogtech] journal_url" in last
    assert "pa55" not in done.stderr


def mounts(tmp_path, *lines: str) -> Path:
    file = tmp_path / "mountinfo"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


# From a Docker container, with a volume at /opt/airflow and one with a space in its name.
ROOT = "614 534 0:50 / / rw,relatime master:238 - overlay overlay rw,lowerdir=/var/lib/docker/l/A:/var/lib/docker/l/B"
PROC = "615 614 0:54 / /proc rw,nosuid - proc proc rw"
VOLUME = "640 614 254:1 /var/lib/docker/volumes/a/_data /opt/airflow rw,relatime master:1 - ext4 /dev/vda1 rw"
SPACE = r"641 614 254:1 /x /opt/air\040flow rw,relatime - ext4 /dev/vda1 rw"
MACHINE = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard"


@pytest.mark.parametrize(
    ("lines", "path", "layer"),
    [
        ((ROOT, PROC), "/opt/airflow/journal.db", True),
        ((ROOT, PROC, VOLUME), "/opt/airflow/journal.db", False),
        ((ROOT, PROC, VOLUME), "/opt/airflow2/journal.db", True),
        ((ROOT, SPACE), "/opt/air flow/journal.db", False),
        ((MACHINE, PROC), "/opt/airflow/journal.db", False),
        ((MACHINE, ROOT), "/opt/airflow/journal.db", True),
        ((ROOT, MACHINE), "/opt/airflow/journal.db", False),
        (("nonsense", ""), "/opt/airflow/journal.db", False),
    ],
)
def test_a_containers_own_layer_is_distinguished_from_a_volume(tmp_path, lines, path, layer):
    assert on_container_layer(Path(path), mounts(tmp_path, *lines)) is layer


def test_without_a_list_of_mounts_nothing_is_logged(tmp_path):
    assert not on_container_layer(Path("/opt/airflow/journal.db"), tmp_path / "none")


def test_an_invalid_path_is_on_no_layer():
    assert not on_container_layer(Path("/opt/\0/journal.db"))


def test_a_journal_on_a_containers_own_layer_is_warned_of_once(tmp_path, monkeypatch, caplog):
    path = tmp_path / "journal?.db"
    monkeypatch.setattr(journal_place.config, "journal_url", lambda: journal_place.config.file_url(str(path)))
    monkeypatch.setattr(
        journal_place, "on_container_layer", lambda path: on_container_layer(path, mounts(tmp_path, ROOT))
    )
    for _ in range(2):
        assert journal_store().is_file
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert f"The delivery journal {path} is in this container's own file system" in warning.getMessage()
    assert "[dialogtech] journal_url" in warning.getMessage()
