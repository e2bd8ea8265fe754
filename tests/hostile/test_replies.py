"""Whatever a server sends, however slowly: it leads quickly to a reply or a named error, which shows no secret."""

import base64
import contextlib
import gzip
import html
import os
import signal
import socket
import ssl
import threading
import time
import tracemalloc
from functools import cache
from itertools import cycle
from pathlib import Path
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
import trustme

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.api.reply import DEEPEST, MOST_ELEMENTS, ApiReply
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    InvalidConnection,
    Refused,
    Throttled,
    Unreachable,
)
from tests.api.server import answering, dripping, failed, read_request, reset, say_nothing, serving
from tests.api.server import http as an_answer
from tests.hostile.witness import bare, views_of, witnessing
from tests.vendors_page import SUCCESS

ACCESS_KEY = "Acc3ss-Canary/0'key~\"<1&2>"
SECRET = "S3cr+t/=&% Canary?'\\~ key"
MESSAGE = {"to": "2125550187", "from_": "5554332111", "message": "Payroll run 7 failed: canary <table> & 'more' 100 %"}
CANARIES = (ACCESS_KEY, SECRET, MESSAGE["to"], MESSAGE["message"])
DEADLINE = 1.0
# However busy the machine is: the process is late then, or who answers at once is.
LEEWAY = 40.0
PATIENCE = 30.0
MEMORY = 64 << 20
FLOOD = b"x" * (1 << 16)


def a_client(url: str, timeout: float = DEADLINE, **options) -> DialogTechClient:
    return DialogTechClient(ACCESS_KEY, SECRET, url, timeout=timeout, **options)


def outcome_of(url: str, timeout: float = DEADLINE, **options) -> ApiReply | DialogTechError:
    """Send a message, and check that the outcome is quick, takes little memory and shows no secret."""
    with witnessing() as witness:
        tracemalloc.start()
        begun = time.monotonic()
        try:
            outcome = a_client(url, timeout, **options).send(**MESSAGE)
        except DialogTechError as error:
            outcome = error
            witness.see(error)
        took = time.monotonic() - begun
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert took < timeout + LEEWAY
    assert most < MEMORY
    assert_silent("\n".join(witness.seen) + repr(outcome) + getattr(outcome, "xml", ""))
    return outcome


def assert_silent(shown: str) -> None:
    for view in views_of(shown):
        for canary in CANARIES:
            assert canary.lower() not in view
            assert bare(canary) not in view


def outcome_from(behave, tls=None, timeout=DEADLINE) -> ApiReply | DialogTechError:
    with serving(behave, tls) as server:
        return outcome_of(server.url, timeout)


def outcome_of_answer(answer: bytes) -> ApiReply | DialogTechError:
    return outcome_from(answering(answer), timeout=PATIENCE)


def flooding(head: bytes, flood: bytes = FLOOD):
    """Send a beginning, and then as much as the other side takes."""

    def behave(connection, server):
        read_request(connection, server)
        connection.sendall(head)
        while not server.over.is_set():
            connection.sendall(flood)

    return behave


