"""The plugin that Airflow loads: the listener, the page, and the journal's routes on the API server."""

from __future__ import annotations

import logging
import threading
from importlib import import_module
from typing import Any

from airflow import __version__ as airflow_version
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_dialogtech._compat import HAS_PAGES, IS_AIRFLOW_3
from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.plugins.listener import Listener, keep_retention
from airflow_provider_dialogtech.plugins.pools import SECONDS_TO_READ
from airflow_provider_dialogtech.settings.config import HOURS, PAGE, PREFIX, page_path
from airflow_provider_dialogtech.settings.door import say_where_the_journal_is
from airflow_provider_dialogtech.settings.journal import situation
from airflow_provider_dialogtech.settings.token import CONN_ID, server_has_own_journal

log = logging.getLogger(__name__)

OPERATORS = ["DialogTechSendSmsOperator", "DialogTechSendBulkSmsOperator", "@task.dialogtech_sms"]


class _App:
    """An app that is created at the first request: every component loads plugins, only the API server serves them.

    :param module: the module of `api_server` whose `create_app` returns it.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            self._app = import_module(f"airflow_provider_dialogtech.api_server.{self._module}").create_app()
            if self._module == "door":
                keep_retention(is_server=True)
        await self._app(scope, receive, send)


def _at_start(app: Any) -> Any:
    """Say where the journal is. Airflow calls this when the API server starts, to add middleware; it adds none.

    :param app: the API server's app.
    """
    # A daemon thread can be abandoned: a secrets backend that does not answer must not block Airflow's start.
    thread = threading.Thread(target=_say_where_the_journal_is, name="dialogtech starts", daemon=True)
    thread.start()
    thread.join(SECONDS_TO_READ)
    return app


def _say_where_the_journal_is() -> None:
    try:
        now = situation(is_server=True)
        # Where all tasks run on one machine, the connection has no use, except to correct what it has said before.
        if now.is_local and not now.is_set and not server_has_own_journal():
            return
        if say_where_the_journal_is() == "created":
            log.info("The connection %s was created. Tasks reach the delivery journal with it.", CONN_ID)
    except DialogTechError as error:
        log.error("Other processes do not know where the delivery journal is: %s. %s", error.reason, error.advice)  # noqa: TRY400
    except Exception:
        log.exception("Other processes do not know where the delivery journal is. Restart the API server.")


# Airflow's UI replaces what is in braces. Before 3.4 it would add the tab to every task.
_OF_TASK = "dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}"
TABS: list[dict[str, Any]] = (
    [
        {
            "name": "Messages",
            "href": f"{page_path()}?{_OF_TASK}&hours={HOURS}",
            "destination": "task_instance",
            "url_route": f"{PAGE}_of_task",
            "applies_to": {"operator_name": OPERATORS},
        }
    ]
    if tuple(map(int, airflow_version.split(".")[:2])) >= (3, 4)
    else []
)


class DialogTechPlugin(AirflowPlugin):
    """Creates the connections' pools, sends alerts about broken DAG files, and adds the page "Messages"."""

    name = "dialogtech"
    listeners = [Listener()]  # noqa: RUF012 - as Airflow declares it
    if IS_AIRFLOW_3:
        # Airflow takes the first whose prefix fits.
        fastapi_apps = [{"app": _App("door"), "url_prefix": f"{PREFIX}/journal", "name": "DialogTech journal"}]
        fastapi_root_middlewares = [{"middleware": _at_start, "name": "DialogTech journal"}]
    if HAS_PAGES:
        fastapi_apps.append({"app": _App("page"), "url_prefix": PREFIX, "name": "DialogTech messages"})
        external_views = [
            {
                "name": "Messages",
                "href": page_path(),
                "destination": "nav",
                "url_route": PAGE,
                "category": "browse",
            },
            *TABS,
        ]
