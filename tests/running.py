"""Run DAGs in a real Airflow of its own process, and read what Airflow kept of them.

All tests of a worker share one Airflow: to start one takes longer than to run a dozen DAGs.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.statsd import StatsD
from tools.commands import Commands
from tools.metadata import Metadata, decoded

HOME = Path(os.environ["AIRFLOW_HOME"])
# Airflow shows as much as it can: at DEBUG, with the locals of each frame in a traceback. Airflow 3.0 shows them on its
# console, later ones in their development mode. Rich does not wrap lines that are wide enough.
_OPEN = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG", "DEV": "1", "COLUMNS": "4000", "NO_COLOR": "1"}


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
    :param environment: variables that are read while it runs: settings of ours, connections.
    """
    return run_dags([source], **environment)[source.stem]


def run_dags(sources: Sequence[Path], **environment: str) -> dict[str, DagRun]:
    """Run several DAGs one after the other."""
    shutil.rmtree(HOME / "dags")
    (HOME / "dags").mkdir()
    for source in sources:
        for file in source.parent.glob(f"{source.stem}.*"):
            shutil.copy(file, HOME / "dags")
    done = [_run("dags", "test", source.stem, **environment) for source in sources]
    output = "".join(each.stdout + each.stderr for each in done)
    return {source.stem: _dag_run(source.stem, output) for source in sources}


def run_command(*arguments: str) -> str:
    """Run a command of Airflow, and return what it printed."""
    done = _run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def statsd() -> StatsD:
    """Return what hears the metrics of this Airflow."""
    return StatsD()


def _run(*arguments: str, **environment: str) -> CompletedProcess[str]:
    return _airflow().run(*arguments, environment=_variables() | environment)


@cache
def _airflow() -> Commands:
    return Commands(_variables())


def _variables() -> Mapping[str, str]:
    return os.environ | _OPEN | statsd().settings


def _dag_run(dag_id: str, output: str) -> DagRun:
    rows = Metadata(HOME / "airflow.db").rows(
        "SELECT ti.task_id, ti.state, xcom.value FROM task_instance AS ti LEFT JOIN xcom ON xcom.dag_id = ti.dag_id"
        " AND xcom.run_id = ti.run_id AND xcom.task_id = ti.task_id AND xcom.map_index = ti.map_index"
        " AND xcom.key = 'return_value' WHERE ti.dag_id = ? ORDER BY ti.task_id, ti.map_index",
        dag_id,
    )
    states: dict[str, list[str]] = {}
    results: dict[str, list[Any]] = {}
    for task_id, state, value in rows:
        states.setdefault(task_id, []).append(state)
        results.setdefault(task_id, []).append(decoded(value))
    return DagRun(states, results, output)
