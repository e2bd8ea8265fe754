"""The journal's names for messages, accounts and tasks.

Idempotency keys and accounts are digests, so that the journal holds no phone number and no access key. A message is
sent once per idempotency key.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.journal.records import NOT_MAPPED as _NOT_MAPPED
from airflow_provider_dialogtech.journal.records import Origin
from airflow_provider_dialogtech.masking import digest, safe_str
from airflow_provider_dialogtech.settings import config

LONGEST_KEY = 10_000
LONGEST_NAME = 250
# The plugin sets it, beside the variables that Airflow sets for a task.
MAP_INDEX_VARIABLE = "AIRFLOW_CTX_MAP_INDEX"
_VARIABLES = ("AIRFLOW_CTX_DAG_ID", "AIRFLOW_CTX_DAG_RUN_ID", "AIRFLOW_CTX_TASK_ID")
_LONGEST_MAP_INDEX = 9
_LONGEST_ENVIRONMENT = 4_000_000


def task_key(dag_id: str, run_id: str, task_id: str, map_index: int, recipient: str, *more: str) -> str:
    """Return the idempotency key of a task's message.

    It contains neither the try number nor the body, because a template may render a time or the try number, which
    change on every retry. It contains `[dialogtech] namespace` if that is set.

    :param recipient: the recipient's number, in digits.
    :param more: what else distinguishes messages to one recipient.
    """
    return digest(*_named("task"), dag_id, run_id, task_id, map_index, recipient, *more)


def key_in(context: Mapping[str, Any], recipient: str, *more: str) -> str:
    """Return the idempotency key of a message of a context's task.

    :param context: the task's context.
    :param recipient: the recipient's number, in digits.
    :param more: as for `task_key`.
    """
    ti = context["ti"]
    return task_key(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, recipient, *more)


def given_key(key: object) -> str:
    """Return the journal's form of a user's idempotency key.

    :param key: the key.
    :raises InvalidMessage: when it is empty or too long, or its `str` raises.
    """
    try:
        text = str(key)
    except Exception:  # of any kind, such as that of an integer of thousands of digits
        text = ""
    if not text.strip() or len(text) > LONGEST_KEY:
        raise InvalidMessage(
            f"`idempotency_key` must be text of 1 to {LONGEST_KEY:,} characters",
            advice="Leave it out to send each message once per run of its task.",
        )
    return digest(*_named("given"), text)


def default_key(recipient: str, body: str) -> str:
    """Return the default idempotency key of the hook: in a task one per body and run, elsewhere a new one.

    Code that a task runs in another process (a shell script, a virtual environment, an external Python) is identified
    by the variables that Airflow sets there. They lack the map index, which the plugin adds. Where it is missing (the
    plugin is off, or a BashOperator has `env` without `append_env`), the instances of a mapped task share a key. Of the
    same body to the same recipient only the first is sent then, unless each has its own `idempotency_key`.

    :param recipient: the recipient's number, in digits.
    :param body: the body.
    """
    context = _running_context()
    if context is not None:
        return key_in(context, recipient, digest(body))
    task = _task_of_this_process()
    if task is not None:
        return task_key(*task, recipient, digest(body))
    return uuid.uuid4().hex


def origin_of(context: Mapping[str, Any]) -> Origin:
    """Return the task of a context, or its DAG run if it has no task. Never raises."""
    ti = context.get("ti")
    run = context.get("dag_run")
    if ti is None:
        return _origin(_part(run, "dag_id"), _part(run, "run_id") or _part(run, "dag_run_id"), "", _NOT_MAPPED)
    return _origin(_part(ti, "dag_id"), _part(ti, "run_id"), _part(ti, "task_id"), _part(ti, "map_index"))


def current_origin() -> Origin:
    """Return the task that runs in this process, or that started this process."""
    context = _running_context()
    if context is not None:
        return origin_of(context)
    task = _task_of_this_process()
    return Origin() if task is None else _origin(*task)


def account_of(name: str) -> str:
    """Return the journal's name for an account.

    :param name: its access key, or the connection's `account`.
    """
    return digest("account", name)


def _named(kind: str) -> tuple[str, ...]:
    """Return the first parts of a key."""
    namespace = config.namespace()
    return (f"{kind} in", str(namespace)) if namespace else (kind,)


def _running_context() -> Mapping[str, Any] | None:
    from airflow_provider_dialogtech._compat import get_current_context

    try:
        return get_current_context()
    except Exception:  # outside a task, each Airflow version raises another type
        return None


def _task_of_this_process() -> tuple[str, str, str, int] | None:
    """Read the task that started this process from the environment it was started with.

    Airflow sets the same variables in the task's own process while the task runs. They are ignored there, because a
    callback runs in that process too, and its message must not get the task's key.
    """
    given = _environment_at_start()
    names = [given.get(name, "") if given.get(name) == os.environ.get(name) else "" for name in _VARIABLES]
    if not all(names):
        return None
    dag_id, run_id, task_id = names
    index = given.get(MAP_INDEX_VARIABLE, "")
    known = index.isascii() and index.isdigit() and len(index) <= _LONGEST_MAP_INDEX
    return dag_id, run_id, task_id, int(index) if known else _NOT_MAPPED


def _environment_at_start() -> Mapping[str, str]:
    """Read the environment that this process was started with; the current one where that is not readable."""
    try:
        with Path("/proc/self/environ").open("rb") as file:
            entries = file.read(_LONGEST_ENVIRONMENT).split(b"\0")
    except OSError:
        return os.environ
    pairs = (entry.partition(b"=") for entry in entries)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _part(whole: Any, name: str) -> Any:
    """Read a field of an object, or of a dictionary in a deadline callback."""
    try:
        return whole.get(name) if isinstance(whole, Mapping) else getattr(whole, name, None)
    except Exception:  # of any kind, such as that of a detached database object
        return None


def _origin(dag_id: Any, run_id: Any, task_id: Any, map_index: Any) -> Origin:
    # A database cannot store a lone surrogate.
    dag, run, task = (
        safe_str(name, LONGEST_NAME).encode(errors="replace").decode() if isinstance(name, str) else ""
        for name in (dag_id, run_id, task_id)
    )
    return Origin(dag, run, task, map_index if isinstance(map_index, int) else _NOT_MAPPED)
