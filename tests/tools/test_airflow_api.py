"""A run is started once, also where Airflow's API starts it and its answer is lost."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from tenacity import wait_none

from tools import airflow_api
from tools.airflow_api import AirflowApi


@contextmanager
def serving(*answers):
    """Serve an API that starts runs and then gives these answers; None is none at all."""
    started = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer(200, {"access_token": "token"})

        def do_POST(self):
            run_id = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["dag_run_id"]
            answer = answers[len(started)]
            if answer == 200 and run_id in started:
                answer = 409
            started.append(run_id)
            if answer is not None:
                self._answer(answer, {})

        def _answer(self, status, body):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield AirflowApi(f"http://127.0.0.1:{server.server_port}"), started
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(airflow_api, "wait_fixed", lambda _: wait_none())


@pytest.mark.parametrize("first", [None, 404, 500, 503], ids=["lost", "not yet found", "broken", "busy"])
def test_it_is_asked_again_where_the_next_answer_may_be_another(first):
    with serving(first, 200) as (api, started):
        api.trigger("dag", "run")
    assert started == ["run", "run"]


@pytest.mark.parametrize("refusal", [400, 409])
def test_what_it_refuses_is_not_asked_again(refusal):
    with serving(refusal) as (api, started), pytest.raises(requests.HTTPError):
        api.trigger("dag", "run")
    assert started == ["run"]


def test_an_api_that_never_answers_is_told_after_five_tries():
    with serving(*[None] * 5) as (api, started), pytest.raises(requests.ConnectionError):
        api.trigger("dag", "run")
    assert len(started) == 5
