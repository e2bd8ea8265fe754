"""The cluster policies, which Airflow calls for each DAG that it parses and for each task that it runs.

With `alert_on = dag_failed`, every DAG gets a notifier for its failed runs. The dag-processor then sends the message as
a DAG callback, and the scheduler runs none of this package's code.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import suppress
from typing import Any

from airflow.policies import hookimpl

from airflow_provider_dialogtech.settings import config

log = logging.getLogger(__name__)


@hookimpl
def dag_policy(dag: Any) -> None:
    """Airflow calls this for every DAG that it parses. An exception would count as an error in the DAG's file."""
    with suppress(Exception):  # of any kind: the DAG then fails to parse, with Airflow's own error
        _allow_end_from_trigger(dag)
    try:
        if "dag_failed" in config.alert_on():
            _add_notifier(dag)
    except Exception:  # of any kind: a failure here must not break a DAG
        log.exception("The notifier of [dialogtech] alert_on could not be added to the DAG %s.", dag.dag_id)


@hookimpl(wrapper=True)
def get_airflow_context_vars(context: Any) -> Generator[None, dict[str, str], dict[str, str]]:
    """Add the map index and the iteration of a loop to the variables that Airflow sets for a task's processes.

    Airflow passes on a task's DAG, run and task id alone. Without the iteration, only the first one would send.
    """
    from airflow_provider_dialogtech.journal.records import NO_INDEX
    from airflow_provider_dialogtech.settings.identity import loop_index_in

    variables = yield
    with suppress(Exception):  # of any kind: a failure here must not stop a task
        loop_index = loop_index_in(context)
        loop = {} if loop_index == NO_INDEX else {"loop_index": str(loop_index)}
        return {"map_index": str(int(context["ti"].map_index)), **loop, **variables}
    return variables


def _allow_end_from_trigger(dag: Any) -> None:
    """Unregister our listener where Airflow would refuse a DAG because of it, right after this policy.

    Airflow calls the listener in its components' main processes, and parses each DAG file in another one. Only Airflow
    2 also reports a file's import errors there; it then reports none of a file with such a DAG.
    """
    if not any(getattr(task, "end_from_trigger", False) for task in dag.tasks):
        return
    from airflow.listeners.listener import get_listener_manager

    from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin

    plugins = get_listener_manager().pm
    for listener in DialogTechPlugin.listeners:
        if plugins.is_registered(listener):
            plugins.unregister(listener)


def _add_notifier(dag: Any) -> None:
    from airflow_provider_dialogtech.notifications.sms import FailedRunNotifier

    callbacks = _listed(dag.on_failure_callback)
    if any(isinstance(callback, FailedRunNotifier) for callback in callbacks):
        return
    # The last one: the DAG's own notifiers come first.
    dag.on_failure_callback = [*callbacks, FailedRunNotifier(config.alert_conn_id())]
    # The scheduler requests a DAG's callbacks only if the serialized DAG has this flag.
    dag.has_on_failure_callback = True


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
