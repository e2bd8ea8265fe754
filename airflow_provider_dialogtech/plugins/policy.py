"""A cluster policy: with `alert_on = dag_failed`, every DAG gets a notifier for its failed runs.

The dag-processor then sends the message as a DAG callback, and the scheduler runs none of this package's code.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from airflow.policies import hookimpl

from airflow_provider_dialogtech.settings import config

log = logging.getLogger(__name__)


@hookimpl
def dag_policy(dag: Any) -> None:
    """Airflow calls this for every DAG that it parses. An exception would count as an error in the DAG's file."""
    try:
        if "dag_failed" in config.alert_on():
            _add_notifier(dag)
    except Exception:  # of any kind: a failure here must not break a DAG
        log.exception("The notifier of [dialogtech] alert_on could not be added to the DAG %s.", dag.dag_id)


def _add_notifier(dag: Any) -> None:
    from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

    # The class itself is a callback, too.
    kinds = [found if isinstance(found, type) else type(found) for found in _failure_callbacks(dag)]
    if any(issubclass(kind, DialogTechSmsNotifier) for kind in kinds):
        return
    notifier = DialogTechSmsNotifier(dialogtech_conn_id=config.alert_conn_id(), event="dag_failed")
    dag.on_failure_callback = [*_listed(dag.on_failure_callback), notifier]
    # The scheduler requests a DAG's callbacks only if the serialized DAG has this flag.
    dag.has_on_failure_callback = True


def _failure_callbacks(dag: Any) -> Iterator[Any]:
    from airflow_provider_dialogtech.alerts.event import callbacks_in

    for owner in (dag, *dag.tasks):
        yield from callbacks_in(getattr(owner, "on_failure_callback", None))


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
