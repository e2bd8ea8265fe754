"""The connections' pools: created, and resized until an admin changes their slots."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence
from typing import Any, Literal

from airflow_provider_dialogtech.exceptions import NotSent
from airflow_provider_dialogtech.settings import config

log = logging.getLogger(__name__)

_DESCRIPTION = "Tasks that send through the DialogTech connection of this name"
_RECORDED = re.compile(re.escape(_DESCRIPTION) + r" \(([0-9]{1,9}) slots?\)")
# DialogTech's documented limit of an account per second.
_SLOTS = 4
CREATE_POOLS = "`python -m airflow_provider_dialogtech pools`"
# A secrets backend that does not answer must not block Airflow's start.
SECONDS_TO_READ = 10.0

State = Literal["created", "resized", "exists"]


def ensure_pools() -> dict[str, State]:
    """Create the pools of `[dialogtech] conn_ids`, each with as many slots as the account may send per second.

    An existing pool is resized only while it has the slots that were set here. An admin's change is kept.

    :return: the pools, and what was done to each.
    :raises InvalidConnection: when a setting in `[dialogtech]` is invalid.
    """
    names = config.conn_ids()
    slots = config.pool_slots()
    known = dict.fromkeys(names, slots) if slots else _slots_of_connections(names)
    return {name: _ensure(name, known.get(name)) for name in names}


def scheduler_is_running() -> bool:
    """Return whether a scheduler runs. It creates missing pools only when it starts."""
    from airflow.jobs.job import most_recent_job

    job = most_recent_job("SchedulerJob")
    return job is not None and job.is_alive()


def slots_of_pools() -> dict[str, int]:
    """Return the slots of the existing pools of `[dialogtech] conn_ids`."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        pools = session.scalars(select(Pool).where(Pool.pool.in_(config.conn_ids())).order_by(Pool.pool))
        return {str(pool.pool): pool.slots for pool in pools}


def _ensure(name: str, slots: int | None) -> State:
    """Create or resize a pool.

    :param slots: its slots; None when the connection could not be read. A new pool then gets the documented limit,
        which a later start corrects, and an existing pool keeps its slots.
    """
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy import select, update
    from sqlalchemy.exc import IntegrityError

    try:
        with create_session() as session:
            found = session.execute(select(Pool.slots, Pool.description).where(Pool.pool == name)).first()
            if found is None:
                initial = slots or _SLOTS
                pool = Pool(pool=name, slots=initial, description=_described(initial), include_deferred=False)
                session.add(pool)
                return "created"
            recorded = _RECORDED.fullmatch(found.description or "")
            if slots is None or slots == found.slots or not recorded or int(recorded[1]) != found.slots:
                return "exists"
            # Compare-and-set: an admin's concurrent change is kept.
            unchanged = (Pool.pool == name, Pool.slots == found.slots, Pool.description == found.description)
            changed: Any = session.execute(
                update(Pool).where(*unchanged).values(slots=slots, description=_described(slots)),
                execution_options={"synchronize_session": False},
            )
            return "resized" if changed.rowcount else "exists"
    except IntegrityError:
        return "exists"  # another component, starting at the same time, has created it


def _described(slots: int) -> str:
    return f"{_DESCRIPTION} ({slots} {'slot' if slots == 1 else 'slots'})"


def _slots_of_connections(conn_ids: Sequence[str]) -> dict[str, int | None]:
    """Read each account's messages per second from its connection; None where that fails or takes too long."""
    found: dict[str, int | str] = {}

    def read() -> None:
        for conn_id in conn_ids:
            found[conn_id] = _read_slots(conn_id)

    # A daemon thread can be abandoned, unlike an executor's.
    reader = threading.Thread(target=read, name="dialogtech reads connections", daemon=True)
    reader.start()
    reader.join(SECONDS_TO_READ)
    slots: dict[str, int | None] = {}
    for conn_id in conn_ids:
        answer = found.get(conn_id, f"no answer within {SECONDS_TO_READ:.0f} s")
        slots[conn_id] = answer if isinstance(answer, int) else None
        if isinstance(answer, str):
            log.warning(
                "The connection %s could not be read (%s), so its pool keeps its slots; a new pool gets %d. Correct "
                "the connection, then restart the scheduler, or run: python -m airflow_provider_dialogtech pools",
                conn_id,
                answer,
                _SLOTS,
            )
    return slots


def _read_slots(conn_id: str) -> int | str:
    """Return the slots, or why they are unknown."""
    from airflow_provider_dialogtech.operations.accounts import hook_of

    try:
        return hook_of(conn_id).settings.limits.account_per_second
    except NotSent as error:
        return error.reason
