"""The stand-in's own process: it runs each transaction on the server connection that has been idle for longest."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from tests.proxies.messages import CANCEL_REQUEST, GSS_REQUEST, SSL_REQUEST, Message, Messages, message
from tests.proxies.relay import Target

_CHUNK = 65536
_MESSAGES_WAITING = 4096
# What PgBouncer knows; any other is refused, `options` too.
_START_UP_PARAMETERS = {"user", "database", "client_encoding", "application_name", "DateStyle", "TimeZone"}
_START_UP_PARAMETERS |= {"standard_conforming_strings"}
_ENDS_OF_REQUESTS = {b"Q", b"S", b"F"}
_AUTHENTICATED = message(b"R", bytes(4))
_IDLE = message(b"Z", b"I")


@dataclass(frozen=True)
class PoolerCounts:
    """What the pooler did since the last reset.

    :param transactions: how many it ran.
    :param handovers: those that got another server connection than their client's last one.
    :param open: clients that are connected now.
    :param most_open: the most that were connected at a time.
    """

    transactions: int
    handovers: int
    open: int
    most_open: int


class Pooler:
    """PgBouncer in transaction mode, as far as clients can tell.

    :param target: where the PostgreSQL listens.
    :param size: server connections for each user and database.
    """

    def __init__(self, target: Target, size: int) -> None:
        self._target = target
        self._size = size
        self._pools: defaultdict[bytes, _Pool] = defaultdict(lambda: _Pool(self._target, self._size))
        self.going_on = asyncio.Event()
        self.going_on.set()
        self._transactions = self._handovers = self._open = self._most_open = 0

    async def start(self) -> int:
        """Listen; tell the port."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        return int(self._listener.sockets[0].getsockname()[1])

    def pause(self) -> None:
        self.going_on.clear()

    def resume(self) -> None:
        self.going_on.set()

    def counts(self) -> PoolerCounts:
        return PoolerCounts(self._transactions, self._handovers, self._open, self._most_open)

    def reset_counts(self) -> None:
        self._transactions = self._handovers = 0
        self._most_open = self._open

    def count(self, *, handed_over: bool) -> None:
        self._transactions += 1
        self._handovers += handed_over

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(self, reader, writer)
        self._open += 1
        self._most_open = max(self._most_open, self._open)
        try:
            await client.serve(self._pools)
        except OSError:
            pass  # either side is gone, which closing the client tells
        finally:
            self._open -= 1
            writer.transport.abort() if client.cut_off else writer.close()


class _Server:
    """One connection to the PostgreSQL."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.messages = Messages(start_up=False)
        self.greeting = b""

    @classmethod
    async def connect(cls, target: Target, start_up: bytes) -> _Server:
        opening = asyncio.open_unix_connection(target) if isinstance(target, str) else asyncio.open_connection(*target)
        server = cls(*await opening)
        server.writer.write(start_up)
        while True:
            for heard in await server.read():
                if heard.kind in {b"S", b"K"}:
                    server.greeting += heard.whole
                if heard.kind == b"Z":
                    return server
                if heard.kind == b"E":
                    raise ConnectionError(heard.body)

    async def read(self) -> list[Message]:
        data = await self.reader.read(_CHUNK)
        if not data:
            raise ConnectionError("The server closed the connection.")
        return list(self.messages.feed(data))


class _Pool:
    """The server connections of one user and database; first in, first out, so that each transaction gets another."""

    def __init__(self, target: Target, size: int) -> None:
        self._target = target
        self.greeting = b""
        self._free: asyncio.Queue[_Server | None] = asyncio.Queue()
        for _ in range(size):
            self._free.put_nowait(None)

    async def take(self, start_up: bytes) -> _Server:
        server = await self._free.get()
        if server is not None and not server.reader.at_eof():
            return server
        try:
            server = await _Server.connect(self._target, start_up)
        except BaseException:
            self._free.put_nowait(None)
            raise
        self.greeting = server.greeting
        return server

    def give_back(self, server: _Server, *, usable: bool) -> None:
        if not usable:
            server.writer.close()
        self._free.put_nowait(server if usable else None)


@dataclass
class _Client:
    """One client's connection."""

    pooler: Pooler
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    cut_off: bool = False
    _unanswered: int = 0
    _unfinished: bool = False
    _last_server: _Server | None = None
    _said: asyncio.Queue[Message | None] = field(default_factory=lambda: asyncio.Queue(_MESSAGES_WAITING))

    async def serve(self, pools: defaultdict[bytes, _Pool]) -> None:
        listening = asyncio.create_task(self._listen())
        try:
            start_up = await self._start_up()
            if start_up is None:
                return
            pool = pools[start_up]
            if not pool.greeting:
                await self.pooler.going_on.wait()
                pool.give_back(await pool.take(start_up), usable=True)
            self.writer.write(_AUTHENTICATED + pool.greeting + _IDLE)
            while (first := await self._said.get()) is not None and first.kind != b"X":
                await self.pooler.going_on.wait()
                await self._run(await pool.take(start_up), pool, first)
        finally:
            listening.cancel()

    async def _listen(self) -> None:
        messages = Messages(start_up=True)
        try:
            while data := await self.reader.read(_CHUNK):
                for heard in messages.feed(data):
                    await self._said.put(heard)
        except OSError:
            pass
        await self._said.put(None)

    async def _start_up(self) -> bytes | None:
        """Return the start-up to pass on; None when there is none to serve."""
        while (heard := await self._said.get()) is not None:
            if heard.start_up_code in {SSL_REQUEST, GSS_REQUEST}:
                self.writer.write(b"N")
                continue
            if heard.start_up_code == CANCEL_REQUEST:
                return None
            names = [name.decode() for name in heard.body[4:].split(b"\0")[:-2:2]]
            unknown = [name for name in names if name not in _START_UP_PARAMETERS]
            if not unknown:
                return heard.whole
            said = f"SFATAL\0C08P01\0Munsupported startup parameter: {unknown[0]}\0\0"
            self.writer.write(message(b"E", said.encode()))
            return None
        return None

    async def _run(self, server: _Server, pool: _Pool, first: Message) -> None:
        """Run one transaction: until the server is idle and owes no answer."""
        self.pooler.count(handed_over=self._last_server is not None and self._last_server is not server)
        self._last_server = server
        usable = False
        self._unanswered, self._unfinished = 0, False
        self._pass_on(server, first)
        passing = asyncio.create_task(self._pass_all_on(server))
        try:
            while not usable:
                heard = await server.read()
                self.writer.write(b"".join(one.whole for one in heard))
                for one in heard:
                    if one.kind == b"Z":
                        self._unanswered -= 1
                        usable = one.body == b"I" and self._unanswered == 0 and not self._unfinished
        finally:
            self.cut_off = not usable
            passing.cancel()
            pool.give_back(server, usable=usable)

    async def _pass_all_on(self, server: _Server) -> None:
        while (said := await self._said.get()) is not None and said.kind != b"X":
            self._pass_on(server, said)
        # A client that leaves in mid-transaction takes its server connection along.
        server.writer.transport.abort()
        server.reader.feed_eof()

    def _pass_on(self, server: _Server, said: Message) -> None:
        ends_a_request = said.kind in _ENDS_OF_REQUESTS
        self._unanswered += ends_a_request
        self._unfinished = not ends_a_request
        server.writer.write(said.whole)
