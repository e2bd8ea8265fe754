import gc
import http.client
import logging
import re
import signal
import socket
import ssl
import threading
import time
import traceback
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, urlsplit

import psutil
import pytest
import requests
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dialogtech.api import raw_reply as bounds
from airflow_provider_dialogtech.api.client import ApiCall, DialogTechClient
from airflow_provider_dialogtech.api.connection import Connection
from airflow_provider_dialogtech.api.raw_reply import LARGEST_REPLY, RawReply
from airflow_provider_dialogtech.api.transport import Transport
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    InvalidConnection,
    NotSent,
    Refused,
    Throttled,
    Unreachable,
)
from airflow_provider_dialogtech.masking import encodings_of
from tests.api.server import (
    answering,
    close_after_request,
    dripping,
    failed,
    flooding,
    read_request,
    reset,
    reset_after_request,
    say_nothing,
    serving,
)
from tests.api.server import http as an_answer
from tests.vendors_page import SUCCESS

ACCESS_KEY = "acc3ss/key+of&mine"
SECRET = "s3cr+t/=&% key"
# For servers that never answer; for those that do, a request has time on any machine.
TIMEOUT = 1.5
AMPLE = 60.0
# Generous: what is tested is that the end comes, not how fast the machine is.
SOON = TIMEOUT + 40
MESSAGE = {"to": "5556667777", "from_": "5554332111", "message": "Hello"}


def a_client(url: str, **options) -> DialogTechClient:
    return DialogTechClient(ACCESS_KEY, SECRET, url, **{"timeout": AMPLE, **options})


def everything_of(error: BaseException) -> str:
    """Format an error with its causes and contexts, whether or not a traceback would show them."""
    shown, waiting, seen = "", [error], set()
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        shown += "".join(traceback.format_exception(found)) + repr(found) + repr(found.args) + repr(vars(found))
        waiting += [found.__cause__, found.__context__]
    return shown


