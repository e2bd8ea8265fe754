"""What a reader of logs and tracebacks would see, and whether a secret is in it."""

from __future__ import annotations

import html
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote_plus

from rich.pretty import pretty_repr


class Witness(logging.Handler):
    """Keeps every log record at DEBUG, and each error's causes and tracebacks with the locals of all frames."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            self.see(record.exc_info[1])

    def see(self, error: BaseException) -> None:
        """Look at an error as a tool would that prints the locals of each frame, along the whole chain."""
        waiting: list[BaseException | None] = [error]
        looked_at: set[int] = set()
        while waiting:
            found = waiting.pop()
            if found is None or id(found) in looked_at:
                continue
            looked_at.add(id(found))
            shown = traceback.TracebackException(type(found), found, found.__traceback__, capture_locals=True)
            # The tests' own frames know the secrets.
            shown.stack[:] = [frame for frame in shown.stack if "/tests/" not in frame.filename]
            shown.__cause__ = shown.__context__ = None
            # rich and structlog cut a long string before they take its repr. Elastic APM takes none of a string.
            self.seen += [
                str.__str__(value) if isinstance(value, str) else pretty_repr(value, max_string=20)
                for frame, _ in traceback.walk_tb(found.__traceback__)
                if "/tests/" not in frame.f_code.co_filename
                for value in frame.f_locals.values()
            ]
            self.seen += ["".join(shown.format()), repr(found), repr(found.args), repr(vars(found))]
            waiting += [found.__cause__, found.__context__]


@contextmanager
def witnessing() -> Iterator[Witness]:
    witness, root = Witness(), logging.getLogger()
    level = root.level
    root.addHandler(witness)
    root.setLevel(logging.DEBUG)
    try:
        yield witness
    finally:
        root.setLevel(level)
        root.removeHandler(witness)


def views_of(text: str) -> Iterator[str]:
    """Yield the readings of a text that an attacker gets by undoing encodings and dropping punctuation."""
    for _ in range(4):
        yield text.lower()
        yield bare(text)
        text = re.sub(r"\\[ux]([0-9a-fA-F]{2,4})", lambda found: chr(int(found[1], 16)), text)
        text = html.unescape(unquote_plus(text))


def bare(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()
