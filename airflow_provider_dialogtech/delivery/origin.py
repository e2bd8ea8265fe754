"""The task that a text comes from."""

from __future__ import annotations

from dataclasses import dataclass

NOT_MAPPED = -1


@dataclass(frozen=True)
class Origin:
    """The task that a text comes from, so that a person can find the one from the other. Outside a task it is empty.

    :param dag_id: its DAG.
    :param run_id: the DAG's run.
    :param task_id: its name.
    :param map_index: which of a mapped task's instances; -1 when it is not mapped.
    """

    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = NOT_MAPPED


NO_TASK = Origin()
