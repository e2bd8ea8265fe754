"""What failed in a run: each task notes its error as it fails, and the alert about the run reads these notes.

Airflow stores no task's error. An XCom is what a task's process can write and the dag-processor can read on every
version, and Airflow deletes it before the task is tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow_provider_dialogtech._compat import xcom
from airflow_provider_dialogtech.alerts.text import built_in_body, clip, dag_id_of, first_words, label_of, run_id_of
from airflow_provider_dialogtech.exceptions import plural
from airflow_provider_dialogtech.journal.records import task_name
from airflow_provider_dialogtech.masking import safe_str

log = logging.getLogger(__name__)

NOTE = "dialogtech_failure"
"""The key of the XCom."""

# Each note is one request of the dag-processor.
_MOST_NOTES = 50
_MOST_COUNTED = 10_000
_LONGEST_REASON = 100


@dataclass(frozen=True, order=True)
class FailedTask:
    """A task instance that failed in a run.

    :param at: when it failed, in seconds since 1970; infinity where it left no note, as when its process died.
    :param name: its task id, and where it is mapped its label or its map index.
    :param error: its error in a few words; empty where it left no note.
    """

    at: float
    name: str
    error: str = ""


def note_failure(task_instance: Any, error: object) -> None:
    """Note the error of a task in its own process. Never raises."""
    with suppress(Exception):  # of any kind: a failure here must not change the task's state
        state = getattr(task_instance.state, "value", task_instance.state)
        if state != "up_for_retry":
            note = {
                "at": datetime.now(timezone.utc).timestamp(),
                "error": first_words(error) if error else "",
                "label": label_of(task_instance),
            }
            task_instance.xcom_push(NOTE, note, **_session_of(task_instance))


def _session_of(task_instance: Any) -> dict[str, Any]:
    """Return the session that a task instance of Airflow 2 is in, if any: another one would close it."""
    if not hasattr(task_instance, "_sa_instance_state"):
        return {}
    from sqlalchemy.orm import object_session

    session = object_session(task_instance)
    return {} if session is None else {"session": session}


def failed_run_body(context: Mapping[str, Any]) -> str:
    """Return the body about a failed run: the task that failed first, its error, and how many others failed."""
    failed = _failed_tasks(context)
    if not failed:
        return built_in_body("dag_failed", context)
    first, others = failed[0], len(failed) - 1
    reason = safe_str(context.get("reason", ""), _LONGEST_REASON)
    whys = (
        "" if reason == "task_failure" else reason.replace("_", " "),
        clip(first.name) + (f" and {plural(others, 'other task')}" if others else ""),
        first.error,
    )
    return built_in_body("dag_failed", context, ": ".join(filter(None, whys)))


def _failed_tasks(context: Mapping[str, Any]) -> list[FailedTask]:
    """Return the tasks that failed in a run, the first one first."""
    try:
        return sorted(_read_failed_tasks(dag_id_of(context), run_id_of(context), context))
    except Exception as error:  # of any kind: the alert is sent without them
        log.warning("The failed tasks of the run cannot be read (%s).", type(error).__name__)
        return []


def _read_failed_tasks(dag_id: str, run_id: str, context: Mapping[str, Any]) -> Iterator[FailedTask]:
    for number, (task_id, map_index) in enumerate(_failed_instances(dag_id, run_id, context)):
        note = _read_note(dag_id, run_id, task_id, map_index) if number < _MOST_NOTES else {}
        at, error, label = note.get("at"), note.get("error"), note.get("label")
        yield FailedTask(
            at if isinstance(at, float) else float("inf"),
            task_name(task_id, map_index, label=label if isinstance(label, str) else ""),
            error if isinstance(error, str) else "",
        )


def _failed_instances(dag_id: str, run_id: str, context: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return task id and map index of the failed task instances of a run."""
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    except ImportError:  # Airflow 2
        return [(ti.task_id, ti.map_index) for ti in context["dag_run"].get_task_instances(state=["failed"])]
    if not _dag_processor_answers():
        return []
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    failed = [str(name) for name, state in states.items() if state == "failed"]
    return [_instance(name, context["dag"]) for name in failed[:_MOST_COUNTED]]


def _dag_processor_answers() -> bool:
    """Return whether this Airflow's dag-processor can say which tasks failed.

    That of Airflow 3.0 knows neither request, and who sends it one waits for its reply for ever.
    """
    from airflow.dag_processing import processor

    return hasattr(processor, "GetTaskStates") and hasattr(processor, "GetXCom")


def _instance(name: str, dag: Any) -> tuple[str, int]:
    """Split the name of a task instance: Airflow joins the id of a mapped task and its map index."""
    task_id, _, index = name.rpartition("_")
    if not dag.has_task(name) and dag.has_task(task_id) and index.isdecimal():
        return task_id, int(index)
    return name, -1


def _read_note(dag_id: str, run_id: str, task_id: str, map_index: int) -> Mapping[str, Any]:
    with suppress(Exception):  # of any kind: each Airflow version raises another one where there is no note
        note = xcom().get_one(key=NOTE, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
        return note if isinstance(note, Mapping) else {}
    return {}
