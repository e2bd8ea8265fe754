"""The default pool of tasks that text: the one that bears their connection's name, where it is certain to exist."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from airflow_provider_dialogtech._compat import BaseOperator, OperatorPartial
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.operators.link import LINKS
from airflow_provider_dialogtech.settings.config import pool_of

DEFAULT_CONN_ID = "dialogtech_default"
_DEFAULT_POOL = "default_pool"


class PooledOperator(BaseOperator):
    """A task that texts through a DialogTech connection, by default in the connection's pool.

    :param dialogtech_conn_id: the connection. (templated)
    :param pool: the pool. By default the one of the connection's name when the connection is listed in
        `[dialogtech] conn_ids`, else Airflow's default pool.
    """

    operator_extra_links = LINKS

    # Named here, a pool from `default_args` arrives here too, and wins.
    def __init__(self, *, dialogtech_conn_id: str = DEFAULT_CONN_ID, pool: str | None = None, **kwargs: Any) -> None:
        super().__init__(pool=pool or pool_of(dialogtech_conn_id), **kwargs)
        self.dialogtech_conn_id = dialogtech_conn_id

    @cached_property
    def hook(self) -> DialogTechHook:
        """The hook of the task's connection."""
        return DialogTechHook(self.dialogtech_conn_id)

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Begin a mapped task. Airflow takes its pool from here alone: it makes no operator before the task runs."""
        partial = super().partial(**kwargs)
        if pool := default_pool(partial.kwargs["dag"], partial.kwargs["task_group"], kwargs):
            partial.kwargs["pool"] = pool
            partial.__class__ = _PooledPartial
        return partial


def default_pool(dag: Any, group: Any, kwargs: Mapping[str, Any]) -> str | None:
    """Return the pool of a mapped task where nobody has given it one; None to leave it as it is.

    :param dag: its DAG.
    :param group: its task group.
    :param kwargs: its own arguments.
    """
    layers = (dag and dag.default_args, group and group.default_args, kwargs.get("default_args"), kwargs)
    given = {name: value for layer in layers for name, value in (layer or {}).items()}
    return None if given.get("pool") else pool_of(given.get("dialogtech_conn_id", DEFAULT_CONN_ID))


class _PooledPartial(OperatorPartial):
    """Leaves the pool again when the connection turns out to be mapped."""

    __slots__ = ()

    def expand(self, **mapped_kwargs: Any) -> Any:
        self._leave_pool_if_mapped(mapped_kwargs)
        return super().expand(**mapped_kwargs)

    def expand_kwargs(self, kwargs: Any, **options: Any) -> Any:
        for mapped_kwargs in kwargs if isinstance(kwargs, list) else []:
            self._leave_pool_if_mapped(mapped_kwargs)
        return super().expand_kwargs(kwargs, **options)

    def _leave_pool_if_mapped(self, mapped_kwargs: Any) -> None:
        if isinstance(mapped_kwargs, Mapping) and "dialogtech_conn_id" in mapped_kwargs:
            self.kwargs["pool"] = _DEFAULT_POOL
