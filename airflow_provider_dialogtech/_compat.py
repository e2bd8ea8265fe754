"""Every Airflow name that moved between 2.11 and 3.x: the new place first, then the old one."""

# One Airflow has only one of the two places.
# mypy: disable-error-code="no-redef, import-not-found, attr-defined"

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

try:  # Airflow 3.0
    from airflow.sdk import BaseNotifier, BaseOperator, BaseOperatorLink, Context, get_current_context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial
    from airflow.sdk.log import mask_secret
except ImportError:
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.baseoperatorlink import BaseOperatorLink
    from airflow.models.mappedoperator import OperatorPartial
    from airflow.notifications.basenotifier import BaseNotifier
    from airflow.operators.python import get_current_context
    from airflow.utils.context import Context
    from airflow.utils.log.secrets_masker import mask_secret

try:  # Airflow 3.1
    from airflow.sdk import BaseHook
    from airflow.sdk.log import redact

    HAS_PAGES = True  # a plugin may add a page to the navigation
except ImportError:
    from airflow.hooks.base import BaseHook

    HAS_PAGES = False

    try:  # Airflow 3.0
        from airflow.sdk.execution_time.secrets_masker import redact
    except ImportError:
        from airflow.utils.log.secrets_masker import redact

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException


def trigger_at(moment: datetime) -> BaseTrigger:
    """Return the trigger that fires at a moment."""
    # Imported only when a task defers: parsing a DAG should not cost it.
    try:  # Airflow 3.0
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    except ImportError:
        from airflow.triggers.temporal import DateTimeTrigger
    return DateTimeTrigger(moment)


__all__ = [
    "HAS_PAGES",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "BaseHook",
    "BaseNotifier",
    "BaseOperator",
    "BaseOperatorLink",
    "Context",
    "OperatorPartial",
    "get_current_context",
    "mask_secret",
    "redact",
    "trigger_at",
]
