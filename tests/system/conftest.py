"""One Airflow and one local DialogTech for all tests in this folder: starting them takes half a minute."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow import __version__ as airflow_version

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.conftest import ACCESS_KEY, FROM_NUMBERS, SECRET
from tests.system.kills import KILLED_NUMBERS, RUN, kill_both
from tools.airflow_home import AirflowHome, running_airflow

_IS_AIRFLOW_3_0 = airflow_version.startswith("3.0.")
_ROOT = Path(__file__).resolve().parents[2]
# Other accounts, whose limits and journal no other test touches.
_DELIVERY = ("access-of-delivery", "5554332121")
_LONG_LINE = ("access-of-the-long-line", "5554332131")
_LISTS = ("access-of-lists", "5554332141,5554332142")
_EVERY_DAG = ("access-of-every-dag", "5554332151")
_OTHER_ACCOUNTS = (_DELIVERY, _LONG_LINE, _LISTS, _EVERY_DAG)
# As the example DAGs name people.
CONTACTS = {"oncall": "(555) 666-7861", "ada": "(555) 666-7862", "finance": ["(555) 666-7863", "(555) 666-7864"]}
EVERY_DAG_TO = "5556667866"
# With its day where that is not today.
ANY_TIME = r"(?:\d\d-\d\d )?\d\d:\d\d UTC"
# A task that is gone with its supervisor is noticed by its silence: after five minutes, if nobody says otherwise.
# Airflow 2 with SQLite does one thing after the other: a task, or the parsing of DAGs.
_SIDE_BY_SIDE = not airflow_version.startswith("2.")
# These runs go on while other tests look at theirs. Several of them take half a minute, most of it waiting.
_BEGUN_FIRST = {
    "dialogtech_deadline_alert": "late",
    "alerts_of_a_failure": "by_hand",
    "alerts_of_a_success": "by_hand",
    "dialogtech_message_per_row": "by_hand",
}
_SOON_MISSED = (
    {
        "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "30",
        "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "3",
    }
    if airflow_version.startswith("2.")
    else {
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    }
)
# No DAG file changes, and to parse all of them again takes seconds. A busy machine may need longer than Airflow allows.
_PARSED_SELDOM = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "120",
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "300",
    "AIRFLOW__CORE__DAG_FILE_PROCESSOR_TIMEOUT": "300",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
}
# uv takes whatever `python` this machine has outside of its environments.
_SAME_PYTHON = {"AIRFLOW__STANDARD__VENV_INSTALL_METHOD": "pip"}
# As dialogtech_every_dag asks for it, and with time for callbacks on a busy machine.
_ALERT_ON = {
    # Airflow 3 ends a task's process this long after its success, whatever its callbacks still do.
    "AIRFLOW__CORE__TASK_SUCCESS_OVERTIME": "300",
    "AIRFLOW__DIALOGTECH__ALERT_ON": "dag_failed,import_error",
    "AIRFLOW__DIALOGTECH__ALERT_CONN_ID": "dialogtech_oncall",
}


@dataclass(frozen=True)
class System:
    """A running Airflow whose connection leads to a running local DialogTech."""

    airflow: AirflowHome
    sandbox: Any

    def texts_to(self, number: str) -> list[dict[str, Any]]:
        """Return the messages to a number that DialogTech accepted; its first digits will do."""
        return [text for text in self.sandbox.accepted() if text["to"].startswith(number)]

    def text_to(self, number: str) -> str:
        """Return the one message to a number once it is there: DAG callbacks run after the run has ended."""
        self.airflow.processes.wait_until(f"{number} is texted", lambda: bool(self.texts_to(number)), seconds=300)
        texts = self.texts_to(number)
        assert len(texts) == 1, texts
        return str(texts[0]["message"])

    def process_of(self, dag_id: str) -> psutil.Process:
        """Return the process in which the only task of a DAG runs."""
        (row,) = self.airflow.metadata.rows("SELECT pid FROM task_instance WHERE dag_id = ?", dag_id)
        return psutil.Process(row["pid"])

    def trigger(self, dag_id: str, run_id: str, **params: object) -> None:
        """Start a run of a DAG, if it has not begun with the first ones."""
        if not _SIDE_BY_SIDE or _BEGUN_FIRST.get(dag_id) != run_id:
            self.airflow.trigger(dag_id, run_id, **params)

    def clear(self, dag_id: str, run_id: str) -> str:
        """Run the tasks of a DAG's run again, and return how the run ends."""
        if airflow_version.startswith("2."):
            self.airflow.airflow("tasks", "clear", "--yes", dag_id)
        else:
            what = {"dag_run_id": run_id, "dry_run": False, "only_failed": False}
            self.airflow.api.call("POST", f"dags/{dag_id}/clearTaskInstances", what)
        return self.airflow.wait_for_run(dag_id, run_id)

    def ends_of_killed(self) -> dict[str, str]:
        """Return how the runs of the two tasks end that are killed while their request is out."""
        if not _SIDE_BY_SIDE:
            kill_both(self)
        return {dag_id: self.end_after_kill(dag_id, RUN) for dag_id in KILLED_NUMBERS}

    def end_after_kill(self, dag_id: str, run_id: str) -> str:
        """Return how a run ends whose task was killed and is tried again."""
        end = self.airflow.wait_for_run(dag_id, run_id)
        (task,) = self.airflow.metadata.tasks_of_run(dag_id, run_id)
        # Airflow 3.0 does not retry by itself what a signal has ended.
        return self.clear(dag_id, run_id) if _IS_AIRFLOW_3_0 and task["try_number"] == 1 else end

    def states_in_journal(self, number: str) -> dict[str, str]:
        """Return the states of the messages to a number, by the number's last digits."""
        query = "SELECT recipient_tail, state FROM dialogtech_messages WHERE recipient_tail LIKE ?"
        with closing(sqlite3.connect(self.airflow.folder / "dialogtech_journal.db", timeout=30)) as journal:
            return dict(journal.execute(query, (number[6:] + "%",)).fetchall())


