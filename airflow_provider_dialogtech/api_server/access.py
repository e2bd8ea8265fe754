"""Permissions on the page, in the auth manager's own terms: each question names its DAG or its connection.

A question without a name would be answered with yes for a user who may read any one DAG. `docs/messages-page.md` has
the table of who may do what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import (
    AccessView,
    ConnectionDetails,
    DagAccessEntity,
    DagDetails,
)
from airflow.configuration import conf
from airflow.models.connection import Connection
from airflow.models.dag import DagModel

from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.settings import config

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

    Method = Literal["GET", "POST", "PUT"]


class Access:
    """The permissions of a user, each asked for once per request.

    :param user: the user of the request.
    """

    def __init__(self, user: BaseUser) -> None:
        self._user = user
        self._dags: dict[tuple[Method, str], bool] = {}
        self._connections: dict[tuple[Method, str], bool] = {}

    @property
    def user_name(self) -> str:
        """The user's name, as Airflow's audit log has it."""
        return str(self._user.get_name())

    def may_see(self, dag_id: str) -> bool:
        """Return whether the user may see a DAG's messages: they may read its task instances.

        :param dag_id: the DAG; empty for a message that no task sent, which is for those who may edit the connections.
        """
        return self._of_dag("GET", dag_id) if dag_id else self._may_edit_connections()

    def may_settle(self, dag_id: str) -> bool:
        """Return whether the user may settle a DAG's messages: they may clear its tasks.

        :param dag_id: the DAG; empty as in `may_see`.
        """
        return self._of_dag("PUT", dag_id) if dag_id else self._may_edit_connections()

    def may_read_connection(self, conn_id: str) -> bool:
        """Return whether the user may read a connection."""
        return self._of_connection("GET", conn_id)

    def may_read_connections(self) -> bool:
        """Return whether the user may read every connection of `[dialogtech] conn_ids`."""
        return all(self._of_connection("GET", conn_id) for conn_id in _conn_ids())

    def may_test_connection(self, conn_id: str) -> bool:
        """Return whether the user may test a connection, by the permissions that Airflow requires for it."""
        return self._of_connection("POST", conn_id) and self._of_connection("GET", conn_id)

    def may_open_plugins(self) -> bool:
        """Return whether Airflow shows the user the pages of plugins in its frame."""
        return bool(get_auth_manager().is_authorized_view(access_view=AccessView.PLUGINS, user=self._user))

    def _may_edit_connections(self) -> bool:
        return all(self._of_connection("PUT", conn_id) for conn_id in _conn_ids())

    def _of_dag(self, method: Method, dag_id: str) -> bool:
        if (method, dag_id) not in self._dags:
            team = {"team_name": DagModel.get_team_name(dag_id)} if _has_teams() else {}
            self._dags[method, dag_id] = get_auth_manager().is_authorized_dag(
                method=method,
                access_entity=DagAccessEntity.TASK_INSTANCE,
                details=DagDetails(id=dag_id, **team),
                user=self._user,
            )
        return self._dags[method, dag_id]

    def _of_connection(self, method: Method, conn_id: str) -> bool:
        if (method, conn_id) not in self._connections:
            team = {"team_name": Connection.get_team_name(conn_id)} if _has_teams() else {}
            self._connections[method, conn_id] = get_auth_manager().is_authorized_connection(
                method=method, details=ConnectionDetails(conn_id=conn_id, **team), user=self._user
            )
        return self._connections[method, conn_id]


def may_test_connections() -> bool:
    """Return whether `[core] test_connection` allows testing connections in Airflow's UI."""
    return bool(conf.get("core", "test_connection", fallback="Disabled").strip().lower() == "enabled")


def _conn_ids() -> tuple[str, ...]:
    return config.conn_ids() or (DialogTechHook.default_conn_name,)


def _has_teams() -> bool:
    return bool(conf.getboolean("core", "multi_team", fallback=False))
