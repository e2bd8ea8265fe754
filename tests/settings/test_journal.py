import traceback
from pathlib import Path

import pytest
from airflow import configuration
from airflow.secrets import BaseSecretsBackend

from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.settings import journal as journal_place
from airflow_provider_dialogtech.settings import metadata as metadata_database
from airflow_provider_dialogtech.settings.journal import (
    Place,
    Situation,
    journal_store,
    on_container_layer,
    own_journal,
    place_of,
    situation,
    tasks_use_door,
    why,
)

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


# What each part of Airflow knows: the version, whether the API server has a journal of its own, the metadata database.
TASK_OF_3 = {"is_airflow_3": True, "server_has_own": None, "metadata": ""}
SERVER_OF_3 = {"is_airflow_3": True, "server_has_own": False, "metadata": "postgresql"}
ALL_OF_2 = {"is_airflow_3": False, "server_has_own": None, "metadata": "postgresql"}


@pytest.mark.parametrize("part", [TASK_OF_3, SERVER_OF_3, ALL_OF_2, {**SERVER_OF_3, "metadata": "mysql"}])
@pytest.mark.parametrize("is_local", [True, False])
def test_a_journal_that_is_set_is_used_everywhere(part, is_local):
    assert place_of(Situation(is_set=True, is_local=is_local, **part)) is Place.SETTING


@pytest.mark.parametrize(
    "part",
    [
        TASK_OF_3,
        SERVER_OF_3,
        ALL_OF_2,
        *({**part, "metadata": kind} for part in (SERVER_OF_3, ALL_OF_2) for kind in ("mysql", "sqlite")),
    ],
)
def test_executors_of_one_machine_keep_the_file(part):
    assert place_of(Situation(is_set=False, is_local=True, **part)) is Place.FILE


@pytest.mark.parametrize(
    ("part", "place"),
    [
        (TASK_OF_3, Place.DOOR),
        (SERVER_OF_3, Place.METADATA),
        ({**SERVER_OF_3, "metadata": "sqlite"}, Place.FILE),
        ({**SERVER_OF_3, "metadata": "mysql"}, Place.NOWHERE),
        ({**SERVER_OF_3, "metadata": "mssql"}, Place.NOWHERE),
        (ALL_OF_2, Place.METADATA),
        ({**ALL_OF_2, "metadata": "mysql"}, Place.NOWHERE),
        ({**ALL_OF_2, "metadata": "sqlite"}, Place.NOWHERE),
        *(
            ({**SERVER_OF_3, "server_has_own": said, "metadata": kind}, Place.DOOR)
            for said in (True, None)
            for kind in ("postgresql", "mysql", "sqlite")
        ),
    ],
)
def test_executors_of_several_machines_share_a_journal_without_any_setting(part, place):
    assert place_of(Situation(is_set=False, is_local=False, **part)) is place


@pytest.fixture
def airflow(monkeypatch, tmp_path):
    """Be a part of some Airflow: `airflow(3, executor="CeleryExecutor", metadata="postgresql+psycopg2://…")`."""
    from airflow import settings

    def be(version, *, executor="CeleryExecutor", metadata=POSTGRES, server_has_own=False):
        monkeypatch.delenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", raising=False)
        monkeypatch.setattr(journal_place, "IS_AIRFLOW_3", version == 3)
        monkeypatch.setattr(metadata_database, "IS_AIRFLOW_3", version == 3)
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", metadata)
        monkeypatch.setattr(settings, "SQL_ALCHEMY_CONN", metadata)
        monkeypatch.setattr(journal_place, "server_has_own_journal", lambda: server_has_own)

    return be


BLOCKED = "airflow-db-not-allowed:///"
"""The address that Airflow 3 gives to tasks, to the children of dag-processor and triggerer, and to their children."""


def test_a_task_of_airflow_3_asks_the_api_server(airflow, monkeypatch):
    airflow(3, metadata=BLOCKED)
    opened = []
    door = "airflow_provider_dialogtech.settings.door.door_store"
    monkeypatch.setattr(door, lambda **options: opened.append(options))
    journal_store(patience=10, retry_for=2)
    assert opened == [{"patience": 10, "retry_for": 2}]


@pytest.mark.parametrize("version", [2, 3])
def test_airflows_own_postgres_has_the_journal(airflow, version):
    airflow(version)
    assert place_of(situation()) is Place.METADATA
    assert journal_store().url == POSTGRES


@pytest.mark.parametrize("server_has_own", [True, None])
@pytest.mark.parametrize("metadata", [POSTGRES, "mysql+mysqldb://airflow:pa55@db/airflow"])
def test_who_knows_only_the_metadata_asks_an_api_server_with_a_journal_of_its_own(
    airflow, monkeypatch, server_has_own, metadata
):
    airflow(3, metadata=metadata, server_has_own=server_has_own)
    opened = []
    monkeypatch.setattr("airflow_provider_dialogtech.settings.door.door_store", lambda **_: opened.append("door"))
    journal_store()
    assert opened == ["door"]
    with pytest.raises(InvalidConnection, match=r"only through Airflow's API server.*set \[dialogtech\] journal_url"):
        own_journal(patience=1)


def test_the_api_server_itself_does_not_go_by_what_it_has_said_before(airflow):
    airflow(3, server_has_own=True)
    assert place_of(situation(is_server=True)) is Place.METADATA
    assert journal_store(is_server=True).url == POSTGRES


