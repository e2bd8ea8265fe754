"""The plugin: what Airflow loads beside operators, hooks and notifiers."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_dialogtech._compat import HAS_PAGES
from airflow_provider_dialogtech.api_server.place import PREFIX, page_path
from airflow_provider_dialogtech.plugins.listener import Listener


class _Page:
    """The page's app, made when it is first asked for: every component loads plugins, only the API server serves."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from airflow_provider_dialogtech.api_server.page import create_app

            self._app = create_app()
        await self._app(scope, receive, send)


class DialogTechPlugin(AirflowPlugin):
    """Creates the connections' pools, names the map index to a task's processes, and adds the page "Messages"."""

    name = "dialogtech"
    listeners = [Listener()]  # noqa: RUF012 - Airflow declares it so
    if HAS_PAGES:
        fastapi_apps = [{"app": _Page(), "url_prefix": PREFIX, "name": "DialogTech messages"}]
        external_views = [
            {
                "name": "Messages",
                "href": page_path(),
                "destination": "nav",
                "url_route": "dialogtech_messages",
                "category": "browse",
            }
        ]
