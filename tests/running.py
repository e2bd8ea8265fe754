"""Run DAGs in a real Airflow of its own process, and read what Airflow kept of them."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOME = Path(os.environ["AIRFLOW_HOME"])
TERMINAL = 300


@dataclass(frozen=True)
class DagRun:
    """What became of a run.

    :param states: of each task, in the order of its map indices.
    :param results: what each task returned, in the same order.
    :param output: everything that Airflow printed and logged, also of other DAGs that ran with this one.
    """

    states: dict[str, list[str]]
    results: dict[str, list[Any]]
    output: str


def run_dag(source: Path, **environment: str) -> DagRun:
    """Run all tasks of a DAG as `airflow dags test` does, in this Airflow's version.

    :param source: the DAG file, named as its DAG is; files beside it with its name come along.
    """
    return run_dags([source], **environment)[source.stem]


def run_dags(sources: Sequence[Path], **environment: str) -> dict[str, DagRun]:
    """Run several DAGs in one Airflow, one after the other: to start it takes longer than to run one."""
    shutil.rmtree(HOME / "dags")
    (HOME / "dags").mkdir()
    for source in sources:
        for file in source.parent.glob(f"{source.stem}.*"):
            shutil.copy(file, HOME / "dags")
    dag_ids = [source.stem for source in sources]
    done = subprocess.run(
        [sys.executable, "-m", __name__, *dag_ids],
        capture_output=True,
        text=True,
        timeout=TERMINAL,
        cwd=Path(__file__).parent.parent,
        env=os.environ | environment,
        check=False,
    )
    return {dag_id: _dag_run(dag_id, done.stdout + done.stderr) for dag_id in dag_ids}


def _dag_run(dag_id: str, output: str) -> DagRun:
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


def _test_each(dag_ids: list[str]) -> None:
    from airflow.__main__ import main

    for dag_id in dag_ids:
        sys.argv = ["airflow", "dags", "test", dag_id]
        with suppress(SystemExit):  # it ends so where a task fails
            main()


if __name__ == "__main__":
    _test_each(sys.argv[1:])
