"""Attacks on the sandbox: by a web page that a developer visits, and by any client."""

import http.client
import json
import socket
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.hostile.conftest import PROFILE
from tests.sandbox.calling import call, get_json, parameters

FAULT = json.dumps({"fault": "refused"})
AS_JSON = {"Content-Type": "application/json"}
ELSEWHERE = "http://news.example"


@pytest.fixture(scope="module")
def shared_sandbox():
    with running_sandbox(arguments=["--allow-host=sandbox.internal"]) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox):
    shared_sandbox.forget()
    shared_sandbox.clear_faults()
    return shared_sandbox


def ask(sandbox, method, path, body=None, **headers):
    """Return the status and the body of an answer."""
    connection = http.client.HTTPConnection(urlsplit(sandbox.base_url).netloc, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body.encode() if isinstance(body, str) else body, named)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


# A web page elsewhere


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"Content_Type": "text/plain; application/json"},
        {},
    ],
    ids=str,
)
def test_a_fault_is_taken_as_json_only_which_no_page_elsewhere_can_send(sandbox, headers):
    status, words = ask(sandbox, "POST", "/sandbox/faults", FAULT, **headers)
    assert (status, "application/json" in words) == (415, True)
    assert call(sandbox).result == "success"


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_fault_as_json_is_taken(sandbox, kind):
    assert ask(sandbox, "POST", "/sandbox/faults", FAULT, Content_Type=kind)[0] == 200
    assert call(sandbox).result == "failed"


FOREIGN = [
    {"Origin": ELSEWHERE},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "\\"},
    {"Origin": "http://["},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sandbox/faults"),
        ("DELETE", "/sandbox/faults"),
        ("DELETE", "/sandbox/messages"),
        ("GET", "/sandbox/messages"),
        ("POST", "/ibp_api.php"),
    ],
)
def test_a_page_elsewhere_is_refused(sandbox, headers, method, path):
    call(sandbox)
    sandbox.fault("refused")
    body = {"/sandbox/faults": FAULT, "/ibp_api.php": urlencode(parameters(sandbox))}.get(path)
    status, words = ask(sandbox, method, path, body, Content_Type="application/json", **headers)
    assert (status, "other web pages" in words) == (403, True)
    assert len(sandbox.messages()) == 1
    assert call(sandbox, from_=sandbox.numbers[1]).result == "failed"


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_the_page_itself_is_answered_and_a_person_who_types_its_address(sandbox, site):
    for path in ("/", "/inbox/inbox.js", "/sandbox/messages", "/sandbox/limits"):
        assert ask(sandbox, "GET", path, Sec_Fetch_Site=site)[0] == 200
    assert ask(sandbox, "POST", "/sandbox/faults", FAULT, **AS_JSON, Origin=sandbox.base_url)[0] == 200


