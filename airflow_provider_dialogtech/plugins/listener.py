"""The listener, which Airflow calls: it creates pools and the token, deletes old messages, and notes failures."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

from airflow import __version__ as airflow_version
from airflow.listeners import hookimpl

from airflow_provider_dialogtech.alerts.failed_run import note_failure
from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidConnection
from airflow_provider_dialogtech.plugins.import_errors import ImportErrorWatch
from airflow_provider_dialogtech.plugins.pools import ensure_pools
from airflow_provider_dialogtech.settings import config, host
from airflow_provider_dialogtech.settings.journal import (
    ONLY_ON_SERVER,
    SET_IT_HERE,
    tasks_miss_the_server,
    tasks_use_door,
)
from airflow_provider_dialogtech.settings.token import CONN_ID, ensure_token

log = logging.getLogger(__name__)

# Messages are deleted within this time of the end of their retention, in seconds.
PRUNED_EVERY = 12 * 3600.0

# The module and the hook through which Airflow reports each event of `alert_on`.
REPORTED_BY = {
    "dag_failed": ("airflow.policies", "dag_policy"),
    "import_error": ("airflow.listeners.spec.importerrors", "on_new_dag_import_error"),
}


def log_alert_on() -> None:
    """Log which events `alert_on` sends alerts about, and which this Airflow version does not report."""
    try:
        asked = config.alert_on()
    except InvalidConnection as error:
        log.error("alert_on has no effect: %s. %s", error.reason, error.advice)  # noqa: TRY400
        return
    unreported = unreported_of(asked)
    if reported := sorted(asked - unreported):
        log.info(
            "alert_on: alerts about %s go to alert_to of the connection %s.",
            " and ".join(reported),
            config.alert_conn_id(),
        )
    for name in sorted(unreported):
        log.warning("alert_on=%s has no effect: Airflow %s does not report it.", name, airflow_version)


def unreported_of(asked: frozenset[str]) -> frozenset[str]:
    """Return the events that this Airflow version does not report.

    :param asked: some of the names that `alert_on` accepts.
    """
    return frozenset(name for name in asked if not _has(*REPORTED_BY[name]))


def _has(module: str, name: str) -> bool:
    try:
        return hasattr(import_module(module), name)
    except ImportError:
        return False


class Listener:
    """The listener's hooks, which Airflow calls."""

    def __init__(self) -> None:
        self._import_errors = ImportErrorWatch()

    @hookimpl
    def on_starting(self, component: Any) -> None:
        # Scheduler, dag-processor and triggerer start as a Job. In Airflow 3 a task's process does not, and must not
        # access the database. In Airflow 2 each task has a Job too, whose type is not set yet.
        if type(component).__name__ != "Job" or host.is_called_by(host.TASK_COMMAND):
            return
        # A failure here must not stop a component of Airflow.
        try:
            _create_pools()
        except Exception:
            log.exception(
                "The DialogTech pools could not be created. Create them: python -m airflow_provider_dialogtech pools"
            )
        try:
            create_token()
        except Exception:
            log.exception(
                "The connection %s could not be created, so tasks cannot reach the delivery journal. Restart the "
                "scheduler once Airflow's database is available.",
                CONN_ID,
            )
        try:
            log_alert_on()
        except Exception:
            log.exception("[dialogtech] alert_on could not be read. Correct it, then restart this component.")
        with suppress(Exception):
            if tasks_miss_the_server():
                log.error("%s. %s", ONLY_ON_SERVER, SET_IT_HERE)
        with suppress(Exception):
            _warn_of_a_taken_directory()
        # A Job gets its type only after this hook.
        if getattr(component, "job_type", None) == "SchedulerJob" or host.is_called_by(host.SCHEDULER_COMMAND):
            keep_retention()

    @hookimpl
    def on_new_dag_import_error(self, filename: str, stacktrace: str) -> None:
        self._import_errors.note(filename, stacktrace, is_new=True)

    @hookimpl
    def on_existing_dag_import_error(self, filename: str, stacktrace: str) -> None:
        self._import_errors.note(filename, stacktrace, is_new=False)

    @hookimpl
    def on_task_instance_failed(self, task_instance: Any, error: object) -> None:
        # A failure here must not change the task's state.
        with suppress(Exception):
            if "dag_failed" in config.alert_on() and _is_in_its_process(task_instance):
                note_failure(task_instance, error)


def _is_in_its_process(task_instance: Any) -> bool:
    """Return whether a task fails in its own process: where a person marks it as failed, it has no error."""
    return type(task_instance).__name__ == "RuntimeTaskInstance" or host.is_called_by(host.TASK_COMMAND)


def _create_pools() -> None:
    done = ensure_pools() if config.create_pools() else {}
    for name, state in done.items():
        if state != "exists":
            log.info("The pool %s was %s.", name, state)


def create_token() -> None:
    """Create the token for the journal on the API server, where tasks use that.

    :raises InvalidConnection: when a setting in `[dialogtech]` is invalid.
    """
    if tasks_use_door() and ensure_token() == "created":
        log.info("The connection %s was created. Tasks reach the delivery journal with it.", CONN_ID)


def _warn_of_a_taken_directory() -> None:
    """Warn if another user made the directory that alerts fall back to. Otherwise an alert would find out first."""
    from airflow_provider_dialogtech.alerts.journals import is_ours_alone, temporary_directory

    directory = temporary_directory()
    if os.path.lexists(directory) and not is_ours_alone(directory):
        log.warning(
            "%s belongs to another user, or other users may write to it. Remove it: otherwise alerts are sent without "
            "rate limits when neither the journal nor AIRFLOW_HOME can be used.",
            directory,
        )


def keep_retention(*, is_server: bool = False) -> None:
    """Prune the journal in a thread of this process, at once and from then on twice a day.

    :param is_server: whether this is the API server.
    """
    threading.Thread(
        target=_prune_for_ever, args=(is_server,), name="dialogtech prunes the journal", daemon=True
    ).start()


def _prune_for_ever(is_server: bool) -> None:
    while True:
        try:
            prune(is_server=is_server)
        except DialogTechError as error:
            log.warning("Messages older than journal_retention_days could not be deleted: %s.", error.reason)
        except Exception:
            log.exception("Messages older than journal_retention_days could not be deleted.")
        time.sleep(PRUNED_EVERY)


def prune(*, is_server: bool = False) -> None:
    """Delete what is older than `[dialogtech] journal_retention_days`, where this Airflow has a journal.

    :param is_server: whether this is the API server.
    :raises InvalidConnection: when a setting is invalid.
    :raises JournalUnavailable: when the journal cannot be used.
    """
    from airflow_provider_dialogtech.journal.sqlite import path_of
    from airflow_provider_dialogtech.operations.messages import Messages
    from airflow_provider_dialogtech.settings.journal import Place, journal_store, place_of, situation

    # An Airflow that sends nothing gets no journal.
    if place_of(situation(is_server=is_server)) is Place.NOWHERE:
        return
    store = journal_store(is_server=is_server)
    if store.is_file and not path_of(store.url).exists():
        return
    Messages(store).prune(config.journal_retention())
