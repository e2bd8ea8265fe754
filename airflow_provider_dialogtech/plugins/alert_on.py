"""What a component of Airflow logs about `[dialogtech] alert_on` when it starts."""

from __future__ import annotations

import logging
from importlib import import_module

from airflow import __version__ as airflow_version

from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.settings import config

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
