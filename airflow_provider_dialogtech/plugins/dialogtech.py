"""The plugin: what Airflow loads and calls beside operators, hooks and notifiers."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from importlib import import_module
from typing import Any

from airflow import __version__ as airflow_version
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_dialogtech._compat import HAS_PAGES
from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.plugins.import_errors import ImportErrorWatch
from airflow_provider_dialogtech.plugins.pools import ensure_pools
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.config import PREFIX, page_path
from airflow_provider_dialogtech.settings.identity import MAP_INDEX_VARIABLE

log = logging.getLogger(__name__)


# What of Airflow tells us of each.
TOLD_BY = {
    "dag_failed": ("airflow.policies", "dag_policy"),
    "import_error": ("airflow.listeners.spec.importerrors", "on_new_dag_import_error"),
}


def log_alert_on() -> None:
    """Log what is texted without a notifier in any DAG, and what this version of Airflow lacks for it."""
    try:
        asked = config.alert_on()
    except InvalidConnection as error:
        log.error("Nobody is texted about what alert_on names: %s. %s", error.reason, error.advice)  # noqa: TRY400
        return
    lacking = lacking_for(asked)
    if told := sorted(asked - lacking):
        log.info(
            "alert_on: alert_to of the connection %s is texted about %s.", config.alert_conn_id(), " and ".join(told)
        )
    for name in sorted(lacking):
        log.warning("alert_on: nobody is texted about %s, which Airflow %s does not tell.", name, airflow_version)


def lacking_for(asked: frozenset[str]) -> frozenset[str]:
    """Return what this version of Airflow does not tell of.

    :param asked: some of the names that `alert_on` may have.
    """
    return frozenset(name for name in asked if not _has(*TOLD_BY[name]))


def _has(module: str, name: str) -> bool:
    try:
        return hasattr(import_module(module), name)
    except ImportError:
        return False


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


class _Page:
    """The page's app, made when it is first asked for: every component loads plugins, only the API server serves."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from airflow_provider_dialogtech.api_server.page import create_app

            self._app = create_app()
        await self._app(scope, receive, send)


class DialogTechPlugin(AirflowPlugin):
    """Creates the connections' pools, names the map index to a task's processes, and adds the page "Messages"."""

    name = "dialogtech"
    listeners = [Listener()]  # noqa: RUF012 - Airflow declares it so
    if HAS_PAGES:
        fastapi_apps = [{"app": _Page(), "url_prefix": PREFIX, "name": "DialogTech messages"}]
        external_views = [
            {
                "name": "Messages",
                "href": page_path(),
                "destination": "nav",
                "url_route": "dialogtech_messages",
                "category": "browse",
            }
        ]
