"""Runs a sandbox for a test: a separate process on a free port, stopped at the end of the `with` block."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

__all__ = ["RunningSandbox", "running_sandbox"]

ACCESS_KEY = "sandbox-access-key"
# Its characters differ between percent-encodings, as those of a real key may.
SECRET_ACCESS_KEY = "s4ndb0x+s3cr/et=&%k ey"  # noqa: S105 - a public default
NUMBERS = ("5554332111", "5554332112")


@dataclass(frozen=True)
class RunningSandbox:
    """A running sandbox.

    :param base_url: the URL of its inbox page.
    """

    base_url: str
    access_key: str = ACCESS_KEY
    secret_access_key: str = field(default=SECRET_ACCESS_KEY, repr=False)
    numbers: tuple[str, ...] = NUMBERS

    @property
    def url(self) -> str:
        """The API's URL, for a connection's host."""
        return f"{self.base_url}/ibp_api.php"

    def connection(self, **extra: object) -> dict[str, object]:
        """Return an Airflow connection to it with all of its numbers, as `airflow connections import` takes it.

        :param extra: further fields of the connection's extra.
        """
        return {
            "conn_type": "dialogtech",
            "login": self.access_key,
            "password": self.secret_access_key,
            "host": self.url,
            "extra": {"from_numbers": ",".join(self.numbers), **extra},
        }

    def messages(self) -> list[dict[str, Any]]:
        """Return every call that arrived, in order, with its time and its outcome."""
        arrived: list[dict[str, Any]] = self._ask("GET", "messages")
        return arrived

    def accepted(self) -> list[dict[str, Any]]:
        """Return the accepted calls: the messages that a real DialogTech would have delivered."""
        return [message for message in self.messages() if message["outcome"] == "accepted"]

    def forget(self) -> None:
        """Forget all arrivals and reset the limits."""
        self._ask("DELETE", "messages")

    def fault(self, name: str, **settings: object) -> None:
        """Request a fault, as `POST /sandbox/faults` does."""
        self._ask("POST", "faults", {"fault": name, **settings})

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._ask("DELETE", "faults")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        url, headers = f"{self.base_url}/sandbox/{path}", {"Content-Type": "application/json"}
        request = Request(url, data, headers, method=method)  # noqa: S310 - our own process
        with urlopen(request, timeout=30) as response:  # noqa: S310
            return json.load(response)


@contextmanager
def running_sandbox(
    *,
    access_key: str = ACCESS_KEY,
    secret_access_key: str = SECRET_ACCESS_KEY,
    numbers: Sequence[str] = NUMBERS,
    latency: float = 0.0,
    arguments: Sequence[str] = (),
) -> Iterator[RunningSandbox]:
    """Run a sandbox on a free port of this machine.

    :param numbers: its SMS-enabled numbers.
    :param latency: delay of every answer, in seconds.
    :param arguments: further arguments of `python -m airflow_provider_dialogtech.sandbox`, such as accounts or limits.
    :raises RuntimeError: when it does not start; its own error is on stderr.
    """
    keys = [f"--access-key={access_key}", f"--secret-access-key={secret_access_key}", f"--numbers={','.join(numbers)}"]
    command = [sys.executable, "-m", __package__, "--port=0", f"--latency={latency}", *keys, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
    try:
        base_url = process.stdout.readline().rpartition(" ")[-1].strip()  # type: ignore[union-attr]
        if not base_url:
            raise RuntimeError("The sandbox did not start. Are the packages of the extra `sandbox` installed?")
        yield RunningSandbox(base_url, access_key, secret_access_key, tuple(numbers))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()  # type: ignore[union-attr]
