"""Run a DAG in a real Airflow of its own process, and read what Airflow kept of it."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOME = Path(os.environ["AIRFLOW_HOME"])
TERMINAL = 180


@dataclass(frozen=True)
class DagRun:
    """What became of a run.

    :param states: of each task, in the order of its map indices.
    :param results: what each task returned, in the same order.
    :param output: everything that Airflow printed and logged.
    """

    states: dict[str, list[str]]
    results: dict[str, list[Any]]
    output: str


def run_dag(source: Path, dag_id: str, **environment: str) -> DagRun:
    """Run all tasks of a DAG as `airflow dags test` does, in this Airflow's version.

    :param source: the DAG file; files beside it with its name come along.
    """
    shutil.rmtree(HOME / "dags")
    (HOME / "dags").mkdir()
    for file in source.parent.glob(f"{source.stem}.*"):
        shutil.copy(file, HOME / "dags")
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "test", dag_id],
        capture_output=True,
        text=True,
        timeout=TERMINAL,
        env=os.environ | environment,
        check=False,
    )
    output = done.stdout + done.stderr
    with closing(sqlite3.connect(HOME / "airflow.db")) as database:
        rows = database.execute(
            "SELECT ti.task_id, ti.state, xcom.value FROM task_instance AS ti LEFT JOIN xcom ON xcom.dag_id = ti.dag_id"
            " AND xcom.run_id = ti.run_id AND xcom.task_id = ti.task_id AND xcom.map_index = ti.map_index"
            " AND xcom.key = 'return_value' WHERE ti.dag_id = ? ORDER BY ti.task_id, ti.map_index",
            (dag_id,),
        ).fetchall()
    states: dict[str, list[str]] = {}
    results: dict[str, list[Any]] = {}
    for task_id, state, value in rows:
        states.setdefault(task_id, []).append(state)
        results.setdefault(task_id, []).append(_loaded(value))
    return DagRun(states, results, output)


def _loaded(value: str | bytes | None) -> Any:
    """Read an XCom: JSON on 2.11, JSON in JSON on 3.x."""
    if value is None:
        return None
    loaded = json.loads(value)
    return json.loads(loaded) if isinstance(loaded, str) else loaded
