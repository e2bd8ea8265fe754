"""What the journal calls a message, an account and a task.

Messages and accounts are digests, so that no phone number and no access key is in the journal. Under one idempotency
key a message goes out once.
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
# Our plugin sets it beside those that Airflow itself sets for a task.
MAP_INDEX_VARIABLE = "AIRFLOW_CTX_MAP_INDEX"
_VARIABLES = ("AIRFLOW_CTX_DAG_ID", "AIRFLOW_CTX_DAG_RUN_ID", "AIRFLOW_CTX_TASK_ID")
_LONGEST_MAP_INDEX = 9
_LONGEST_ENVIRONMENT = 4_000_000


def task_key(dag_id: str, run_id: str, task_id: str, map_index: int, recipient: str, *more: str) -> str:
    """Return the key of a task's message.

    Neither the try number nor the message belongs to it: a template with a time or a try number in it differs on every
    retry. `[dialogtech] namespace` belongs to it where it is set.

    :param recipient: the number the message goes to, in digits.
    :param more: what else sets messages to one recipient apart.
    """
    return digest(*_named("task"), dag_id, run_id, task_id, map_index, recipient, *more)


def key_in(context: Mapping[str, Any], recipient: str, *more: str) -> str:
    """Return the key of a message of the task that runs in this Airflow context."""
    ti = context["ti"]
    return task_key(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, recipient, *more)


def given_key(key: object) -> str:
    """Return the key a user has named, in the form that the journal keeps.

    :raises InvalidMessage: when it is empty, too long or no text.
    """
    try:
        text = str(key)
    except Exception:  # an integer of thousands of digits, say
        text = ""
    if not text.strip() or len(text) > LONGEST_KEY:
        raise InvalidMessage(
            f"`idempotency_key` must be text of 1 to {LONGEST_KEY:,} characters",
            advice="Leave it out to send each message once per run of its task.",
        )
    return digest(*_named("given"), text)


def default_key(recipient: str, text: str) -> str:
    """Return the key of a message sent by hand: in a task one for each message and run, elsewhere always a new one.

    A task whose code runs in a process of its own (a shell script, a virtual environment, an external Python) is known
    by the variables that Airflow gives to that process. Airflow names no map index there; our plugin adds it. Only
    where that is missing (the plugin is off, or a BashOperator with `env` and without `append_env`) do the instances of
    a mapped task share a key, and of the same words to the same person only the first goes out; the log then says that
    the message was sent before. There, give each its own `idempotency_key`.
    """
    context = _running_context()
    if context is not None:
        return key_in(context, recipient, digest(text))
    task = _task_of_this_process()
    if task is not None:
        return task_key(*task, recipient, digest(text))
    return uuid.uuid4().hex


def origin_of(context: Mapping[str, Any]) -> Origin:
    """Return the task, or at least the DAG's run, that an Airflow context belongs to. Never raises."""
    ti = context.get("ti")
    run = context.get("dag_run")
    if ti is None:
        return _origin(_part(run, "dag_id"), _part(run, "run_id") or _part(run, "dag_run_id"), "", _NOT_MAPPED)
    return _origin(_part(ti, "dag_id"), _part(ti, "run_id"), _part(ti, "task_id"), _part(ti, "map_index"))


def current_origin() -> Origin:
    """Return the task that runs in this process, or whose code runs here in a process of its own."""
    context = _running_context()
    if context is not None:
        return origin_of(context)
    task = _task_of_this_process()
    return Origin() if task is None else _origin(*task)


def account_of(name: str) -> str:
    """Return the journal's name of an account.

    :param name: its access key, or the connection's `account`.
    """
    return digest("account", name)


def _named(kind: str) -> tuple[str, ...]:
    """Begin a key. Without a namespace it is what it always was: old journals hold such keys."""
    namespace = config.namespace()
    return (f"{kind} in", str(namespace)) if namespace else (kind,)


def _running_context() -> Mapping[str, Any] | None:
    from airflow_provider_dialogtech._compat import get_current_context

    try:
        return get_current_context()
    except Exception:  # each Airflow version has its own way of saying that no task runs here
        return None


def _task_of_this_process() -> tuple[str, str, str, int] | None:
    """Read the task that this process was started for from the environment it was started with.

    Airflow sets the same variables in the task's own process while it runs. There they mean nothing: a callback after
    the task is not the task, and its text must not be taken for one that the task has sent.
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
    """Read the environment that this process was started with; where the system does not give it, the present one."""
    try:
        with Path("/proc/self/environ").open("rb") as file:
            entries = file.read(_LONGEST_ENVIRONMENT).split(b"\0")
    except OSError:
        return os.environ
    pairs = (entry.partition(b"=") for entry in entries)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _part(whole: Any, name: str) -> Any:
    """Read a field of an object or, in a deadline callback, of a dictionary."""
    try:
        return whole.get(name) if isinstance(whole, Mapping) else getattr(whole, name, None)
    except Exception:  # an object of Airflow's that its session has left
        return None


def _origin(dag_id: Any, run_id: Any, task_id: Any, map_index: Any) -> Origin:
    # A database takes no half of a character.
    dag, run, task = (
        safe_str(name, LONGEST_NAME).encode(errors="replace").decode() if isinstance(name, str) else ""
        for name in (dag_id, run_id, task_id)
    )
    return Origin(dag, run, task, map_index if isinstance(map_index, int) else _NOT_MAPPED)
