"""Connections read outside a task, where on Airflow 3 a hook cannot ask the task's supervisor for them."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_dialogtech.exceptions import NotSent
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.records import number_name
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.settings import config


def hook_of(conn_id: str) -> DialogTechHook:
    """Return a hook that has read its connection.

    :raises NotSent: when there is none, Airflow cannot read it, or one of its fields is missing or wrong.
    """
    from airflow.models.connection import Connection

    hook = DialogTechHook(conn_id)
    hook.read_connection(lambda: Connection.get_connection_from_secrets(conn_id))
    return hook


def conn_ids() -> tuple[str, ...]:
    """Return the connections of `[dialogtech] conn_ids`, and the default one."""
    return tuple(dict.fromkeys([*config.conn_ids(), DialogTechHook.default_conn_name]))


def known_hooks() -> list[DialogTechHook]:
    """Return the hooks of the connections of `[dialogtech] conn_ids` that can be read."""
    hooks = []
    for conn_id in config.conn_ids():
        try:
            hooks.append(hook_of(conn_id))
        except NotSent:
            continue
    return hooks


def shortened_numbers(hooks: Iterable[DialogTechHook]) -> dict[str, str]:
    """Return the connections' numbers, shortened, by the names that they have in the journal."""
    return {
        number_name(hook.settings.account, number): mask_number(number)
        for hook in hooks
        for number in hook.settings.from_numbers
    }
