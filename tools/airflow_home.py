"""Runs a real Airflow in a folder: its components as processes, its metadata in SQLite."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from tools.airflow_api import AirflowApi
from tools.commands import Commands
from tools.metadata import Metadata
from tools.processes import Background, BackgroundFailed, free_port, output_of, plain_environment

_IS_AIRFLOW_2 = version("apache-airflow").startswith("2.")
_JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}

_PROGRAM = Path(__file__).with_name("airflow_program.py")

# Airflow 2 with SQLite works sequentially: it runs the tasks of a DAG before it parses the next one.
_BUSY = 300.0


class AirflowHome:
    """An Airflow in a folder.

    :param folder: its AIRFLOW_HOME, a folder that does not exist yet.
    :param dags: the folder with the DAG files.
    :param environment: further environment variables, such as settings.
    """

    def __init__(self, folder: Path, dags: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True)
        self.metadata = Metadata(self.folder / "airflow.db")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.api = AirflowApi(self.url)
        settings = _settings(self.folder, dags.resolve(), self.url)
        self._environment = plain_environment() | settings | dict(environment or {})
        self.processes = Background(self.folder / "output", self._environment)

    def airflow(self, *arguments: str) -> str:
        """Run the `airflow` command.

        :return: its output.
        :raises BackgroundFailed: when it fails.
        """
        done = self._commands.run(*arguments, environment=self._environment)
        return output_of(f"airflow {arguments[0]} {arguments[1]}", done)

    def add_connections(self, connections: Mapping[str, Mapping[str, object]]) -> None:
        """Store connections in Airflow's database, as a user does."""
        # A file, because the process list shows arguments; outside the folder, because it contains the secret.
        with tempfile.TemporaryDirectory() as private:
            file = Path(private) / "connections.json"
            file.write_text(json.dumps(connections))
            self.airflow("connections", "import", str(file))

    def start(self, *components: str) -> None:
        """Start components, and return when they run."""
        last_job = self.metadata.last_job()
        for component in components:
            self.processes.start(component, *_airflow(component, *self._arguments(component)))
        for component in components:
            self.processes.wait_until(f"{component} runs", lambda: self._is_running(component, last_job))  # noqa: B023

    def stop_all(self) -> None:
        """Kill all components and their children. Nothing reads what an orderly shutdown would still write."""
        self._commands.close()
        self.processes.stop_all(at_once=True)

    def trigger(self, dag_id: str, run_id: str, **params: object) -> None:
        """Start a run of a DAG as soon as the DAG is parsed.

        :param params: values for the DAG's parameters.
        """
        self._wait_until_parsed(dag_id)
        # Not by the API: while a task starts, the API server may wait for a lock of SQLite that it holds itself.
        self.airflow("dags", "trigger", "--run-id", run_id, "--conf", json.dumps(params), dag_id)

    def wait_for_scheduled_run(self, dag_id: str) -> str:
        """Wait until the scheduler starts the run of a DAG that was due when Airflow started.

        :return: the id of the run.
        """
        self._wait_until_parsed(dag_id)
        self.processes.wait_until(
            f"{dag_id} is run", lambda: bool(self.metadata.runs(dag_id, "scheduled")), seconds=_BUSY
        )
        return self.metadata.runs(dag_id, "scheduled")[0]

    def wait_for_run(self, dag_id: str, run_id: str, *, seconds: float = _BUSY) -> str:
        """Wait until a DAG run has ended.

        :return: its state, `success` or `failed`.
        """
        ended = ("success", "failed")
        self.processes.wait_until(
            f"the run {run_id} of {dag_id} has ended",
            lambda: self.metadata.state_of_run(dag_id, run_id) in ended,
            seconds=seconds,
        )
        return str(self.metadata.state_of_run(dag_id, run_id))

    def task_logs(self, dag_id: str) -> str:
        """Return the logs of all tasks of a DAG."""
        logs = sorted((self.folder / "logs" / f"dag_id={dag_id}").rglob("*.log"))
        return "\n".join(log.read_text(errors="replace") for log in logs)

    @cached_property
    def _commands(self) -> Commands:
        return Commands(self._environment)

    def _wait_until_parsed(self, dag_id: str) -> None:
        self.processes.wait_until(f"the DAG {dag_id} is parsed", lambda: dag_id in self._dags(), seconds=_BUSY)

    def _dags(self) -> set[str]:
        errors = self.metadata.import_errors()
        if errors:
            raise BackgroundFailed("\n".join(["A DAG file cannot be imported.", *errors]))
        return self.metadata.dags()

    def _arguments(self, component: str) -> list[str]:
        if component == "api-server":
            host, port = self.url.removeprefix("http://").split(":")
            return ["--host", host, "--port", port]
        return [] if component == "dag-processor" else ["--skip-serve-logs"]

    def _is_running(self, component: str, last_job: int) -> bool:
        if component in _JOBS:
            return self.metadata.has_job(_JOBS[component], after=last_job)
        return self.api.answers()


@contextmanager
def running_airflow(
    folder: Path,
    dags: Path,
    *,
    connections: Mapping[str, Mapping[str, object]],
    triggerer: bool = False,
    environment: Mapping[str, str] | None = None,
    database: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[AirflowHome]:
    """Run a new Airflow, and stop all of it at the end.

    :param folder: its AIRFLOW_HOME, a folder that does not exist yet.
    :param dags: the folder with the DAG files.
    :param connections: the connections by id, as `airflow connections import` takes them.
    :param triggerer: whether to start a triggerer.
    :param environment: further environment variables, such as settings.
    :param database: a metadata database to copy; by default Airflow creates one.
    :param say: called with each step before it is taken.
    """
    home = AirflowHome(folder, dags, environment)
    try:
        if database:
            shutil.copy(database, home.folder / "airflow.db")
        else:
            say("Creating Airflow's database")
            home.airflow("db", "migrate")
        say(f"Adding {', '.join(connections)} to Airflow's connections")
        home.add_connections(connections)
        say(f"Starting Airflow {version('apache-airflow')}")
        home.start("scheduler", *([] if _IS_AIRFLOW_2 else ["api-server"]), *(["triggerer"] if triggerer else []))
        if not _IS_AIRFLOW_2:
            # Last, because it finds the DAGs: a task that starts before the API is ready fails.
            home.start("dag-processor")
        yield home
    finally:
        say("Stopping Airflow")
        home.stop_all()


def _airflow(*arguments: str) -> list[str]:
    return [sys.executable, str(_PROGRAM), *arguments]


def _settings(folder: Path, dags: Path, url: str) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # SQLite allows one writer at a time, and the API's first answer holds the lock for seconds: with more writers,
        # or with the default time-out of 5 s, components fail with "database is locked".
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db?timeout=60",
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor" if _IS_AIRFLOW_2 else "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
        # Only this machine reaches the user interface, so it needs no password.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
