"""The pool of a connection exists before the first task asks for it."""

from __future__ import annotations

import logging
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_dialogtech.hooks import config

log = logging.getLogger(__name__)

_DESCRIPTION = "Tasks that text through the DialogTech connection of this name"


def create_missing_pools() -> list[str]:
    """Create the pools that `[dialogtech] conn_ids` asks for; what exists keeps the slots an admin gave it.

    :return: the names of the pools that were created.
    """
    return [name for name in config.conn_ids() if _create_if_missing(name)]


def slots_of_pools() -> dict[str, int]:
    """Return the slots of the pools that `[dialogtech] conn_ids` asks for and that exist."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        pools = session.scalars(select(Pool).where(Pool.pool.in_(config.conn_ids())).order_by(Pool.pool))
        return {str(pool.pool): pool.slots for pool in pools}


def _create_if_missing(name: str) -> bool:
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import IntegrityError

    try:
        with create_session() as session:
            if session.scalar(select(Pool).where(Pool.pool == name)) is not None:
                return False
            session.add(Pool(pool=name, slots=config.pool_slots(), description=_DESCRIPTION, include_deferred=False))
    except IntegrityError:
        return False  # another component, starting at the same moment, was faster
    return True


class _PoolCreator:
    @hookimpl
    def on_starting(self, component: Any) -> None:
        # Scheduler, dag-processor and triggerer start as a Job; a task's process, which may not touch the database
        # from Airflow 3 on, does not.
        if type(component).__name__ != "Job" or not config.create_pools():
            return
        try:
            created = create_missing_pools()
        except Exception:
            # A component of Airflow must start without us, too.
            log.exception(
                "The DialogTech pools could not be created. Create them: python -m airflow_provider_dialogtech pools"
            )
            return
        for name in created:
            log.info("Created the pool %s.", name)


class DialogTechPlugin(AirflowPlugin):
    """Creates the connections' pools when Airflow starts."""

    name = "dialogtech"
    listeners = [_PoolCreator()]  # noqa: RUF012 - Airflow declares it so
