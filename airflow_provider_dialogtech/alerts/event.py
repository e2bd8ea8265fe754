"""The event that a callback was called for. Airflow does not report it, so it is inferred from the context."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from airflow_provider_dialogtech.alerts.question import asks
from airflow_provider_dialogtech.masking import safe_get, safe_str

# Each event, and the argument whose callbacks Airflow calls for it.
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

    :param notifier: the callback itself, or its class. The argument it was passed as decides what the context leaves
        open.
    :return: one of `EVENTS`.
    """
    if context.get("ti") is None and "deadline" in context:
        return "deadline"
    if "blocking_task_list" in context:
        return "sla"
    on_task = _attached_to(notifier, context.get("task"), _TASK_CALLBACKS)
    on_dag = _attached_to(notifier, context.get("dag"), _DAG_CALLBACKS)
    # Only a DAG's callbacks get a reason, though another notifier may have a template field of that name.
    if context.get("ti") is None or ("reason" in context and (on_dag or not on_task)):
        return _dag_event(context, on_dag)
    return _task_event(context, on_task)


def _attached_to(notifier: object, owner: object, callbacks: Mapping[str, str]) -> set[str]:
    return {
        event
        for event, name in callbacks.items()
        if any(callback is notifier for callback in callbacks_in(safe_get(owner, name)))
    }


def callbacks_in(argument: Any) -> list[Any]:
    """Return the callbacks of an argument of a task or a DAG: one or a list, without their `functools.partial`."""
    listed = argument if isinstance(argument, (list, tuple)) else [argument]
    return [callback.func if isinstance(callback, partial) else callback for callback in listed]


def _dag_event(context: Mapping[str, Any], attached: set[str]) -> str:
    if "reason" in context:
        return "dag_success" if safe_str(context["reason"], _LONGEST_WORD) == "success" else "dag_failed"
    return attached.pop() if len(attached) == 1 else "dag_failed"


def _task_event(context: Mapping[str, Any], attached: set[str]) -> str:
    ti = context["ti"]
    state = safe_get(ti, "state")
    # On 2.11 a skipped task calls its success callbacks too, so the state decides.
    if event := _EVENT_OF_STATE.get(safe_str(safe_get(state, "value", state), _LONGEST_WORD)):
        return event
    if len(attached) == 1:
        return attached.pop()
    if context.get("exception") is None and asks(context):
        return "asked"
    if context.get("exception") is None and (not attached or "execute" in attached):
        return "execute"
    # Airflow 3 passes no state for a task whose process died.
    tried, most = safe_get(ti, "try_number", 1), safe_get(ti, "max_tries", 0)
    return "retry" if isinstance(tried, int) and isinstance(most, int) and tried <= most else "failed"
