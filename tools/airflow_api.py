"""The API of an Airflow 3 on this machine, which answers slowly while the machine is busy."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

# Longer than the minute that the API waits for a lock of its own database.
TIMEOUT = 90.0
_TRIES = 5


class AirflowApi:
    """The API of an API server.

    :param url: the API server's URL, without a path.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def answers(self) -> bool:
        """Return whether tasks can be started: the execution API is ready later than the rest."""
        try:
            self._ask("GET", "/execution/health")
        except requests.RequestException:
            return False
        return True

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the public API, and return its answer.

        :param path: the path, without the API's prefix.
        :param body: plain JSON.
        :raises requests.RequestException: when the API refuses or does not answer.
        """
        token = self._ask("GET", "/auth/token").json()["access_token"]
        return self._ask(method, f"/api/v2/{path}", body, token).json()

    def trigger(self, dag_id: str, run_id: str) -> None:
        """Start a run of a DAG. The call is repeated after a lost answer, because a run id starts once.

        :raises requests.RequestException: when the API refuses, or fails to answer five times.
        """
        for attempt in Retrying(
            stop=stop_after_attempt(_TRIES), wait=wait_fixed(1), retry=retry_if_exception(_may_pass), reraise=True
        ):
            with attempt:
                self._trigger(dag_id, run_id, again=attempt.retry_state.attempt_number > 1)

    def _trigger(self, dag_id: str, run_id: str, *, again: bool) -> None:
        run = {"dag_run_id": run_id, "logical_date": None}
        try:
            self.call("POST", f"dags/{dag_id}/dagRuns", run)
        except requests.HTTPError as refusal:
            if not (again and refusal.response.status_code == HTTPStatus.CONFLICT):
                raise

    def _ask(self, method: str, path: str, body: object = None, token: str | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no netrc
            answer = session.request(method, self.url + path, json=body, headers=headers, timeout=TIMEOUT)
        answer.raise_for_status()
        return answer


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, requests.HTTPError):
        # The API finds a DAG shortly after it is parsed.
        status = error.response.status_code
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.NOT_FOUND
    return isinstance(error, (requests.ConnectionError, requests.Timeout))
