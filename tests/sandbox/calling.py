"""Calls the sandbox over a plain socket, so that the tests do not depend on the code that they test."""

import json
import socket
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

TO = "5556667777"


@dataclass(frozen=True)
class Answer:
    """An answer; its head is empty when the connection was closed or reset without one."""

    head: str = ""
    body: bytes = b""
    is_reset: bool = False

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    @property
    def result(self) -> str:
        return self._between(b"result")

    @property
    def description(self) -> str:
        return self._between(b"result_description")

    def _between(self, name: bytes) -> str:
        return self.body.split(b"<%b>" % name)[1].split(b"</%b>" % name)[0].decode()


def parameters(sandbox, **changes) -> dict[str, str]:
    """Return valid parameters of a call, with changes; None leaves one out."""
    good = {
        "action": "sms.send_message",
        "access_key": sandbox.access_key,
        "secret_access_key": sandbox.secret_access_key,
        "to": TO,
        "from": sandbox.numbers[0],
        "message": "Hello",
    }
    if "from_" in changes:
        changes["from"] = changes.pop("from_")
    return {name: value for name, value in (good | changes).items() if value is not None}


def get(sandbox, path) -> str:
    """Return the body of a page of the sandbox."""
    with urlopen(f"{sandbox.base_url}/{path}", timeout=60) as answer:  # noqa: S310 - a process of the test
        return answer.read().decode()


def get_json(sandbox, path):
    return json.loads(get(sandbox, path))


def call(sandbox, *, method="GET", timeout=60, **changes) -> Answer:
    """Call the API once."""
    with begin(sandbox, method=method, timeout=timeout, **changes) as connection:
        return read(connection)


def begin(sandbox, *, method="GET", timeout=60, whole=True, **changes) -> socket.socket:
    """Send a call, or all but its end, and leave its connection open."""
    form = urlencode(parameters(sandbox, **changes))
    if method == "GET":
        request = f"GET /ibp_api.php?{form} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    else:
        about = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\nConnection: close"
        request = f"{method} /ibp_api.php HTTP/1.1\r\nHost: localhost\r\n{about}\r\n\r\n{form}"
    address = urlsplit(sandbox.base_url)
    connection = socket.create_connection((address.hostname, address.port), timeout)
    connection.sendall(request.encode()[: None if whole else -1])
    return connection


def read(connection) -> Answer:
    """Read the answer up to the connection's end."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        return Answer(is_reset=True)
    head, _, body = received.partition(b"\r\n\r\n")
    return Answer(head.decode(), body)