def test_what_the_api_server_has_said_is_read_only_where_it_decides(airflow, monkeypatch):
    def read():
        raise AssertionError("the database is asked")

    for version, options in (
        (2, {}),
        (3, {"executor": "LocalExecutor"}),
        (3, {"metadata": BLOCKED}),
    ):
        airflow(version, **options)
        monkeypatch.setattr(journal_place, "server_has_own_journal", read)
        situation()
    airflow(3)
    monkeypatch.setattr(journal_place, "server_has_own_journal", read)
    situation(is_server=True)
    assert tasks_use_door()
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", POSTGRES)
    situation()


def test_a_worker_without_a_metadata_database_asks_the_api_server(airflow, tmp_path):
    airflow(3, metadata=f"sqlite:///{tmp_path}/airflow.db")
    assert place_of(situation()) is Place.DOOR
    (tmp_path / "airflow.db").touch()
    assert place_of(situation()) is Place.FILE
    assert journal_store().is_file


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
def test_without_a_place_airflow_2_names_the_executor_and_what_to_set(airflow, executor, named):
    airflow(2, executor=executor, metadata="mysql+mysqldb://airflow:pa55@db/airflow")
    with pytest.raises(InvalidConnection, match=rf"not sent: {named} may run.*\(mysql\).*\[dialogtech\] journal_url"):
        journal_store()


def test_without_a_place_airflow_3_asks_to_set_it_on_the_api_server(airflow):
    airflow(3, metadata="mysql+mysqldb://airflow:pa55@db/airflow")
    with pytest.raises(
        InvalidConnection, match=r"metadata database \(mysql\).*Set .*journal_url on the API server only"
    ):
        journal_store()


@pytest.mark.parametrize("variable", ["AIRFLOW_IS_K8S_EXECUTOR_POD", "AIRFLOW_IS_EXECUTOR_CONTAINER"])
def test_a_pod_is_not_the_machine_of_the_scheduler_whatever_executor_it_names(airflow, monkeypatch, variable):
    airflow(3, executor="LocalExecutor", metadata=BLOCKED)
    monkeypatch.setenv(variable, "True")
    assert place_of(situation()) is Place.DOOR


@pytest.mark.parametrize(("version", "metadata"), [(2, POSTGRES), (3, BLOCKED)])
def test_a_file_that_is_set_is_refused_where_tasks_run_on_several_machines(
    airflow, monkeypatch, own_journal, version, metadata
):
    airflow(version, metadata=metadata)
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{own_journal}")
    with pytest.raises(InvalidConnection, match=r"CeleryExecutor may run.*names a file on one of them"):
        journal_store()
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALLOW_LOCAL_JOURNAL", "True")
    assert journal_store().is_file


def test_the_api_server_of_airflow_3_may_have_a_file(airflow, monkeypatch, own_journal):
    airflow(3)
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{own_journal}")
    assert journal_store().is_file


def test_a_person_may_allow_a_file_all_the_same(airflow, monkeypatch):
    airflow(3, metadata=BLOCKED)
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALLOW_LOCAL_JOURNAL", "True")
    assert journal_store().is_file


@pytest.mark.parametrize("executor", ["LocalExecutor", "SequentialExecutor", "my.module.LocalExecutor"])
@pytest.mark.parametrize("metadata", [POSTGRES, BLOCKED])
def test_a_file_is_the_journal_where_tasks_run_beside_their_scheduler(airflow, executor, metadata):
    airflow(3, executor=executor, metadata=metadata)
    assert journal_store().is_file
    assert not tasks_use_door()


def test_tasks_use_the_door_on_airflow_3_only(airflow, monkeypatch):
    airflow(3)
    assert tasks_use_door()
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", POSTGRES)
    assert not tasks_use_door()
    airflow(2)
    assert not tasks_use_door()


@pytest.mark.parametrize(
    ("version", "settings", "reason"),
    [
        (3, {"AIRFLOW__DIALOGTECH__JOURNAL_URL": POSTGRES}, "[dialogtech] journal_url is set"),
        (3, {"AIRFLOW__DIALOGTECH__JOURNAL_CONN_ID": "pg"}, "[dialogtech] journal_conn_id is set"),
        (
            3,
            {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"},
            "a SQLite file in AIRFLOW_HOME: LocalExecutor runs all tasks on one machine",
        ),
        (
            3,
            {"AIRFLOW__DIALOGTECH__ALLOW_LOCAL_JOURNAL": "True"},
            "a SQLite file in AIRFLOW_HOME: [dialogtech] allow_local_journal is set",
        ),
        (
            3,
            {},
            "Airflow's metadata database: CeleryExecutor may run tasks on several machines, "
            "and they reach the journal through the API server",
        ),
        (2, {}, "Airflow's metadata database: CeleryExecutor may run tasks on several machines"),
    ],
)
def test_each_rule_is_told_in_words(airflow, monkeypatch, version, settings, reason):
    airflow(version)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    now = situation()
    assert why(place_of(now), now) == reason


@pytest.mark.parametrize(
    ("server_has_own", "reason"), [(True, "has a journal of its own"), (None, "has not yet said where the journal is")]
)
def test_the_api_server_is_named_with_what_it_said(airflow, server_has_own, reason):
    airflow(3, server_has_own=server_has_own)
    now = situation()
    assert why(place_of(now), now) == f"Airflow's API server, which {reason}"


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
    monkeypatch.delenv("AIRFLOW__DIALOGTECH__JOURNAL_URL")
    monkeypatch.setattr(journal_place.config, "journal_file", lambda: journal_place.config.file_url(str(path)))
    monkeypatch.setattr(
        journal_place, "on_container_layer", lambda path: on_container_layer(path, mounts(tmp_path, ROOT))
    )
    for _ in range(2):
        assert journal_store().is_file
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert f"The delivery journal {path} is in this container's own file system" in warning.getMessage()
    assert "[dialogtech] journal_url" in warning.getMessage()
