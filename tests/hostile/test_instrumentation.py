"""Sentry and tracers wrap the methods of HTTP libraries and keep each URL: none of these methods gets a request."""

import json
import os
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.masking import encodings_of
from tests.api.server import answering, close_after_request, failed, reset_after_request, say_nothing, serving
from tests.api.server import http as an_answer
from tests.hostile import traced
from tests.hostile.test_replies import ACCESS_KEY, CANARIES, MESSAGE, SECRET, a_client, assert_silent
from tests.vendors_page import SUCCESS

ROOT = Path(__file__).parents[2]
TRACED = traced.__file__
LIBRARIES = ("requests", "urllib3", "http.client")
BEHAVIOURS = {
    "sent": answering(an_answer(SUCCESS)),
    "refused": answering(an_answer(failed("The number is not registered."))),
    "without a meaning": answering(an_answer(b"<html/>", "500 Internal Server Error")),
    "timed out": say_nothing,
    "closed": close_after_request,
    "reset": reset_after_request,
}

# The tracers to ask, and the Python that has them: `make test-tracers` names both.
TRACERS = os.environ.get("DIALOGTECH_TRACERS", "sentry").split(",")
TRACERS_PYTHON = os.environ.get("DIALOGTECH_TRACERS_PYTHON", sys.executable)


@contextmanager
def watching_libraries():
    """Collect the arguments of every Python function of these libraries that is called, and of what they call."""
    given = []

    def watch(frame, event, _):
        module = frame.f_globals.get("__name__", "")
        if event == "call" and any(module == name or module.startswith(f"{name}.") for name in LIBRARIES):
            # `vars` of an object shows what a wrapper of its method would find there.
            values = [
                *frame.f_locals.values(),
                *(vars(one) for one in frame.f_locals.values() if hasattr(one, "__dict__")),
            ]
            given.extend(shown(value) for value in values)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield given
    finally:
        sys.setprofile(before)


def shown(value) -> str:
    """Return a value as an attacker shows it: a string is one, whatever its `repr` says."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, dict):
        return " ".join(shown(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple):
        return " ".join(map(shown, value))
    with suppress(Exception):
        return repr(value)
    return ""


@pytest.mark.parametrize("http_method", ["GET", "POST"])
@pytest.mark.parametrize("behave", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_no_function_of_a_library_gets_the_request(behave, http_method):
    with serving(behave) as server, watching_libraries() as given, suppress(DialogTechError):
        a_client(server.url, http_method=http_method).send(**MESSAGE)
    assert given
    assert_silent("\n".join(given))


def test_no_function_of_a_library_gets_a_request_of_another_kind():
    with serving(BEHAVIOURS["refused"]) as server, watching_libraries() as given, suppress(DialogTechError):
        a_client(server.url).get_numbers()
    assert given
    assert_silent("\n".join(given))


def test_no_tracer_gets_a_request():
    with ExitStack() as servers:
        urls = [servers.enter_context(serving(behave)).url for behave in BEHAVIOURS.values()]
        untrusted = servers.enter_context(serving(BEHAVIOURS["sent"], a_certificate()))
        kept = kept_by_tracers([*urls, untrusted.url, closed_port()])
    assert_silent(kept)
    assert not [form for canary in CANARIES for form in encodings_of(canary) if form in kept]


@pytest.mark.parametrize("tracer", TRACERS)
def test_this_tracer_gets_what_each_library_sends(tracer):
    with serving(BEHAVIOURS["sent"]) as server:
        kept = kept_by_tracers([server.url], tracers=[tracer], by_library=True)
    # OpenTelemetry's wrapper of http.client keeps no URL.
    assert kept.count(MESSAGE["to"]) >= (2 if tracer == "opentelemetry" else 3)


def a_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}/ibp_api.php"


def kept_by_tracers(urls, tracers=TRACERS, by_library=False) -> str:
    asked = {
        "tracers": tracers,
        "urls": urls,
        "keys": [ACCESS_KEY, SECRET],
        "message": MESSAGE,
        "by_library": by_library,
    }
    done = subprocess.run(
        [TRACERS_PYTHON, TRACED],
        input=json.dumps(asked),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")
    return done.stdout + done.stderr
