"""PostgreSQL's messages, as far as the test tools must understand them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102

_LENGTH = struct.Struct("!I")


@dataclass(frozen=True)
class Message:
    """One message with its kind, a single byte; a start-up message has none."""

    kind: bytes
    whole: bytes

    @property
    def body(self) -> bytes:
        return self.whole[len(self.kind) + 4 :]

    @property
    def start_up_code(self) -> int:
        return int(_LENGTH.unpack_from(self.body)[0])


class Messages:
    """Cuts a stream of bytes into messages.

    :param start_up: whether the first message is a client's start-up, which has no kind.
    """

    def __init__(self, *, start_up: bool) -> None:
        self._start_up = start_up
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        data, self._rest = self._rest + data, b""
        place = 0
        while (length := self._length(data, place)) and place + length <= len(data):
            message = Message(b"" if self._start_up else data[place : place + 1], data[place : place + length])
            # After a request for encryption, which is declined, the client starts up once more.
            if self._start_up and message.start_up_code not in {SSL_REQUEST, GSS_REQUEST}:
                self._start_up = False
            place += length
            yield message
        self._rest = data[place:]

    def _length(self, data: bytes, place: int) -> int:
        """Return how long the message at this place is; 0 when that has not come yet."""
        kind = 0 if self._start_up else 1
        if len(data) < place + kind + _LENGTH.size:
            return 0
        return kind + int(_LENGTH.unpack_from(data, place + kind)[0])


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + _LENGTH.pack(len(body) + 4) + body
