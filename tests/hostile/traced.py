"""A program whose HTTP libraries are wrapped by tracers: it sends, and prints all that they kept.

A process of its own, because tracers wrap the libraries for good. It needs the tracers and `api/`, and no Airflow.
"""

import http.client
import json
import os
import sys
from contextlib import ExitStack, contextmanager
from urllib.parse import urlencode, urlsplit

# Nothing of a tracer's leaves the process, and ddtrace keeps queries as they are.
os.environ |= {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    "DD_TRACE_STARTUP_LOGS": "false",
    "DD_HTTP_CLIENT_TAG_QUERY_STRING": "true",
    "DD_TRACE_HTTP_CLIENT_TAG_QUERY_STRING": "true",
    "DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP": "",
}


@contextmanager
def sentry():
    import sentry_sdk

    class Printing(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope):
            print(envelope.serialize().decode())

    sentry_sdk.init(
        "http://key@127.0.0.1:9/1",
        transport=Printing,
        traces_sample_rate=1.0,
        send_default_pii=True,
        max_breadcrumbs=1000,
    )
    with sentry_sdk.start_transaction(name="a task"):
        yield sentry_sdk.capture_exception
        sentry_sdk.capture_message("the end")
    sentry_sdk.flush()


@contextmanager
def opentelemetry():
    from opentelemetry import trace
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.util.http.httplib import HttpClientInstrumentor

    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    for instrumentor in (RequestsInstrumentor, URLLib3Instrumentor, HttpClientInstrumentor):
        instrumentor().instrument()
    with trace.get_tracer("a task").start_as_current_span("a task") as span:
        yield span.record_exception
    print(*(span.to_json() for span in spans.get_finished_spans()))


@contextmanager
def ddtrace():
    from ddtrace import patch
    from ddtrace.trace import TraceFilter, tracer

    class Printing(TraceFilter):
        def process_trace(self, trace):
            print(*((span.name, span.resource, span.get_tags()) for span in trace))

    tracer.configure(trace_processors=[Printing()])
    patch(requests=True, urllib3=True, httplib=True)
    with tracer.trace("a task") as span:
        yield lambda error: span.set_exc_info(type(error), error, error.__traceback__)
    tracer.shutdown()


TRACERS = {"sentry": sentry, "opentelemetry": opentelemetry, "ddtrace": ddtrace}


class Asked:
    """What a test asks for. Tracers keep the locals of frames, and this has no repr that shows its content."""

    def __init__(self, tracers, urls, keys, message, by_library):
        self.tracers, self.urls, self.keys, self.message, self.by_library = tracers, urls, keys, message, by_library


def send(url, asked, record):
    """Send as a task does, by both methods."""
    from airflow_provider_dialogtech.api.client import DialogTechClient
    from airflow_provider_dialogtech.exceptions import DialogTechError

    for method in ("GET", "POST"):
        try:
            DialogTechClient(*asked.keys, url, timeout=1, http_method=method).send(**asked.message)
        except DialogTechError as error:
            record(error)


def send_by_library(url, asked, record):
    """Send the same by each of the libraries that tracers wrap."""
    import requests
    import urllib3

    requests.get(url, params=asked.message, timeout=5)
    with urllib3.PoolManager() as pool:
        pool.request("GET", f"{url}?{urlencode(asked.message)}", timeout=5)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    connection.request("GET", f"/?{urlencode(asked.message)}")
    connection.getresponse().read()
    connection.close()


def main():
    asked = Asked(**json.load(sys.stdin))
    with ExitStack() as stack:
        recorders = [stack.enter_context(TRACERS[name]()) for name in asked.tracers]

        def record(error):
            for recorder in recorders:
                recorder(error)

        way = send_by_library if asked.by_library else send
        for url in asked.urls:
            way(url, asked, record)
    print("done")


if __name__ == "__main__":
    main()
