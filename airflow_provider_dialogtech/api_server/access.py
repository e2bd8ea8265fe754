"""Permissions for messages: reading a DAG allows seeing its messages, clearing its tasks allows settling them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.dag import DagModel

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


class Access:
    """The permissions of a user, asked for once per DAG.

    :param user: the user of the request.
    """

    def __init__(self, user: BaseUser) -> None:
        self._user = user
        self._known: dict[tuple[str, str], bool] = {}

    @property
    def user_name(self) -> str:
        """The user's name in Airflow."""
        return str(self._user.get_name())

    def may_see(self, dag_id: str) -> bool:
        """Return whether the user may see a DAG's messages.

        :param dag_id: the DAG; empty for a message that no task sent, which requires permission to read every DAG.
        """
        return self._may("GET", dag_id)

    def may_settle(self, dag_id: str) -> bool:
        """Return whether the user may settle a DAG's messages, which requires permission to clear its tasks.

        :param dag_id: the DAG; empty as in `may_see`.
        """
        return self._may("PUT", dag_id)

    def _may(self, method: Literal["GET", "PUT"], dag_id: str) -> bool:
        if (method, dag_id) not in self._known:
            # The same permissions that Airflow requires to show a DAG and to clear a task.
            entity = DagAccessEntity.TASK_INSTANCE if method == "PUT" else None
            ask = partial(get_auth_manager().is_authorized_dag, method=method, user=self._user, access_entity=entity)
            self._known[method, dag_id] = ask(details=_details(dag_id)) if dag_id else ask()
        return self._known[method, dag_id]


def _details(dag_id: str) -> DagDetails:
    if not hasattr(DagModel, "get_team_name"):  # Airflow 3.1
        return DagDetails(id=dag_id)
    return DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
