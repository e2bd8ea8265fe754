"""What is done when a component of Airflow or a task starts, and when a DAG file cannot be parsed."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import Any

from airflow.listeners import hookimpl

from airflow_provider_dialogtech.plugins.alert_on import log_alert_on
from airflow_provider_dialogtech.plugins.import_errors import ImportErrorWatch
from airflow_provider_dialogtech.plugins.pools import ensure_pools
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.idempotency import MAP_INDEX_VARIABLE

log = logging.getLogger(__name__)


class Listener:
    """What Airflow calls."""

    def __init__(self) -> None:
        self._import_errors = ImportErrorWatch()

    @hookimpl
    def on_starting(self, component: Any) -> None:
        # Scheduler, dag-processor and triggerer start as a Job; a task's process, which may not touch the database
        # from Airflow 3 on, does not.
        if type(component).__name__ != "Job":
            return
        # A component of Airflow must start without us, too.
        try:
            _create_pools()
        except Exception:
            log.exception(
                "The DialogTech pools could not be created. Create them: python -m airflow_provider_dialogtech pools"
            )
        try:
            log_alert_on()
        except Exception:
            log.exception("[dialogtech] alert_on could not be read. Correct it, then restart this component.")

    @hookimpl
    def on_new_dag_import_error(self, filename: str, stacktrace: str) -> None:
        self._import_errors.note(filename, stacktrace, is_new=True)

    @hookimpl
    def on_existing_dag_import_error(self, filename: str, stacktrace: str) -> None:
        self._import_errors.note(filename, stacktrace, is_new=False)

    @hookimpl
    def on_task_instance_running(self, task_instance: Any) -> None:
        # Airflow gives the processes that a task starts its DAG, run and name, but not which of a mapped task's
        # instances it is: without it, they would share one idempotency key.
        with suppress(Exception):  # of any kind: a task must run without us, too
            os.environ[MAP_INDEX_VARIABLE] = str(int(task_instance.map_index))


def _create_pools() -> None:
    done = ensure_pools() if config.create_pools() else {}
    for name, state in done.items():
        if state != "exists":
            log.info("The pool %s was %s.", name, state)