def test_the_inbox_may_be_linked_but_not_framed(sandbox):
    connection = http.client.HTTPConnection(urlsplit(sandbox.base_url).netloc, timeout=30)
    connection.request("GET", "/", headers={"Sec-Fetch-Site": "cross-site"})
    answer = connection.getresponse()
    assert (answer.status, "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]) == (200, True)
    connection.close()


@pytest.mark.parametrize("host", ["news.example", "news.example:80", "127.0.0.1.a.example", "localhost@a", "", "["])
@pytest.mark.parametrize("path", ["/", "/ibp_api.php", "/sandbox/messages", "/inbox/inbox.js"])
def test_a_foreign_name_that_leads_here_is_refused(sandbox, host, path):
    status, words = ask(sandbox, "GET", path, Host=host)
    assert (status, "--allow-host" in words) == (400, True)
    assert sandbox.messages() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:8025", "[::1]:8025", "sandbox.internal:80"])
def test_this_machines_names_and_those_that_were_allowed_are_answered(sandbox, host):
    assert ask(sandbox, "GET", "/sandbox/health", Host=host)[0] == 200


@pytest.mark.parametrize("path", ["/", "/inbox/inbox.js"])
def test_no_range_is_read(sandbox, path):
    assert ask(sandbox, "GET", path, Range="bytes=0-1")[0] == 200


# Bodies and what is kept


@pytest.mark.parametrize("path", ["/sandbox/faults", "/ibp_api.php"])
def test_a_body_that_announces_more_than_64_kib_is_refused_unread(sandbox, path):
    connection = http.client.HTTPConnection(urlsplit(sandbox.base_url).netloc, timeout=30)
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("path", ["/sandbox/faults", "/ibp_api.php"])
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
def test_a_body_without_a_length_is_read_to_64_kib(sandbox, path, kind):
    if path == "/sandbox/faults" and kind != "application/json":
        pytest.skip("refused by its type")
    with socket.create_connection((urlsplit(sandbox.base_url).hostname, urlsplit(sandbox.base_url).port), 30) as raw:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        raw.sendall(head.encode())
        answer = b""
        try:
            for piece in [b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n', *[b"x" * 1024] * 70]:
                raw.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            answer = raw.recv(100)
        except ConnectionError:
            answer = answer or raw.recv(100)
    assert b" 413 " in answer


def test_64_kib_are_taken(sandbox):
    form = urlencode(parameters(sandbox, message="x"))
    form += "&more=" + "y" * (64 * 1024 - len(form) - 6)
    assert len(form) == 64 * 1024
    kind = "application/x-www-form-urlencoded"
    assert "[1] Message Sent" in ask(sandbox, "POST", "/ibp_api.php", form, Content_Type=kind)[1]


def test_what_is_kept_of_a_call_is_bounded(sandbox):
    sandbox.fault("refused", times=1, description="d" * 10_000)
    assert call(sandbox, method="POST", action="sms.send_message").result == "failed"
    huge = {"to": "5" * 10_000, "from_": "6" * 10_000, "message": "m" * 10_000, "action": "a" * 10_000}
    assert call(sandbox, method="POST", **huge).result == "failed"
    assert call(sandbox, method="POST", message="m" * 10_000).description.startswith("Invalid parameter: message")
    assert all(len(str(value)) <= 1000 for arrival in sandbox.messages() for value in arrival.values())


def test_the_faults_that_wait_are_bounded(sandbox):
    for _ in range(1000):
        sandbox.fault("refused", to="5550000000")
    status, words = ask(sandbox, "POST", "/sandbox/faults", FAULT, **AS_JSON)
    assert (status, "1000 faults" in words) == (400, True)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 30_000,
        '{"a":' * 10_000,
        '{"fault": "late", "seconds": 1' + "0" * 5000 + "}",
        '{"fault": "late", "seconds": 1e999}',
        '{"fault": "late", "seconds": 1e300}',
        '{"fault": "late", "times": 1' + "0" * 5000 + "}",
        '{"fault": "throttled", "retry_after": 1' + "0" * 4000 + "}",
        '{"fault": "throttled", "retry_after": "' + "9" * 2000 + '"}',
        '{"\\ud800": 1}',
        '{"fault": "\\ud800"}',
        '{"fault": {"a": [1]}}',
        b"\xff\xfe{",
        b"",
        b"\0",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_fault_that_cannot_be_read_is_a_bad_request(sandbox, body):
    status, words = ask(sandbox, "POST", "/sandbox/faults", body, **AS_JSON)
    assert (status, "error" in json.loads(words)) == (400, True)


def test_a_form_of_very_many_fields_is_a_bad_request(sandbox):
    kind = "application/x-www-form-urlencoded"
    assert ask(sandbox, "POST", "/ibp_api.php", "a&" * 30_000, Content_Type=kind)[0] == 400
    assert ask(sandbox, "GET", "/ibp_api.php?" + "a&" * 5_000)[0] == 400


# Multipart forms, as PHP takes them


def multipart(fields, boundary="b0undary", extra=""):
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{value}\r\n'
        for name, value in fields
    ]
    return "".join(parts) + f"--{boundary}--\r\n", {"Content_Type": f"multipart/form-data; boundary={boundary}"}


def test_a_multipart_form_is_taken_letter_for_letter(sandbox):
    message = "a&b=c+d%20 100% “quoted”\nline two\ttab €uro ñ 🎉 <b>&amp;"
    body, kind = multipart(parameters(sandbox, message=message).items())
    assert "[1] Message Sent" in ask(sandbox, "POST", "/ibp_api.php", body, **kind)[1]
    (arrival,) = sandbox.messages()
    assert (arrival["message"], arrival["method"], arrival["outcome"]) == (message, "POST", "accepted")


def test_of_a_field_that_comes_twice_the_last_counts_as_in_php(sandbox):
    body, kind = multipart([("message", "first"), *parameters(sandbox, message="last").items()])
    ask(sandbox, "POST", "/ibp_api.php", body, **kind)
    assert [arrival["message"] for arrival in sandbox.accepted()] == ["last"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        multipart([("message", "x")], extra='; filename="a.txt"'),
        multipart([("a", "")] * 1010, boundary="b"),
        ("--wrong", {"Content_Type": "multipart/form-data; boundary=b"}),
        ("no form", {"Content_Type": "multipart/form-data"}),
    ],
    ids=["a file", "many fields", "another boundary", "no boundary"],
)
def test_a_multipart_form_that_is_none_is_a_bad_request_or_an_empty_one(sandbox, body, kind):
    status, words = ask(sandbox, "POST", "/ibp_api.php", body, **kind)
    assert status == 400 or (status, "Invalid access_key" in words) == (200, True)
    assert sandbox.accepted() == []


# Whatever comes


FAULTY = st.sampled_from(["fault", "times", "seconds", "late"]) | st.text()
VALUES = st.none() | st.integers() | st.floats() | FAULTY
JSON = st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(FAULTY, inner)).map(json.dumps)
PATHS = ["/", "/ibp_api.php", "/sandbox/faults", "/sandbox/messages", "/sandbox/limits", "/inbox/", "/inbox/../app.py"]
KINDS = ["application/json", "multipart/form-data; boundary=b", "text/plain", "x"]


@settings(PROFILE, suppress_health_check=list(HealthCheck))
@given(
    what=st.tuples(st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"]), st.sampled_from(PATHS)),
    query=st.dictionaries(st.sampled_from(["after", "most", "action", "message", "to"]), st.text(max_size=40)),
    body=st.binary(max_size=300) | JSON,
    kind=st.sampled_from(KINDS),
)
def test_no_request_breaks_it(shared_sandbox, what, query, body, kind):
    method, path = what
    status, _ = ask(shared_sandbox, method, f"{path}?{urlencode(query, errors='replace')}", body, Content_Type=kind)
    assert status < 500
    shared_sandbox.clear_faults()
    assert get_json(shared_sandbox, "sandbox/health") == {"healthy": True}