@pytest.fixture
def leak_check(caplog, capfd, monkeypatch):
    """Fail when a log, the console or an error shows a key in any form, or the recipient."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    raised: list[BaseException] = []
    yield raised
    printed = capfd.readouterr()
    shown = caplog.text + printed.out + printed.err + "".join(everything_of(error) for error in raised)
    for form in (*encodings_of(SECRET), *encodings_of(ACCESS_KEY), MESSAGE["to"]):
        assert form.lower() not in shown.lower()


def attempt(client: DialogTechClient, leak_check, **more) -> BaseException:
    begun = time.monotonic()
    with pytest.raises(DialogTechError) as raised:
        client.send(**{**MESSAGE, **more})
    assert time.monotonic() - begun < SOON
    leak_check.append(raised.value)
    return raised.value


@pytest.mark.parametrize("http_method", ["GET", "POST"])
@pytest.mark.parametrize(
    "message",
    ["Thank you for calling.", "a&b=c+d %20% #?;/\\", "call\nline\r\nline\ttab", "Grüße, 世界 🎉 ’", "x" * 256],
)
def test_a_message_arrives_unchanged(http_method, message):
    with serving(answering(an_answer(SUCCESS))) as server:
        reply = a_client(server.url, http_method=http_method).send(**{**MESSAGE, "message": message})
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    method, target, _ = head.split(b"\r\n")[0].split(b" ")
    sent = urlsplit(target).query if http_method == "GET" else body
    assert method.decode() == http_method
    assert parse_qs(sent.decode(), strict_parsing=True, keep_blank_values=True) == {
        "action": ["sms.send_message"],
        "access_key": [ACCESS_KEY],
        "secret_access_key": [SECRET],
        "to": ["5556667777"],
        "from": ["5554332111"],
        "message": [message],
    }
    assert (reply.result, reply.description) == ("success", "[1] Message Sent")


def test_a_post_has_no_key_in_its_url():
    with serving(answering(an_answer(SUCCESS))) as server:
        a_client(server.url, http_method="POST").send(**MESSAGE)
    assert server.requests[0].split(b"\r\n")[0] == b"POST /ibp_api.php HTTP/1.1"


LATE_DATE = format_datetime(datetime.now(timezone.utc) + timedelta(days=30), usegmt=True)
IN_DOUBT = {
    "no reply": say_nothing,
    "a reset": reset_after_request,
    "a closed connection": close_after_request,
    "dripping headers": dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drip: drop\r\n"),
    "a dripping status call": dripping(b"HTTP/1.1 200 ", b"O"),
    "continue without end": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a dripping body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b" "),
    "a dripping body without a length": dripping(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "dripping chunks": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "broken chunks": answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "64 MiB": flooding(64),
    "half a reply": answering(an_answer(SUCCESS)[:-100]),
    "not HTTP": answering(b"220 mail.example ESMTP\r\n"),
    "500": answering(an_answer(b"oops", "500 Internal Server Error")),
    "502 with a success": answering(an_answer(SUCCESS, "502 Bad Gateway")),
    "503 with a refusal": answering(an_answer(failed("down"), "503 Service Unavailable")),
    "408": answering(an_answer(b"", "408 Request Timeout")),
    "204": answering(an_answer(b"", "204 No Content")),
    "202 with a success": answering(an_answer(SUCCESS, "202 Accepted")),
    "400 with a success": answering(an_answer(SUCCESS, "400 Bad Request")),
    "an empty body": answering(an_answer(b"")),
    "truncated XML": answering(an_answer(SUCCESS[:-30])),
    "HTML": answering(an_answer(b"<html><body>Down for maintenance</body></html>")),
    "other XML": answering(an_answer(b"<error>no</error>")),
    "another result": answering(an_answer(SUCCESS.replace(b">success<", b">queued<"))),
    "a success of none": answering(an_answer(SUCCESS.replace(b"[1]", b"[0]"))),
    "compressed": answering(an_answer(b"\x1f\x8b\x08\x00rubbish", "200 OK", "Content-Encoding: gzip")),
    "an entity bomb": answering(
        an_answer(
            b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
            + b"".join(
                b'<!ENTITY a%d "&a%s;&a%s;&a%s;">' % (n, *([str(n - 1 or "").encode()] * 3)) for n in range(1, 30)
            )
            + b"]><response><result>&a29;</result></response>"
        )
    ),
    "lone surrogates": answering(an_answer(b"<response><result>\xed\xa0\x80</result></response>")),
}


@pytest.mark.parametrize("behave", IN_DOUBT.values(), ids=IN_DOUBT)
def test_a_message_is_in_doubt_after(behave, leak_check):
    with serving(behave) as server:
        error = attempt(a_client(server.url, timeout=TIMEOUT), leak_check)
    assert type(error) is InDoubt
    assert "may have been sent" in str(error)
    assert error.since is not None
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (an_answer(b""), "the reply was empty (HTTP status 200), from the path /ibp_api.php of the API URL"),
        (an_answer(b"<html/>"), "the reply was not the documented XML (HTTP status 200), from the path /ibp_api.php"),
        (an_answer(b"", "204 No Content"), "the HTTP status was 204, from the path /ibp_api.php of the API URL"),
        (an_answer(SUCCESS.replace(b"[1]", b"[0]")), "the reply reported success for no message"),
    ],
)
def test_the_reason_for_doubt_is_reported(answer, words, leak_check):
    with serving(answering(answer)) as server:
        assert f"and then {words}" in str(attempt(a_client(server.url), leak_check))


def test_the_path_of_a_wrong_url_is_named_without_keys(leak_check):
    with serving(answering(an_answer(b"<html/>"))) as server:
        url = server.url.replace("ibp_api.php", f"api/{quote(SECRET, safe='')}/5556667777/{'x' * 99}")
        error = attempt(a_client(url), leak_check)
    assert "(HTTP status 200), from the path /api/***/…7777/xxx" in error.reason
    assert "127.0.0.1" not in error.reason


REFUSED = {
    "failed": (an_answer(failed("Invalid from number")), Refused, "Invalid from number"),
    "400": (an_answer(b"", "400 Bad Request"), Refused, "HTTP status 400"),
    "404": (an_answer(b"<html/>", "404 Not Found"), Refused, "HTTP status 404"),
    "400 with a reason": (an_answer(failed("No credit"), "400 Bad Request"), Refused, "No credit"),
    "401": (an_answer(b"", "401 Unauthorized"), BadCredentials, "access key and the secret access key"),
    "403": (
        an_answer(failed("rate limit of logins"), "403 Forbidden"),
        BadCredentials,
        "access key and the secret access key",
    ),
    "wrong keys by their words": (
        an_answer(failed("Invalid access_key")),
        BadCredentials,
        "access key and the secret access key",
    ),
    "429": (an_answer(b"", "429 Too Many Requests"), Throttled, "throttled it"),
    "failed for the rate": (an_answer(failed("Rate limit reached")), Throttled, "Rate limit reached"),
    "400 for the rate": (an_answer(failed("Too many requests"), "400 Bad Request"), Throttled, "throttled it"),
}


@pytest.mark.parametrize(("answer", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_a_message_is_not_sent_after(answer, kind, words, leak_check):
    with serving(answering(answer)) as server:
        error = attempt(a_client(server.url), leak_check)
    assert type(error) is kind
    assert isinstance(error, NotSent)
    assert words in str(error)
    assert "not sent" in str(error)


def kind_of_refusal(words, leak_check, **settings):
    with serving(answering(an_answer(failed(words)))) as server:
        return type(attempt(a_client(server.url, **settings), leak_check))


@pytest.mark.parametrize(
    "words",
    [
        "Rate limit exceeded",
        "rate-limit reached for this number",
        "Request was throttled",
        "Throttling: slow down",
        "Too many requests",
        "You have sent too many messages, try again in 60 seconds",
        "Limit of 40 sms per number per 60 seconds exceeded",
        "Exceeded 4 sms per second",
        "Maximum of 1 message per second",
        "Sending too fast",
        "Only 4 messages per second are allowed",
        "Too many SMS messages",
        "4 sms/s is the most",
        "Please wait 30 seconds",
        "Your sending rate is too high",
    ],
)
def test_throttling_is_recognised_by_its_words(words, leak_check):
    assert kind_of_refusal(words, leak_check) is Throttled


@pytest.mark.parametrize(
    "words",
    [
        "message exceeds 256 characters",
        "Account limit exceeded",
        "Number not in rate center",
        "Invalid parameter: message",
        "Credit limit reached",
        "Recipient has opted out",
        "The number of recipients exceeds the maximum",
        "Only SMS-enabled numbers can be used as from",
        "Messages are sent only after 8 am",
        "Recipient has not authorized messages",
        "The from number is not authorized",
        "Sender has no permission to message this number",
    ],
)
def test_another_refusal_is_neither_throttling_nor_bad_credentials(words, leak_check):
    assert kind_of_refusal(words, leak_check) is Refused


@pytest.mark.parametrize(
    "words",
    [
        "Invalid API key",
        "Authentication failed",
        "Unauthorized",
        "Access not authorized.",
        "Authorization required",
        "Bad credentials",
        "Login failed",
    ],
)
def test_bad_credentials_are_recognised_by_their_words(words, leak_check):
    assert kind_of_refusal(words, leak_check) is BadCredentials


def test_a_connection_may_name_other_words_for_throttling(leak_check):
    assert kind_of_refusal("Bitte langsamer", leak_check, throttled_words=["other", "BITTE  lang"]) is Throttled


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("99999999", 3600.0),
        pytest.param(LATE_DATE, 3600.0, id="a date in a month"),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("-5", None),
        ("1e9", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_parsed_safely(header, seconds, leak_check):
    answer = an_answer(b"", "429 Too Many Requests", f"Retry-After: {header}")
    with serving(answering(answer)) as server:
        assert attempt(a_client(server.url), leak_check).retry_after == seconds


def test_a_refused_connection_is_unreachable(unused_port, leak_check):
    error = attempt(a_client(f"http://127.0.0.1:{unused_port}/ibp_api.php"), leak_check)
    assert type(error) is Unreachable
    assert "the connection was refused" in str(error)


def test_a_name_that_is_not_resolved_is_unreachable(leak_check):
    error = attempt(a_client("https://no-such-host.invalid/ibp_api.php"), leak_check)
    assert type(error) is Unreachable
    assert "not resolved" in str(error)


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("http://localhost/x", "localhost:80"),
        ("http://localhost:8080/x", "localhost:8080"),
        ("https://any.example/x", "any.example:443"),
        ("https://any.example:8443/x", "any.example:8443"),
        ("https://[::1]/x", "[::1]:443"),
    ],
)
def test_what_could_not_be_reached_is_named_by_its_host_and_port(url, called, monkeypatch, leak_check):
    def resolve_nothing(*_, **__):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve_nothing)
    assert f"could not be reached at {called} (" in str(attempt(a_client(url), leak_check))


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority, monkeypatch, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))


def test_an_untrusted_certificate_is_unreachable(tls, monkeypatch, leak_check):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with serving(answering(an_answer(SUCCESS)), tls) as server:
        error = attempt(a_client(server.url), leak_check)
    assert type(error) is Unreachable
    assert "certificate is not trusted" in str(error)
    assert server.requests == []


def test_a_message_goes_out_over_tls_also_after_a_wait_in_which_the_server_sent_tickets(tls, trusted):
    with serving(answering(an_answer(SUCCESS)), tls) as server, a_client(server.url).connect() as call:
        time.sleep(0.5)
        reply = call.send(**MESSAGE)
    assert reply.result == "success"


def test_the_deadline_holds_over_tls(tls, trusted, leak_check):
    with serving(dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drip: drop\r\n"), tls) as server:
        assert type(attempt(a_client(server.url, timeout=TIMEOUT), leak_check)) is InDoubt


def test_a_tls_handshake_that_hangs_is_unreachable(leak_check):
    with serving(lambda connection, server: server.over.wait(30)) as server:
        error = attempt(a_client(server.url.replace("http:", "https:"), timeout=TIMEOUT), leak_check)
    assert type(error) is Unreachable


def test_a_redirect_is_not_followed_and_its_target_sees_nothing(leak_check):
    with serving(answering(an_answer(SUCCESS))) as target:
        for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            redirect = an_answer(b"", status, f"Location: {target.url}")
            with serving(answering(redirect)) as server:
                assert type(attempt(a_client(server.url), leak_check)) is InDoubt
    assert target.connections == 0


def test_an_external_entity_is_not_fetched(leak_check):
    with serving(answering(an_answer(SUCCESS))) as target:
        bodies = [
            f'<!DOCTYPE r [<!ENTITY x SYSTEM "{target.url}">]><response><result>&x;</result></response>',
            f'<!DOCTYPE response SYSTEM "{target.url}"><response><result>queued</result></response>',
        ]
        for body in bodies:
            with serving(answering(an_answer(body.encode()))) as server:
                assert type(attempt(a_client(server.url), leak_check)) is InDoubt
    assert target.connections == 0


@pytest.mark.parametrize(
    "body",
    [
        SUCCESS.replace(b"UTF-8", b"ISO-8859-1").replace(b"Sent", b"g\xe9"),
        SUCCESS.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
        b"\xef\xbb\xbf" + SUCCESS,
        SUCCESS.replace(b"success", b" SUCCESS\n"),
    ],
)
def test_a_reply_in_another_encoding_is_read(body):
    with serving(answering(an_answer(body))) as server:
        reply = a_client(server.url).send(**MESSAGE)
    assert reply.result == "success"
    assert "<response>" in reply.xml


def test_a_reply_that_ends_with_its_connection_is_read():
    with serving(answering(b"HTTP/1.1 200 OK\r\n\r\n" + SUCCESS)) as server:
        assert a_client(server.url).send(**MESSAGE).description == "[1] Message Sent"


@pytest.mark.parametrize("over", [0, 1])
def test_a_reply_has_at_most_64_kibibytes(over, leak_check):
    size = (64 << 10) + over
    answer = an_answer(SUCCESS + b" " * (size - len(an_answer(SUCCESS + b" " * 60_000)) + 60_000))
    assert len(answer) == size
    with serving(answering(answer)) as server:
        client = a_client(server.url)
        if over:
            assert "the reply is too large" in str(attempt(client, leak_check))
        else:
            assert client.send(**MESSAGE).result == "success"


def test_a_deadline_that_is_reached_is_over(monkeypatch):
    """A time-out of 0 would make the socket non-blocking."""
    monkeypatch.setattr(bounds, "time", SimpleNamespace(monotonic=lambda: 100.0))
    assert bounds.CallDeadline(0.5).remaining() == 0.5
    with pytest.raises(TimeoutError):
        bounds.CallDeadline(0).remaining()


def test_a_flood_is_read_up_to_the_bound(leak_check):
    with serving(flooding(64)) as server:
        tracemalloc.start()
        attempt(a_client(server.url), leak_check)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # This process also holds the server's megabyte.
    assert most < 16 * LARGEST_REPLY + (4 << 20)


def test_keys_and_numbers_that_the_api_repeats_are_not_shown(leak_check):
    words = f"No {SECRET} or {ACCESS_KEY} for 5556667777 at (555) 666-7777".replace("&", "&amp;")
    with serving(answering(an_answer(failed(words)))) as server:
        error = attempt(a_client(server.url), leak_check)
    assert "…7777" in error.description
    assert "***" in error.description


def test_a_long_reason_is_cut(leak_check):
    with serving(answering(an_answer(failed("no" * 5000)))) as server:
        assert attempt(a_client(server.url), leak_check).description == "no" * 100


def wait_until(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_connection_opens_before_anything_is_written_on_it():
    read = []

    def behave(connection, server):
        connection.settimeout(0.3)
        try:
            read.append(connection.recv(1))
        except TimeoutError:
            read.append("nothing")
        connection.settimeout(60)
        answering(an_answer(SUCCESS))(connection, server)

    with serving(behave) as server, a_client(server.url).connect() as call:
        wait_until(lambda: read)
        assert read == ["nothing"]
        assert call.send(**MESSAGE).result == "success"


def test_no_deadline_runs_while_a_call_is_idle():
    with serving(answering(an_answer(SUCCESS))) as server, a_client(server.url, timeout=5.0).connect() as call:
        time.sleep(5.1)
        assert call.send(**MESSAGE).result == "success"


def attempt_on(call, leak_check) -> BaseException:
    with pytest.raises(DialogTechError) as raised:
        call.send(**MESSAGE)
    leak_check.append(raised.value)
    return raised.value


@pytest.mark.parametrize("end", [reset, socket.socket.close])
def test_a_connection_that_the_server_closed_is_unreachable(end, leak_check):
    is_open, closed = threading.Event(), threading.Event()

    def behave(connection, server):
        is_open.wait(60)
        end(connection)
        closed.set()

    with serving(behave) as server, a_client(server.url).connect() as call:
        is_open.set()
        assert closed.wait(60)
        time.sleep(0.1)
        error = attempt_on(call, leak_check)
    assert type(error) is Unreachable
    assert "Sending it again is safe." in str(error)


def test_a_call_sends_one_message_and_never_reconnects(leak_check):
    with serving(answering(an_answer(SUCCESS))) as server, a_client(server.url).connect() as call:
        call.send(**MESSAGE)
        assert type(attempt_on(call, leak_check)) is Unreachable
    assert server.connections == 1


def test_a_connection_closed_at_the_last_moment_never_reconnects(monkeypatch, leak_check):
    ready = Transport.ready

    def close_after_the_check(transport, deadline):
        is_ready = ready(transport, deadline)
        transport.close()
        return is_ready

    monkeypatch.setattr(Transport, "ready", close_after_the_check)
    with serving(answering(an_answer(SUCCESS))) as server, a_client(server.url).connect() as call:
        assert isinstance(attempt_on(call, leak_check), Unreachable | InDoubt)
        wait_until(lambda: server.connections)
    assert server.connections == 1
    assert server.requests in ([], [b""])


def test_a_closed_call_is_unreachable_and_closing_twice_is_harmless(leak_check):
    with serving(answering(an_answer(SUCCESS))) as server:
        call = a_client(server.url).connect()
        call.close()
        call.close()
        assert type(attempt_on(call, leak_check)) is Unreachable


def test_a_call_that_is_closed_unused_closes_its_connection():
    with serving(lambda connection, server: server.over.wait(30)) as server:
        call = a_client(server.url).connect()
        assert connections_to(server)
        call.close()
        assert connections_to(server) == []


def connections_to(server):
    ours = psutil.Process().net_connections()
    return [one for one in ours if one.raddr and one.raddr.port == server.port and one.status == "ESTABLISHED"]


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_call_that_another_thread_ends_during_its_request_is_in_doubt(end, leak_check):
    with serving(say_nothing) as server:
        client = a_client(server.url, timeout=600)
        call = client.connect()

        def end_during_the_request():
            wait_until(lambda: server.requests)
            {"close": call.close, "abort": client.abort}[end]()

        threading.Thread(target=end_during_the_request).start()
        begun = time.monotonic()
        assert type(attempt_on(call, leak_check)) is InDoubt
    assert time.monotonic() - begun < 60


def test_an_idle_call_that_is_aborted_is_unreachable(leak_check):
    with serving(answering(an_answer(SUCCESS))) as server:
        client = a_client(server.url)
        with client.connect() as call:
            client.abort()
            error = attempt_on(call, leak_check)
    assert type(error) is Unreachable
    assert "it was stopped" in str(error)
    assert server.requests in ([], [b""])


def test_an_abort_cuts_a_call_that_is_being_connected(leak_check):
    with serving(lambda connection, server: server.over.wait(30)) as server:
        client = a_client(server.url.replace("http:", "https:"), timeout=60)

        def abort_when_it_connects():
            wait_until(lambda: server.connections)
            client.abort()

        threading.Thread(target=abort_when_it_connects).start()
        with pytest.raises(Unreachable, match="it was stopped"):
            client.connect()


def test_each_message_has_a_connection_of_its_own():
    with serving(answering(an_answer(SUCCESS))) as server:
        client = a_client(server.url)
        for _ in range(3):
            client.send(**MESSAGE)
    assert server.connections == 3


def test_several_threads_may_share_a_client():
    with serving(answering(an_answer(SUCCESS))) as server, ThreadPoolExecutor(8) as pool:
        client = a_client(server.url)
        messages = [f"text-{n}" for n in range(40)]
        results = list(pool.map(lambda message: client.send(**{**MESSAGE, "message": message}).result, messages))
    assert results == ["success"] * 40
    assert sorted(re.findall(r"message=(text-\d+)", repr(server.requests))) == sorted(
        message.replace(" ", "+") for message in messages
    )


def test_a_request_that_is_aborted_is_in_doubt(leak_check):
    with serving(say_nothing) as server:
        client = a_client(server.url, timeout=60)

        def abort_during_the_request():
            while not server.requests:
                time.sleep(0.01)
            client.abort()

        threading.Thread(target=abort_during_the_request).start()
        error = attempt(client, leak_check)
    assert type(error) is InDoubt
    assert "it was stopped" in str(error)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://127.0.0.1:{port}/", None),
        ("https://127.0.0.1:{port}/", None),
        ("https://secure.example/", "http://127.0.0.1:{port}"),
        ("https://secure.example/", "https://127.0.0.1:{port}"),
        ("https://secure.example/", "socks5h://127.0.0.1:{port}"),
    ],
    ids=["request", "TLS handshake", "CONNECT", "TLS handshake of a proxy", "SOCKS"],
)
def test_an_interrupt_comes_out_as_it_is_and_leaves_no_socket_open(url, proxy, leak_check, monkeypatch):
    class Interrupt(BaseException):
        pass

    def raise_it(*_):
        raise Interrupt

    def interrupt_once_written_to(connection, server):
        connection.recv(1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        server.over.wait(30)

    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    gc.collect()  # what earlier tests left
    before = signal.signal(signal.SIGUSR1, raise_it)
    try:
        with serving(interrupt_once_written_to) as server, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ResourceWarning)
            if proxy:
                monkeypatch.setenv("https_proxy", proxy.format(port=server.port))
            with pytest.raises(Interrupt) as raised:
                a_client(url.format(port=server.port), timeout=60).send(**MESSAGE)
            leak_check.append(raised.value)
            assert connections_to(server) == []
            raised.value.__traceback__ = None
            gc.collect()
    finally:
        signal.signal(signal.SIGUSR1, before)
    ours = [str(one.message) for one in warned if f"laddr=('127.0.0.1', {server.port})" not in str(one.message)]
    assert ours == []


def test_requests_of_other_code_are_still_logged(caplog):
    caplog.set_level(logging.DEBUG)
    with serving(answering(an_answer(SUCCESS))) as server:
        a_client(server.url).send(**MESSAGE)
        assert "ibp_api" not in caplog.text
        requests.get(server.url, timeout=AMPLE)
        assert "/ibp_api.php" in caplog.text


def test_a_netrc_is_not_read(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(answering(an_answer(SUCCESS))) as server:
        a_client(server.url).send(**MESSAGE)
    assert b"Authorization" not in server.requests[0]


def test_no_proxy_sees_a_request_to_this_machine(monkeypatch):
    with serving(answering(an_answer(SUCCESS))) as server, serving(answering(an_answer(SUCCESS))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        a_client(server.url).send(**MESSAGE)
    assert len(server.requests) == 1
    assert proxy.connections == 0


def test_a_tunnelling_proxy_is_used_and_sees_no_key(monkeypatch, tls, trusted):
    with serving(answering(an_answer(SUCCESS)), tls) as target:

        def tunnel(connection, proxy):
            read_request(connection, proxy)
            onward = socket.create_connection(("127.0.0.1", target.port))
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=copy, args=(onward, connection), daemon=True).start()
            copy(connection, onward)

        with serving(tunnel) as proxy:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            assert a_client(target.url).send(**MESSAGE).result == "success"
    assert b"secret" not in proxy.requests[0]


def test_a_socks_proxy_is_used(monkeypatch, tls, trusted):
    with serving(answering(an_answer(SUCCESS)), tls) as target:

        def socks(connection, proxy):
            connection.recv(100)
            connection.sendall(b"\x05\x00")
            connection.recv(100)
            onward = socket.create_connection(("127.0.0.1", target.port))
            connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01")
            threading.Thread(target=copy, args=(onward, connection), daemon=True).start()
            copy(connection, onward)

        with serving(socks) as proxy:
            monkeypatch.setenv("https_proxy", f"socks5h://127.0.0.1:{proxy.port}")
            for name in ("no_proxy", "NO_PROXY"):
                monkeypatch.delenv(name, raising=False)
            assert a_client(target.url).send(**MESSAGE).result == "success"
    assert proxy.connections == 1


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_refuses_connections_is_unreachable(scheme, monkeypatch, unused_port, leak_check):
    monkeypatch.setenv("https_proxy", f"{scheme}://127.0.0.1:{unused_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    error = attempt(a_client("https://any.example/"), leak_check)
    assert type(error) is Unreachable
    assert "the proxy failed" in str(error)


def copy(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
    except OSError:
        pass


@pytest.mark.parametrize(
    "url",
    [
        "http://secure.dialogtech.com/ibp_api.php",
        "http://10.0.0.1/ibp_api.php",
        "ftp://127.0.0.1/ibp_api.php",
        "secure.dialogtech.com",
        "https://",
        "https://user:pa55word@secure.dialogtech.com/ibp_api.php",
        "https://secure.dialogtech.com/ibp_api.php?secret=pa55word",
        "https://secure.dialogtech.com/#pa55word",
        "https://[::1/ibp_api.php",
        "https://host:99999/ibp_api.php",
    ],
)
def test_a_url_that_must_not_receive_the_keys_is_refused(url):
    with pytest.raises(InvalidConnection) as raised:
        a_client(url)
    assert "pa55word" not in everything_of(raised.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/", "http://127.9.9.9/x", "http://[::1]:1/x", "https://any.example/x"]
)
def test_https_and_this_machine_are_accepted(url):
    a_client(url)


@pytest.mark.parametrize(
    "wrong",
    [
        {"http_method": "PUT"},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"timeout": 1e9},
        {"timeout": 3600.5},
        {"throttled_words": "slow"},
        {"throttled_words": [""]},
        {"throttled_words": [7]},
    ],
)
def test_a_wrong_setting_is_named(wrong):
    with pytest.raises(InvalidConnection, match=next(iter(wrong))):
        a_client("https://any.example/x", **wrong)


@pytest.mark.parametrize("timeout", [0.001, 3600])
def test_a_time_out_of_up_to_an_hour_is_accepted(timeout):
    assert a_client("https://any.example/x", timeout=timeout).timeout == timeout


@pytest.mark.parametrize("keys", [("", SECRET), (ACCESS_KEY, "")])
def test_missing_keys_are_reported(keys):
    with pytest.raises(InvalidConnection, match=r"access key.*secret access key"):
        DialogTechClient(*keys)


def test_the_default_time_out_is_half_a_minute():
    assert a_client("https://any.example/x", timeout=30).timeout == DialogTechClient("a", "b").timeout


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://any.example:8443/x", "any.example"), ("http://[::1]:1/x", "::1"), (None, "secure.dialogtech.com")],
)
def test_a_client_names_the_host_that_it_calls(url, host):
    assert (DialogTechClient("a", "b") if url is None else a_client(url)).host == host


def test_a_client_does_not_show_its_keys():
    shown = repr(a_client("https://any.example/x"))
    assert "any.example" in shown
    assert SECRET not in shown
    assert ACCESS_KEY not in shown


@pytest.mark.parametrize(
    "data",
    [
        "<data><number>5554332111</number><number>(555) 433-2112</number></data>",
        "<numbers><item><did>555-433-2111</did><label>Sales 2020</label></item><item>5554332112</item></numbers>",
        "<n>5554332111</n><n>5554332112</n>",
    ],
)
def test_numbers_are_found_in_any_element(data):
    body = f"<response><result>success</result><result_description>[2] Numbers</result_description>{data}</response>"
    with serving(answering(an_answer(body.encode()))) as server:
        assert a_client(server.url).get_numbers() == ("5554332111", "5554332112")
    assert b"action=sms.get_numbers" in server.requests[0]


@pytest.mark.parametrize(
    ("behave", "kind"),
    [
        (say_nothing, NotSent),
        (answering(an_answer(b"<html/>")), NotSent),
        (answering(an_answer(failed("Invalid access_key"))), BadCredentials),
        (answering(an_answer(b"", "429 Too Many Requests")), Throttled),
    ],
)
def test_asking_for_numbers_leaves_no_message_in_doubt(behave, kind):
    with serving(behave) as server, pytest.raises(DialogTechError) as raised:
        a_client(server.url).get_numbers()
    assert type(raised.value) is kind


def a_body(result: str, words: str, length: int) -> bytes:
    whole = f"<response><result>{result}</result><result_description>{words}</result_description></response>"
    return whole.encode("utf-8", "surrogatepass")[:length]


RESULTS = st.sampled_from(["success", "failed", "Success ", "", "maybe"]) | st.text(max_size=8)
BODIES = st.binary(max_size=600) | st.builds(a_body, RESULTS, st.text(max_size=60), st.integers(0, 300))


@given(status=st.integers(100, 999), body=BODIES, retry_after=st.none() | st.text(max_size=20))
@settings(max_examples=400, deadline=None)
def test_any_reply_gives_a_result_or_a_named_error(status, body, retry_after):
    class Replying(Connection):
        def request(self, *_):
            return RawReply(status, retry_after or "", body)

    client = a_client("https://any.example/x")
    try:
        reply = ApiCall(client, Replying("https://any.example/x", 1)).send(**MESSAGE)
    except DialogTechError:
        return
    assert (status, reply.result) == (200, "success")


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_over_a_socket_raise_a_named_error(garbage):
    with serving(answering(garbage)) as server, pytest.raises(DialogTechError):
        a_client(server.url).send(**MESSAGE)
