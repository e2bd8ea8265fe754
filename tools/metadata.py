"""Reads Airflow's metadata database, in the same way for every version."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

# Airflow 3.4 renamed tables and columns, and keeps earlier tries as rows without a `working_set`.
AS_BEFORE_3_4 = """
CREATE TEMP VIEW task_instance AS
    SELECT *, region_index AS map_index FROM {schema}.task_instance WHERE working_set IS NOT NULL;
CREATE TEMP VIEW xcom AS
    SELECT ti.dag_id, ti.run_id, ti.task_id, ti.map_index, xcom_v2.*
    FROM xcom_v2 JOIN task_instance AS ti ON ti.id = xcom_v2.task_instance_id;
CREATE TEMP VIEW rendered_task_instance_fields AS
    SELECT ti.dag_id, ti.run_id, ti.task_id, ti.region_index AS map_index, rtif_v2.*
    FROM rtif_v2 JOIN {schema}.task_instance AS ti ON ti.id = rtif_v2.task_instance_id;
"""


class Metadata:
    """The metadata database of an Airflow on SQLite.

    :param file: the database.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        with closing(sqlite3.connect(f"{self._file.as_uri()}?mode=ro", uri=True, timeout=30)) as database:
            database.row_factory = sqlite3.Row
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'xcom_v2'").fetchone():
                database.executescript(AS_BEFORE_3_4.format(schema="main"))
            return database.execute(query, values).fetchall()

    def last_job(self) -> int:
        """Return the id of the component that started last."""
        return int(self.rows("SELECT coalesce(max(id), 0) FROM job")[0][0])

    def has_job(self, kind: str, *, after: int) -> bool:
        """Return whether a component of this kind, younger than the job `after`, is running."""
        return bool(self.rows("SELECT 1 FROM job WHERE job_type = ? AND id > ? AND state = 'running'", kind, after))

    def dags(self) -> set[str]:
        """Return the ids of the parsed DAGs."""
        # Airflow 2 writes the serialized DAG first, and a DAG that is not in `dag` yet cannot be triggered.
        return {row[0] for row in self.rows("SELECT dag_id FROM dag JOIN serialized_dag USING (dag_id)")}

    def import_errors(self) -> list[str]:
        """Return why DAG files could not be imported."""
        return [row[0] for row in self.rows("SELECT stacktrace FROM import_error")]

    def runs(self, dag_id: str, kind: str) -> list[str]:
        """Return the ids of a DAG's runs of a kind (`scheduled`, `manual`), the oldest first."""
        query = "SELECT run_id FROM dag_run WHERE dag_id = ? AND run_type = ? ORDER BY id"
        return [row[0] for row in self.rows(query, dag_id, kind)]

    def state_of_run(self, dag_id: str, run_id: str) -> str | None:
        """Return the state of a DAG run; None when it does not exist."""
        rows = self.rows("SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?", dag_id, run_id)
        return rows[0][0] if rows else None

    def tasks_of_run(self, dag_id: str, run_id: str) -> list[sqlite3.Row]:
        """Return task_id, map_index, state, pool and try_number of the tasks of a DAG run."""
        return self.rows(
            "SELECT task_id, map_index, state, pool, try_number FROM task_instance WHERE dag_id = ? AND run_id = ?"
            " ORDER BY task_id, map_index",
            dag_id,
            run_id,
        )

    def results_of_run(self, dag_id: str, run_id: str) -> dict[tuple[str, int], Any]:
        """Return the return values (XCom) of the tasks of a DAG run, by task id and map index."""
        rows = self.rows(
            "SELECT task_id, map_index, value FROM xcom WHERE dag_id = ? AND run_id = ? AND key = 'return_value'"
            " ORDER BY task_id, map_index",
            dag_id,
            run_id,
        )
        return {(row["task_id"], row["map_index"]): decoded(row["value"]) for row in rows}

    def slots_of_pools(self) -> dict[str, int]:
        """Return the slots of each pool."""
        return {row["pool"]: row["slots"] for row in self.rows("SELECT pool, slots FROM slot_pool")}


def decoded(value: Any) -> Any:
    """Read an XCom: JSON on Airflow 2; JSON in JSON on Airflow 3, where SQLite makes a number of a number."""
    if not isinstance(value, str | bytes):
        return value
    once = json.loads(value)
    return json.loads(once) if isinstance(once, str) else once
