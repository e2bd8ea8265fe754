"""Sentry and tracers wrap the methods of HTTP libraries and keep each URL: none of these methods gets a request."""

import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress

import pytest

from airflow_provider_dialogtech.exceptions import DialogTechError
from tests.api.server import answering, close_after_request, failed, reset_after_request, say_nothing, serving
from tests.api.server import http as an_answer
from tests.hostile.test_replies import MESSAGE, a_client, assert_silent
from tests.vendors_page import SUCCESS

LIBRARIES = ("requests", "urllib3", "http.client")
BEHAVIOURS = {
    "sent": answering(an_answer(SUCCESS)),
    "refused": answering(an_answer(failed("The number is not registered."))),
    "without a meaning": answering(an_answer(b"<html/>", "500 Internal Server Error")),
    "timed out": say_nothing,
    "closed": close_after_request,
    "reset": reset_after_request,
}

# A process of its own: Sentry wraps http.client for good.
WITH_SENTRY = """
import sys
import sentry_sdk
from airflow_provider_dialogtech.exceptions import DialogTechError
from tests.hostile.test_replies import MESSAGE, a_client

class Printing(sentry_sdk.transport.Transport):
    def capture_envelope(self, envelope):
        print(envelope.serialize().decode())

sentry_sdk.init(
    "http://key@127.0.0.1:9/1", transport=Printing, traces_sample_rate=1.0, send_default_pii=True, max_breadcrumbs=1000
)
what, *urls = sys.argv[1:]
with sentry_sdk.start_transaction(name="a task"):
    for url in urls:
        try:
            if what == "library":
                import requests
                requests.get(url, params=MESSAGE, timeout=5)
            else:
                a_client(url, timeout=2, http_method=what).send(**MESSAGE)
        except DialogTechError as error:
            sentry_sdk.capture_exception(error)
        sentry_sdk.capture_message("the end of one")
sentry_sdk.flush()
"""


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


@pytest.mark.parametrize("http_method", ["GET", "POST"])
def test_sentry_gets_no_secret(http_method):
    with ExitStack() as servers:
        urls = [servers.enter_context(serving(behave)).url for behave in BEHAVIOURS.values()]
        got = events_of(http_method, *urls)
    assert got.count('"the end of one"') >= len(urls)
    assert_silent(got)


def test_this_sentry_would_get_what_a_library_sends():
    with serving(BEHAVIOURS["sent"]) as server:
        assert MESSAGE["to"] in events_of("library", server.url)


def events_of(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITH_SENTRY, *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout
