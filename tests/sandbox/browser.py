"""A headless Chromium, driven by its DevTools protocol over a pipe, without a further library."""

import base64
import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tests.programs import path_of

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
# Chromium reads commands from its file 3 and writes answers to its file 4.
_START = "import os, sys; _, r, w, *it = sys.argv; os.dup2(int(r), 3); os.dup2(int(w), 4); os.execv(it[0], it)"


class Navigated(AssertionError):
    """The page navigated, by a redirect for instance, before the command ended."""


class Page:
    """A tab of the browser."""

    def __init__(self, commands, answers) -> None:
        self._commands, self._answers = commands, _pieces(answers)
        self._ids = count(1)
        self._session = {}
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        self.command("Page.enable")

    def command(self, method, **params):
        """Run a command of the protocol and return its result."""
        id_ = next(self._ids)
        command = {"id": id_, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        answer = next(answer for answer in map(json.loads, self._answers) if answer.get("id") == id_)
        error = answer.get("error")
        if error and any(words in error["message"] for words in ("navigated", "context was destroyed")):
            raise Navigated(error)
        assert not error, error
        return answer["result"]

    def open(self, url, width=1180, height=760, *, dark=False):
        """Open a page on a screen of this size."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[theme])
        self.command("Page.navigate", url="about:blank")
        self.command("Page.navigate", url=url)

    def evaluate(self, script):
        """Return the value of a piece of JavaScript."""
        result = self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script, seconds=90):
        """Wait until a piece of JavaScript is true."""
        until = time.monotonic() + seconds
        while not self._is_true(script):
            assert time.monotonic() < until, f"{script} did not come true; the page reads:\n{self.text()}"
            time.sleep(0.05)

    def _is_true(self, script):
        with suppress(Navigated):
            return self.evaluate(f"Boolean({script})")

    def text(self, selector="body"):
        """Return the visible text of an element."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText")

    def screenshot(self, path):
        Path(path).write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def running_chromium(profile):
    """Run a Chromium with a profile of its own, and yield a page."""
    to_browser, commands = _pipe()
    answers, from_browser = _pipe()
    browser = [path_of("chromium"), *FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, str(to_browser), str(from_browser), *browser],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(commands, answers)
    finally:
        os.close(commands)  # Chromium ends with its pipe
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answers)


def _pieces(file):
    """Read messages that end with a zero byte."""
    rest = b""
    while read := os.read(file, 1 << 20):
        *whole, rest = (rest + read).split(b"\0")
        yield from whole


def _pipe():
    """Make a pipe whose descriptors are not 3 and 4, which Chromium uses."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high