@pytest.fixture(scope="package")
def system(new_metadata_db, tmp_path_factory):
    """Airflow runs the example DAGs, and those in `tests/system/dags` where a test brings its own."""
    folder = tmp_path_factory.mktemp("system")
    for dags in (_ROOT / "example_dags", Path(__file__).parent / "dags"):
        if dags.exists():
            shutil.copytree(dags, folder / "dags", dirs_exist_ok=True)
    with running_sandbox(
        access_key=ACCESS_KEY,
        secret_access_key=SECRET,
        numbers=FROM_NUMBERS,
        arguments=[
            f"--account={key}:{SECRET}:{numbers}" for key, numbers in (_DELIVERY, _LONG_LINE, _LISTS, _EVERY_DAG)
        ],
    ) as sandbox:
        numbers = ",".join(FROM_NUMBERS)
        connections = {
            "dialogtech_default": _connection(sandbox, ACCESS_KEY, numbers, alert_to="5556667790", contacts=CONTACTS),
            "dialogtech_staging": _connection(sandbox, ACCESS_KEY, numbers, contacts=CONTACTS, only_to=["oncall"]),
            "dialogtech_oncall": _connection(sandbox, *_EVERY_DAG, alert_to=EVERY_DAG_TO, alert_budget=1000),
            "dialogtech_delivery": _connection(sandbox, *_DELIVERY, timeout=20),
            "dialogtech_long_line": _connection(sandbox, *_LONG_LINE, number_per_minute=1),
            "dialogtech_lists": _connection(sandbox, *_LISTS),
        }
        with running_airflow(
            folder / "home",
            folder / "dags",
            connections=connections,
            triggerer=True,
            environment=_SOON_MISSED | _PARSED_SELDOM | _ALERT_ON | _SAME_PYTHON,
            database=new_metadata_db,
        ) as airflow:
            system = System(airflow, sandbox)
            if _SIDE_BY_SIDE:
                for dag_id, run_id in _BEGUN_FIRST.items():
                    airflow.trigger(dag_id, run_id)
                kill_both(system)
            yield system


def _connection(sandbox, access_key: str, numbers: str, **extra: object) -> dict[str, object]:
    return {
        "conn_type": "dialogtech",
        "login": access_key,
        "password": SECRET,
        "host": sandbox.url,
        "extra": {"from_numbers": numbers, **extra},
    }
