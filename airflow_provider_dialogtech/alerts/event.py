"""Which event a callback was called for: Airflow does not say, so it is read from the context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dialogtech.alerts.question import asks
from airflow_provider_dialogtech.masking import safe_str

# An event, and where a notifier hangs that is called for it.
_TASK_CALLBACKS = {
    "failed": "on_failure_callback",
    "retry": "on_retry_callback",
    "success": "on_success_callback",
    "skipped": "on_skipped_callback",
    "execute": "on_execute_callback",
}
_DAG_CALLBACKS = {"dag_failed": "on_failure_callback", "dag_success": "on_success_callback"}

EVENTS = (*_TASK_CALLBACKS, "asked", *_DAG_CALLBACKS, "deadline", "sla")

_LONGEST_WORD = 20

_EVENT_OF_STATE = {"failed": "failed", "up_for_retry": "retry", "success": "success", "skipped": "skipped"}


def event_of(context: Mapping[str, Any], notifier: object) -> str:
    """Return the event that a callback's context stands for.

    :param context: what Airflow called the callback with.
    :param notifier: the callback itself. Where it hangs decides what the context leaves open.
    :return: one of `EVENTS`.
    """
    if context.get("ti") is None and "deadline" in context:
        return "deadline"
    if "blocking_task_list" in context:
        return "sla"
    on_task = _hung(notifier, context.get("task"), _TASK_CALLBACKS)
    on_dag = _hung(notifier, context.get("dag"), _DAG_CALLBACKS)
    # Only a DAG's callbacks get a reason, though a template field of another notifier may bear that name.
    if context.get("ti") is None or ("reason" in context and (on_dag or not on_task)):
        return _dag_event(context, on_dag)
    return _task_event(context, on_task)


def _hung(notifier: object, owner: object, callbacks: Mapping[str, str]) -> set[str]:
    return {
        event
        for event, name in callbacks.items()
        if any(callback is notifier for callback in _listed(_read(owner, name)))
    }


def _listed(callbacks: Any) -> list[Any]:
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def _dag_event(context: Mapping[str, Any], hung: set[str]) -> str:
    if "reason" in context:
        return "dag_success" if safe_str(context["reason"], _LONGEST_WORD) == "success" else "dag_failed"
    return hung.pop() if len(hung) == 1 else "dag_failed"


def _task_event(context: Mapping[str, Any], hung: set[str]) -> str:
    ti = context["ti"]
    state = _read(ti, "state")
    # On 2.11 a skipped task calls its success callbacks as well: the state is what happened.
    if event := _EVENT_OF_STATE.get(safe_str(_read(state, "value", state), _LONGEST_WORD)):
        return event
    if len(hung) == 1:
        return hung.pop()
    if context.get("exception") is None and asks(context):
        return "asked"
    if context.get("exception") is None and (not hung or "execute" in hung):
        return "execute"
    # Airflow 3 gives no state of a task that was found dead.
    tried, most = _read(ti, "try_number", 1), _read(ti, "max_tries", 0)
    return "retry" if isinstance(tried, int) and isinstance(most, int) and tried <= most else "failed"


def _read(thing: Any, name: str, default: Any = None) -> Any:
    """Read an attribute; one that raises when it is read is taken for one that is not there."""
    try:
        return getattr(thing, name, default)
    except Exception:
        return default
