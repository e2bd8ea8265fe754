"""Every Airflow name that moved between 2.11 and 3.x, imported from its new place or else from its old one."""

# An Airflow version has only one of the two places.
# mypy: disable-error-code="no-redef, import-not-found, attr-defined"

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import airflow_provider_dialogtech._child  # noqa: F401 - before Airflow

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

T = TypeVar("T")

try:  # Airflow 3.0
    from airflow.sdk import BaseNotifier, BaseOperator, BaseOperatorLink, Context, get_current_context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial
    from airflow.sdk.log import mask_secret

    IS_AIRFLOW_3 = True
except ImportError:
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.baseoperatorlink import BaseOperatorLink
    from airflow.models.mappedoperator import OperatorPartial
    from airflow.notifications.basenotifier import BaseNotifier
    from airflow.operators.python import get_current_context
    from airflow.utils.context import Context
    from airflow.utils.log.secrets_masker import mask_secret

    IS_AIRFLOW_3 = False

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

try:  # Airflow 3.0
    from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, _TaskDecorator, task_decorator_factory
except ImportError:
    from airflow.decorators.base import DecoratedOperator, TaskDecorator, _TaskDecorator, task_decorator_factory

try:  # Airflow 3.1
    from airflow.sdk.definitions.context import context_merge
except ImportError:
    from airflow.utils.context import context_merge

try:  # Airflow 3.2
    from airflow.sdk.bases.decorator import determine_kwargs

    REPORTS_FAILED_TASK = True  # a DAG's failure callback gets the task that failed
except ImportError:
    from airflow.utils.operator_helpers import determine_kwargs

    REPORTS_FAILED_TASK = False

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException


def trigger_at(moment: datetime) -> BaseTrigger:
    """Return the trigger that fires at a moment."""
    # Imported only when a task defers, so that parsing a DAG does not import it.
    try:  # Airflow 3.0
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    except ImportError:
        from airflow.triggers.temporal import DateTimeTrigger
    return DateTimeTrigger(moment)


def reads_stored_connections() -> bool:
    """Return whether a hook reads connections of Airflow's database here: on Airflow 3 only where Airflow runs it."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    return not IS_AIRFLOW_3 or hasattr(runner, "SUPERVISOR_COMMS")


class _Supervisor:
    """How this process asks its supervisor, on Airflow 3: for a connection, or to mask a secret."""

    # Before Airflow 3.2, threads that ask at the same time read parts of each other's answers, and wait for ever.
    lock = threading.Lock()
    # Before 3.2, a triggerer's thread that does not ask through the event loop leaves an answer there, which ends the
    # triggerer.
    loop: asyncio.AbstractEventLoop | None = None


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Call a function in a thread. It, and the threads that it starts, may read connections."""
    from asgiref.sync import sync_to_async  # Airflow requires it

    _Supervisor.loop = asyncio.get_running_loop()
    called: T = await sync_to_async(function, thread_sensitive=False)(*args)
    return called


def connection_of(conn_id: str) -> Any:
    """Return a connection, wherever this runs: in a task, in Airflow's own processes, or in a command."""
    if IS_AIRFLOW_3 and not reads_stored_connections():
        from airflow.models.connection import Connection

        return Connection.get_connection_from_secrets(conn_id)
    loop = _Supervisor.loop
    if loop is not None and loop.is_running() and not _is_in_event_loop():
        # Without another thread, where there is another way: all threads may be waiting for this one.
        asked: Any = getattr(BaseHook, "aget_connection", partial(in_thread, BaseHook.get_connection))
        return asyncio.run_coroutine_threadsafe(asked(conn_id), loop).result()
    return one_at_a_time(BaseHook.get_connection, conn_id)


def one_at_a_time(ask: Callable[[str], T], about: str) -> T:
    """Call a function that asks the supervisor, while no other thread does. The event loop never waits for a thread."""
    if _is_in_event_loop():
        return ask(about)
    with _Supervisor.lock:
        return ask(about)


def _is_in_event_loop() -> bool:
    return asyncio._get_running_loop() is not None


def stats() -> Any:
    """Return Airflow's metrics client, which has `incr` and `timing`."""
    # Imported only when a metric is written: Airflow sets it up for each process.
    try:  # Airflow 3.2
        from airflow.sdk.observability.stats import Stats
    except ImportError:
        from airflow.stats import Stats
    return Stats


def xcom() -> Any:
    """Return the class of XComs."""
    # Imported only when a run has failed: it imports the task's whole runtime.
    try:  # Airflow 3.0
        from airflow.sdk.execution_time.xcom import XCom
    except ImportError:
        from airflow.models.xcom import XCom
    return XCom


__all__ = [
    "HAS_PAGES",
    "IS_AIRFLOW_3",
    "REPORTS_FAILED_TASK",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "BaseHook",
    "BaseNotifier",
    "BaseOperator",
    "BaseOperatorLink",
    "Context",
    "DecoratedOperator",
    "OperatorPartial",
    "TaskDecorator",
    "_TaskDecorator",
    "connection_of",
    "context_merge",
    "determine_kwargs",
    "get_current_context",
    "in_thread",
    "mask_secret",
    "one_at_a_time",
    "reads_stored_connections",
    "redact",
    "stats",
    "task_decorator_factory",
    "trigger_at",
    "xcom",
]
