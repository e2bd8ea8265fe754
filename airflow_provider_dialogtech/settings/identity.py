"""The journal's names for messages, accounts and tasks.

Idempotency keys and accounts are digests, so that the journal holds no phone number and no access key. A message is
sent once per idempotency key. `docs/identity.md` has the rule and its cases.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.journal.records import NO_INDEX, Origin
from airflow_provider_dialogtech.masking import digest, safe_get, safe_str
from airflow_provider_dialogtech.settings import config

if TYPE_CHECKING:
    from airflow_provider_dialogtech.sms.message import SmsMessage

LONGEST_KEY = 10_000
LONGEST_NAME = 250
# A policy adds them to the variables that Airflow sets for a task.
MAP_INDEX_VARIABLE = "AIRFLOW_CTX_MAP_INDEX"
LOOP_INDEX_VARIABLE = "AIRFLOW_CTX_LOOP_INDEX"
_VARIABLES = ("AIRFLOW_CTX_DAG_ID", "AIRFLOW_CTX_DAG_RUN_ID", "AIRFLOW_CTX_TASK_ID")
_LONGEST_INDEX = 9
_LONGEST_ENVIRONMENT = 4_000_000


@dataclass(frozen=True)
class Keys:
    """What a message is recognised by. It is sent once per key, and once per body key.

    :param body_key: the same for all messages of its task's instances with the same recipient and body. None where the
        key alone decides.
    """

    key: str
    body_key: str | None = None


def task_key(
    dag_id: str, run_id: str, task_id: str, map_index: int, recipient: str, *more: str, loop_index: int = NO_INDEX
) -> str:
    """Return the idempotency key of a task's message.

    It contains neither the try number nor the body, because a template may render a time or the try number, which
    change on every retry. It contains `[dialogtech] namespace` if that is set.

    :param map_index: which of a mapped task's instances; -1 when it is not mapped.
    :param recipient: the recipient's number, in digits.
    :param more: what else distinguishes messages to one recipient.
    :param loop_index: which iteration of a loop; -1 outside a loop. (Airflow's `region_id` changes when a loop is
        cleared.)
    """
    kind = "task" if loop_index == NO_INDEX else f"task, iteration {loop_index}"
    return digest(*_named(kind), dag_id, run_id, task_id, map_index, recipient, *more)


def keys_in(context: Mapping[str, Any], message: SmsMessage, *more: str) -> Keys:
    """Return the keys of a task that sends one message to each recipient.

    The instances of a mapped task may come in another order when a run is cleared. So the map index distinguishes two
    messages only if their bodies differ.

    :param more: as for `task_key`.
    """
    ti, loop_index = context["ti"], loop_index_in(context)
    names = (ti.dag_id, ti.run_id, ti.task_id)
    key = task_key(*names, ti.map_index, message.to, *more, loop_index=loop_index)
    if ti.map_index == NO_INDEX:
        return Keys(key)
    return Keys(key, task_key(*names, NO_INDEX, message.to, *more, digest(message.body), loop_index=loop_index))


def loop_index_in(context: Mapping[str, Any]) -> int:
    """Return the iteration of the loop that a context's task is in (Airflow 3.4); -1 outside a loop. Never raises."""
    return index_of(safe_get(context.get("loop"), "index"))


def given_key(key: object) -> str:
    """Return the journal's form of a user's idempotency key.

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

    Code that a task runs in another process (a virtual environment, an external Python) is identified by the variables
    that Airflow sets there, and by the iteration of a loop, which a policy adds.

    :param recipient: the recipient's number, in digits.
    """
    context = _running_context()
    if context is not None:
        ti, loop_index = context["ti"], loop_index_in(context)
        names = (ti.dag_id, ti.run_id, ti.task_id)
    elif (origin := _origin_of_this_process()) is not None:
        names, loop_index = (origin.dag_id, origin.run_id, origin.task_id), origin.loop_index
    else:
        return uuid.uuid4().hex
    return task_key(*names, NO_INDEX, recipient, digest(body), loop_index=loop_index)


def origin_of(context: Mapping[str, Any]) -> Origin:
    """Return the task of a context, or its DAG run if it has no task. Never raises."""
    ti = context.get("ti")
    run = context.get("dag_run")
    if ti is None:
        return _origin((safe_get(run, "dag_id"), safe_get(run, "run_id") or safe_get(run, "dag_run_id"), ""))
    names = (safe_get(ti, name) for name in ("dag_id", "run_id", "task_id"))
    return _origin(names, safe_get(ti, "map_index"), loop_index_in(context))


def current_origin() -> Origin:
    """Return the task that runs in this process, or that started this process."""
    context = _running_context()
    return origin_of(context) if context is not None else _origin_of_this_process() or Origin()


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


def _origin_of_this_process() -> Origin | None:
    """Read the task that started this process from the environment it was started with.

    Airflow sets the same variables in the task's own process while the task runs. They are ignored there, because a
    callback runs in that process too, and its message must not get the task's key.
    """
    given = _environment_at_start()
    names = [given.get(name, "") if given.get(name) == os.environ.get(name) else "" for name in _VARIABLES]
    if not all(names):
        return None
    return _origin(names, _index(given.get(MAP_INDEX_VARIABLE, "")), _index(given.get(LOOP_INDEX_VARIABLE, "")))


def _index(written: str) -> int:
    is_one = written.isascii() and written.isdigit() and len(written) <= _LONGEST_INDEX
    return int(written) if is_one else NO_INDEX


def _environment_at_start() -> Mapping[str, str]:
    """Read the environment that this process was started with; the current one where that is not readable."""
    try:
        with Path("/proc/self/environ").open("rb") as file:
            entries = file.read(_LONGEST_ENVIRONMENT).split(b"\0")
    except OSError:
        return os.environ
    pairs = (entry.partition(b"=") for entry in entries)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _origin(names: Iterable[Any], map_index: Any = NO_INDEX, loop_index: int = NO_INDEX) -> Origin:
    # A database cannot store a lone surrogate.
    dag, run, task = (
        safe_str(name, LONGEST_NAME).encode(errors="replace").decode() if isinstance(name, str) else ""
        for name in names
    )
    return Origin(dag, run, task, index_of(map_index), loop_index)


def index_of(found: object) -> int:
    """Return a map index or an iteration; -1 where it is none, or none that a database can store."""
    return found if isinstance(found, int) and 0 <= found < 10**_LONGEST_INDEX else NO_INDEX
