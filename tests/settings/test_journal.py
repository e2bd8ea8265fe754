import traceback
from pathlib import Path

import pytest
from airflow import configuration
from airflow.secrets import BaseSecretsBackend

from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
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


@pytest.fixture
def without_url(monkeypatch):
    """No variable has the journal's URL."""
    monkeypatch.delenv("AIRFLOW__DIALOGTECH__JOURNAL_URL")


SIGNS = {"?": "a", "#": "b", "%": "c", "%3F": "d", "?mode=ro#x": "e", " ": "f", "ü": "g"}


@pytest.mark.usefixtures("without_url")
@pytest.mark.parametrize("sign", SIGNS)
def test_the_journal_lies_in_airflow_home_whatever_that_is_called(tmp_path, monkeypatch, sign):
    home = tmp_path / f"air{sign}flow"
    home.mkdir()
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    monkeypatch.setattr(configuration, "AIRFLOW_HOME", configuration.get_airflow_home())
    MessageJournal(journal_store(), "an account", RateLimits()).find("a key")
    assert (home / "dialogtech_journal.db").exists()
    assert [path.name for path in tmp_path.iterdir()] == [home.name]


@pytest.mark.usefixtures("without_url")
def test_a_command_may_return_the_journals_url(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL_CMD", f"echo {POSTGRES}")
    assert not journal_store().is_file


@pytest.mark.usefixtures("without_url")
def test_a_command_in_airflow_cfg_may_return_the_journals_url():
    configuration.conf.read_string(f"[dialogtech]\njournal_url_cmd = echo {POSTGRES}\n")
    try:
        assert not journal_store().is_file
    finally:
        configuration.conf.remove_option("dialogtech", "journal_url_cmd")


class Vault(BaseSecretsBackend):
    def get_config(self, key: str) -> str | None:
        return {"the_journal": POSTGRES}.get(key)


@pytest.mark.usefixtures("without_url")
def test_a_secrets_backend_may_return_the_journals_url(monkeypatch):
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{__name__}.Vault")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL_SECRET", "the_journal")
    assert not journal_store().is_file


@pytest.mark.usefixtures("without_url")
def test_a_failing_command_is_reported_without_its_output(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL_CMD", "ls /pa55-of-nobody")
    with pytest.raises(JournalUnavailable) as raised:
        journal_store()
    assert str(raised.value).startswith("The message was not sent: Airflow could not read [dialogtech] journal_url")
    assert "pa55" not in "".join(traceback.format_exception(raised.value))


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