def chunked(*chunks: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def with_length(length: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + SUCCESS


def xml(inside: str, dtd: str = "") -> bytes:
    whole = f"<response><result>success</result><result_description>[1] Message Sent</result_description>{inside}"
    return an_answer(f"{dtd}{whole}</response>".encode())


@cache
def first_bytes(content: bytes) -> bytes:
    """Compress a bomb: 64 MB of it, in 64 KB."""
    return gzip.compress(content * (64 << 10))


DEFAULTS = (
    f'<!DOCTYPE response [<!ATTLIST a {" ".join(f"b{n} CDATA #IMPLIED" for n in range(2))} c CDATA "{"x" * 9000}">]>'
)
WITHOUT_BOUND = {
    "a redirect with a body without end": (flooding(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), InDoubt),
    "a redirect with 500 MB": (
        flooding(b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 500000000\r\n\r\n"),
        InDoubt,
    ),
    "a redirect with a gzip bomb": (
        answering(an_answer(first_bytes(b"x" * 1024), "302 Found", "Location: /", "Content-Encoding: gzip")),
        InDoubt,
    ),
    "a gzip bomb": (answering(an_answer(first_bytes(b"x" * 1024), "200 OK", "Content-Encoding: gzip")), InDoubt),
    "a body without end": (flooding(b"HTTP/1.1 200 OK\r\n\r\n"), InDoubt),
    "a failure without end": (flooding(b"HTTP/1.1 500 Oops\r\n\r\n"), InDoubt),
    "a refusal without end": (flooding(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Refused),
    "a refusal of the keys without end": (flooding(b"HTTP/1.1 403 Forbidden\r\n\r\n"), BadCredentials),
    "a refusal for the rate that drips": (dripping(b"HTTP/1.1 429 Slow\r\n\r\n", b"x"), Throttled),
    "a status line without end": (flooding(b"HTTP/1.1 200 "), InDoubt),
    "a header without end": (flooding(b"HTTP/1.1 200 OK\r\nX: "), InDoubt),
    "headers without end": (flooding(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10), InDoubt),
    "continue without end": (flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), InDoubt),
    "chunks without end": (flooding(chunked(), b"1\r\n \r\n" * 100), InDoubt),
    "a chunk extension without end": (flooding(chunked(b"5;")), InDoubt),
    "a trailer without end": (flooding(chunked(b"0\r\nX: ")), InDoubt),
    "a chunk of size -1": (flooding(chunked(b"-1\r\n")), InDoubt),
    "a chunk of size -1 with a success": (answering(chunked(b"-1\r\n", SUCCESS)), InDoubt),
    "a chunk of all the memory": (flooding(chunked(b"7fffffffffffffff\r\n")), InDoubt),
    "a chunk of more": (flooding(chunked(b"f" * 5000 + b"\r\n")), InDoubt),
    "a length of all the memory": (answering(with_length("9223372036854775807")), InDoubt),
    "a length of 30 digits": (answering(with_length("9" * 30)), InDoubt),
    "default attributes": (answering(xml("<a/>" * 4000, DEFAULTS)), InDoubt),
    "a notation": (answering(xml("", '<!DOCTYPE response [<!ENTITY % a "b">]>')), InDoubt),
    "too many elements": (answering(xml("<a/>" * (MOST_ELEMENTS - 2))), InDoubt),
    "too deep": (answering(xml("<a>" * DEEPEST + "</a>" * DEEPEST)), InDoubt),
    "as deep as it gets": (answering(xml("<a>" * 9000 + "</a>" * 9000)), InDoubt),
    "a document type as deep as it gets": (
        answering(xml("", f"<!DOCTYPE response [<!ELEMENT a {'(' * 20000}b{')' * 20000}>]>")),
        ApiReply,
    ),
    "dripping headers": (dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drip: drop\r\n"), InDoubt),
    "a dripping body": (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b" "), InDoubt),
    "dripping chunks": (dripping(chunked(), b"1\r\n \r\n"), InDoubt),
    "no reply": (say_nothing, InDoubt),
}


@pytest.mark.parametrize(("behave", "kind"), WITHOUT_BOUND.values(), ids=WITHOUT_BOUND)
def test_without_bound_is(behave, kind):
    assert type(outcome_from(behave)) is kind


@pytest.mark.parametrize("status", ["302 Found", "500 Oops", "408 Request Timeout"])
def test_a_body_without_meaning_is_not_read(status):
    begun = time.monotonic()
    behave = dripping(f"HTTP/1.1 {status}\r\nLocation: /\r\n\r\n".encode(), b"x")
    with serving(behave) as server, pytest.raises(InDoubt, match=status[:3]):
        a_client(server.url, timeout=60).send(**MESSAGE)
    assert time.monotonic() - begun < 50


def test_a_document_type_as_the_vendors_is_read_and_one_just_within_the_bounds():
    assert outcome_of_answer(an_answer(SUCCESS)).description == "[1] Message Sent"
    assert outcome_of_answer(xml("<a/>" * (MOST_ELEMENTS - 3))).result == "success"
    assert outcome_of_answer(xml("<a>" * (DEEPEST - 1) + "</a>" * (DEEPEST - 1))).result == "success"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls(authority, monkeypatch, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("name", ["dripping headers", "a dripping body", "a body without end", "a chunk of size -1"])
def test_the_bounds_hold_over_tls(name, tls):
    behave, kind = WITHOUT_BOUND[name]
    assert type(outcome_from(behave, tls)) is kind


@pytest.mark.parametrize(
    "words",
    [
        "[0] Message Sent",
        "[0000000]",
        "[ 0 ]",
        "[ 00 ] Message Sent",
        "0 Message Sent",
        "Message [0] Sent",
        "[٠]",
        "No message sent",
        "Messages sent: 0",
        " 0",
        "[&#48;]",
        "[\u200b0]",
    ],
)
def test_a_success_that_counts_nothing_is_in_doubt(words):
    answer = an_answer(SUCCESS.replace(b"[1] Message Sent", words.encode()))
    assert type(outcome_of_answer(answer)) is InDoubt


@pytest.mark.parametrize(
    "words", ["[1] Message Sent", "[10] Message Sent", "Message Sent", "1 Message Sent in 0.2 s", ""]
)
def test_any_other_success_is_one(words):
    answer = an_answer(SUCCESS.replace(b"[1] Message Sent", words.encode()))
    assert outcome_of_answer(answer).result == "success"


YEAR = "9" * 20


@pytest.mark.parametrize(
    "header",
    [
        f"Wed, 21 Oct {YEAR} 07:28:00 GMT",
        f"Wed, 21 Oct 2015 {YEAR}:28:00 GMT",
        f"Wed, 21 Oct 2015 07:28:00 +{YEAR}",
        "9" * 6000,
        "-1",
        "1e400",
        "nan",
        "\x00",
        "ÿþ",
        "Mon, 01 Jan 0001 00:00:00 +9999",
        "," * 5000,
        "٣",
    ],
)
def test_nonsense_about_when_to_come_back_is_no_advice(header):
    answer = b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nRetry-After: " + header.encode() + b"\r\n\r\n"
    error = outcome_of_answer(answer)
    assert type(error) is Throttled
    assert error.retry_after is None


def entities(text: str, form: str) -> str:
    return "".join(form.format(ord(letter)) for letter in text)


def base64_within(text: str, before: str) -> str:
    return base64.b64encode(f"{before}{text}!".encode()).decode()


ECHOES = {
    "plain": str,
    "in capitals": str.upper,
    "quote": quote,
    "quote all": lambda text: quote(text, safe=""),
    "quote_plus": quote_plus,
    "%7E": lambda text: quote(text, safe="").replace("~", "%7E"),
    "in small letters": lambda text: quote(text, safe="").lower(),
    "every letter": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "double percent": lambda text: quote(quote(text, safe=""), safe=""),
    "triple percent": lambda text: quote(quote(quote(text, safe=""), safe=""), safe=""),
    "html": html.escape,
    "&#039;": lambda text: html.escape(text).replace("&#x27;", "&#039;"),
    "&apos;": lambda text: html.escape(text).replace("&#x27;", "&apos;"),
    "html twice": lambda text: html.escape(html.escape(text)),
    "html of percent": lambda text: html.escape(quote(text)),
    "percent of html": lambda text: quote(html.escape(text)),
    "decimal references": lambda text: entities(text, "&#{};"),
    "hex references": lambda text: entities(text, "&#x{:04x};"),
    "references of references": lambda text: entities(text, "&amp;#{};"),
    "JSON": lambda text: entities(text, "\\u{:04x}"),
    "escaped for JSON": lambda text: text.replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/"),
    "C": lambda text: entities(text, "\\x{:02x}"),
    "base64": lambda text: base64_within(text, ""),
    "base64 after one": lambda text: base64_within(text, "k"),
    "base64 after two": lambda text: base64_within(text, "k="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 of pairs": lambda text: base64_within(f"{text}:{text}", "a="),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "hex in pairs": lambda text: text.encode().hex(":"),
    "zero-width spaces between": "\u200b".join,
    "soft hyphens between": "\xad".join,
    "turned round": lambda text: f"\u202e{text}\u202c",
    "no-break spaces": lambda text: text.replace(" ", "\xa0"),
    "more spaces": lambda text: text.replace(" ", "  \r\n\t "),
    "C1 controls": lambda text: f"\x85{text}\x9b",
}


# Each form meets a success and one of the failures in turn.
IN_ECHOES = [
    pytest.param(echo, status, id=f"{name}-{status}")
    for (name, echo), failure in zip(ECHOES.items(), cycle(["400 Bad Request", "401 Unauthorized", "429 Slow"]))
    for status in ("200 OK", failure)
]


@pytest.mark.parametrize(("echo", "status"), IN_ECHOES)
def test_an_echo_is_not_shown(echo, status):
    for canary in CANARIES:
        answer = an_answer(failed(escape(f"Bad: {echo(canary)} given")), status)
        error = outcome_of_answer(answer)
        assert isinstance(error, Refused | Throttled)
        shown = f"{error} {getattr(error, 'description', '')}"
        assert echo(canary).lower() not in shown.lower()
        assert "Bad: " in shown
        assert not [
            sign for sign in shown if sign < " " or "\x7f" <= sign <= "\xa0" or sign in "\xad\u200b\u202e\u202c"
        ]


@pytest.mark.parametrize("echo", ["plain", "html", "quote", "decimal references", "zero-width spaces between"])
def test_an_echo_in_a_success_is_not_shown(echo):
    for canary in CANARIES:
        words = escape(f"[1] Message Sent: {ECHOES[echo](canary)}")
        reply = outcome_of_answer(an_answer(SUCCESS.replace(b"[1] Message Sent", words.encode())))
        assert ECHOES[echo](canary) not in reply.description + reply.xml


@pytest.mark.parametrize("echo", ["double percent", "decimal references", "JSON", "zero-width spaces between"])
def test_anybody_elses_number_is_masked_in_whatever_form(echo):
    error = outcome_of_answer(an_answer(failed(escape(f"Ask {ECHOES[echo]('+1 (646) 555-0123')}"))))
    assert error.description == "Ask …0123"


def test_an_undocumented_element_is_not_kept():
    reply = outcome_of_answer(xml(f"<debug>{escape(SECRET)} {MESSAGE['to']}</debug><number>5554332111</number>"))
    assert "debug" not in reply.xml
    assert reply.numbers == ()


def test_a_part_of_the_message_that_the_reason_quotes_is_not_shown():
    error = outcome_of_answer(an_answer(failed(escape(f"Blocked words in '{MESSAGE['message'][:30]}...'"))))
    assert "Payroll" not in str(error)
    assert "Blocked words in" in str(error)


def test_the_body_does_not_decide_the_meaning_of_a_refusal():
    answer = an_answer(failed("Forbidden words: Please slow down, rate limit ahead"))
    with serving(answering(answer)) as server, pytest.raises(Refused) as raised:
        a_client(server.url).send(**{**MESSAGE, "message": "Please slow down, rate limit ahead"})
    assert type(raised.value) is Refused


@pytest.mark.parametrize(
    "separator", ["  ", "   ", "\n \t", "\xa0", "\u2009", "\u2013", "\u2212", "\xad", "\u200b", ", ", "_"]
)
def test_a_number_is_masked_whatever_sets_its_digits_apart(separator):
    written = separator.join(("212", "555", "0187"))
    error = outcome_of_answer(an_answer(failed(f"No route to {written} now")))
    assert error.description == "No route to …0187 now"


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize(
    "encoding", ["unicode_escape", "raw_unicode_escape", "utf-7", "utf-16-le", "idna", "cp037", "punycode"]
)
def test_whatever_encoding_a_reply_declares_what_is_kept_can_be_written(encoding):
    body = f'<?xml version="1.0" encoding="{encoding}"?><response><result>failed</result><result_description>'
    tail = "</result_description></response>"
    outcome = outcome_of_answer(an_answer((body + r"\ud800 +2AA-" + tail).encode()))
    str(outcome).encode()
    assert isinstance(outcome, Refused | InDoubt)


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example:80\\[::1]/ibp_api.php",
        "http://evil.example\\@127.0.0.1/",
        "http://127.0.0.1\\@evil.example/",
        "http://127.0.0.1\\.evil.example/",
        "http://[::1].evil.example/",
        "http://[::1]evil.example/",
        "http://[evil.example]/",
        "http://[127.0.0.1]/",
        "http://[v1.evil]/",
        "http://127.0.0.1@evil.example/",
        "http://127.0.0.1:80@evil.example/",
        "http://127.0.0.1#@evil.example/",
        "http://127.0.0.1?@evil.example/",
        "http://127.0.0.1%2eevil.example/",
        "http://127.0.0.1\t.evil.example/",
        "http://127.0.0.1\r\nHost: evil.example/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0.0.0.0/",
        "http:127.0.0.1",
        "http:///127.0.0.1/",
        "http://localhost.evil.example/",
        "HTTP://evil.example/",
        f"http://{MESSAGE['to']}.example/",
        "http://①②⑦.⓪.⓪.①.evil.example/",
        f"https://user:{quote(SECRET)}@secure.dialogtech.com/",
        f"https://secure.dialogtech.com/{SECRET}",
        "https://" + "a" * 300 + ".example/",
        "https://a..b/",
        "https://host:0/",
        "https://host:-1/",
        "https://host:٣/",
        "https://" + "[" * 50000,
    ],
)
def test_a_url_of_another_host_is_refused_and_not_shown(url):
    with witnessing() as witness:
        with pytest.raises(InvalidConnection) as raised:
            a_client(url)
        witness.see(raised.value)
    assert_silent("\n".join(witness.seen))


def test_http_does_not_leave_this_machine_even_if_its_name_does(monkeypatch):
    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: elsewhere)
    error = outcome_of("http://localhost/ibp_api.php")
    assert type(error) is Unreachable
    assert "its name was not resolved" in str(error)  # it was not even tried


@contextlib.contextmanager
def dead_end():
    """Make a port refuse connections: its queue is full, and the system drops further ones."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("0.0.0.0", 0))  # noqa: S104  # any address of 127/8 is one more dead address
        listening.listen(0)
        for _ in range(8):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(("127.0.0.1", listening.getsockname()[1]))
        time.sleep(0.1)
        yield listening.getsockname()[1]


def resolve_to(monkeypatch, *addresses: tuple[str, int]) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_several_dead_addresses_take_one_time_out_together(monkeypatch):
    with dead_end() as port:
        resolve_to(monkeypatch, *((f"127.0.0.{n}", port) for n in range(1, 6)))
        error = outcome_of("https://any.example/")
    assert type(error) is Unreachable
    assert "the connection took too long" in str(error)


def test_behind_a_dead_address_a_living_one_is_reached(monkeypatch):
    with dead_end() as port, serving(answering(an_answer(SUCCESS))) as server:
        url = server.url
        resolve_to(monkeypatch, ("127.0.0.1", port), ("127.0.0.1", server.port))
        assert outcome_of(url).result == "success"


def tunnelling(answer: bytes, drop: bytes):
    """Answer CONNECT, and then the first bytes that come through the tunnel, slowly."""

    def behave(connection, server):
        read_request(connection, server)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.recv(65536)
        connection.sendall(answer)
        while not server.over.is_set():
            connection.sendall(drop)
            time.sleep(0.1)

    return behave


# A TLS record of 16 KB that never comes whole.
SLOW_TLS = tunnelling(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03", b"\x02")
PROXIES = {
    "refuses": answering(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
    "resets": lambda connection, server: (read_request(connection, server), reset(connection)),
    "says nothing": say_nothing,
    "drips": dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drip: drop\r\n"),
    "never ends": flooding(b"HTTP/1.1 200 OK\r\nX: "),
    "talks rubbish": answering(b"220 mail.example ESMTP\r\n"),
    "tunnels into nothing": dripping(b"HTTP/1.1 200 OK\r\n\r\n", b""),
    "tunnels into rubbish": flooding(b"HTTP/1.1 200 OK\r\n\r\n"),
    "tunnels into dripping TLS": SLOW_TLS,
}


@pytest.mark.parametrize("behave", PROXIES.values(), ids=PROXIES)
def test_a_proxy_is_unreachable_that(behave, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(behave) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{quote(ACCESS_KEY, safe='')}:word@127.0.0.1:{proxy.port}")
        assert type(outcome_of("https://secure.example/ibp_api.php")) is Unreachable
    assert all(b"action" not in request for request in proxy.requests)


def test_a_dripping_proxy_behind_tls_is_bounded(monkeypatch, tls):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(SLOW_TLS, tls) as proxy:
        monkeypatch.setenv("https_proxy", f"https://127.0.0.1:{proxy.port}")
        error = outcome_of("https://secure.example/ibp_api.php")
    assert type(error) is Unreachable
    assert "the proxy took too long" in str(error)


def speaking_socks(*answers: bytes, each: float = 0.0):
    """Answer a SOCKS client's handshake, a byte at a time, and then stop."""

    def behave(connection, server):
        for answer in answers:
            connection.recv(65536)
            for byte in answer:
                connection.sendall(bytes([byte]))
                server.over.wait(each)
        server.over.wait(30)

    return behave


# The address that a SOCKS proxy returns may be 255 bytes long.
SOCKS_PROXIES = {
    "says nothing": say_nothing,
    "talks rubbish": answering(b"HTTP/1.1 200 OK\r\n\r\n"),
    "refuses": speaking_socks(b"\x05\x00", b"\x05\x02\x00\x01" + b"\x00" * 6),
    "stops in the middle": speaking_socks(b"\x05\x00", b"\x05\x00\x00\x03\xff"),
    "drips": speaking_socks(b"\x05\x00", b"\x05\x00\x00\x03\xff" + b"a" * 257, each=0.2),
    "tunnels into nothing": speaking_socks(b"\x05\x00", b"\x05\x00\x00\x01" + b"\x00" * 6),
}


@pytest.mark.parametrize("behave", SOCKS_PROXIES.values(), ids=SOCKS_PROXIES)
def test_a_socks_proxy_is_unreachable_that(behave, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    greetings = []

    def behave_once_greeted(connection, server):
        # Others may look here for a server that had the same port.
        if connection.recv(1, socket.MSG_PEEK) == b"\x05":
            greetings.append(connection)
        behave(connection, server)

    with serving(behave_once_greeted) as proxy:
        user = f"{quote(ACCESS_KEY, safe='')}:{quote(SECRET, safe='')}"
        monkeypatch.setenv("https_proxy", f"socks5h://{user}@127.0.0.1:{proxy.port}")
        assert type(outcome_of("https://secure.example/ibp_api.php")) is Unreachable
    assert len(greetings) == 1


class TimeIsUp(BaseException):
    pass


def interrupt_main_thread() -> None:
    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)


@contextlib.contextmanager
def interruptible():
    def interrupt(*_):
        raise TimeIsUp

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def interrupting_handshake(connection, server):
    connection.recv(1)
    interrupt_main_thread()
    server.over.wait(30)


def interrupting_after(answer: bytes):
    def behave(connection, server):
        read_request(connection, server)
        connection.sendall(answer)
        server.over.wait(0.3)  # as a rule the client has read it by then
        interrupt_main_thread()
        server.over.wait(30)

    return behave


HANGING = {
    "while it connects": (interrupting_handshake, "https"),
    "while it waits for the reply": (interrupting_after(b""), "http"),
    "while it reads the body": (interrupting_after(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n "), "http"),
}


@pytest.mark.parametrize("http_method", ["GET", "POST"])
@pytest.mark.parametrize(("behave", "scheme"), HANGING.values(), ids=HANGING)
def test_an_interrupt_is_raised_as_it_is_and_shows_nothing(behave, scheme, http_method):
    with serving(behave) as server, witnessing() as witness:
        client = a_client(server.url.replace("http:", f"{scheme}:"), timeout=60, http_method=http_method)
        with interruptible(), pytest.raises(TimeIsUp) as raised:
            client.send(**MESSAGE)
        witness.see(raised.value)
    assert_silent("\n".join(witness.seen))


@pytest.mark.parametrize("http_method", ["GET", "POST"])
def test_an_interrupt_while_it_writes_shows_nothing(http_method, monkeypatch):
    def interrupted(*_):
        try:
            raise OSError  # noqa: TRY301
        except OSError:
            raise TimeIsUp  # noqa: B904  # as a signal may, while the library handles its own error

    monkeypatch.setattr(socket.socket, "sendall", interrupted)
    with serving(say_nothing) as server, witnessing() as witness:
        with pytest.raises(TimeIsUp) as raised:
            a_client(server.url, http_method=http_method).send(**MESSAGE)
        witness.see(raised.value)
    assert raised.value.__context__ is None  # its frames are the library's
    assert_silent("\n".join(witness.seen))


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0}, {"http_method": "PUT"}, {"url": "ftp://x"}, {"throttled_words": [""]}, {"timeout": "9"}]
)
def test_a_client_whose_constructor_failed_shows_no_key(wrong):
    with witnessing() as witness:
        with pytest.raises((InvalidConnection, TypeError)) as raised:
            a_client(**{"url": "https://any.example/", **wrong})
        witness.see(raised.value)
    assert_silent("\n".join(witness.seen))


def test_the_witness_would_see_a_secret():
    def careless(secret):
        raise LookupError

    with witnessing() as witness, pytest.raises(LookupError) as raised:
        careless(SECRET)
    witness.see(raised.value)
    with pytest.raises(AssertionError):
        assert_silent(repr(quote(SECRET)))
    assert not any("S3cr" in seen for seen in witness.seen)  # a test's own frames are not looked at


def test_threads_and_connections_are_all_given_back():
    before = threading.active_count()
    with serving(say_nothing) as server:
        client = a_client(server.url, timeout=0.1)
        for _ in range(3):
            with pytest.raises(InDoubt):
                client.send(**MESSAGE)
        client.connect().close()
        assert threading.active_count() <= before + 5  # the server's own
        assert not connected_to(server.port)


def connected_to(port):
    """Return this process's connections to a port."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(path.name))) as each:
            if each.family == socket.AF_INET and each.getpeername()[1] == port:
                found.append(path)
    return found
