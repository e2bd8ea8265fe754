"""The proxy's own process: it carries bytes between clients and a PostgreSQL, in order, each after its delay."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.proxies.cutting import Conversation, Cut, Cutter
from tests.proxies.messages import CANCEL_REQUEST, GSS_REQUEST, SSL_REQUEST, Message, Messages

Target = str | tuple[str, int]
Lane = asyncio.Queue[tuple[float, bytes]]

_CHUNK = 65536
# So many chunks wait for their time, or while the proxy stalls; then the sender has to wait.
_CHUNKS_ON_THE_WAY = 4096


@dataclass(frozen=True)
class Counts:
    """What went through the proxy since the last reset.

    :param round_trips: how often a client spoke after it had been answered; starting a connection does not count.
    :param by_connection: the same for each connection that stood meanwhile, in the order in which they came.
    :param commits: transactions that wrote and were committed.
    :param cuts: commits whose answer was lost on purpose, since `cut_after_commit`.
    :param open: connections that stand now.
    :param most_open: the most that stood at a time.
    :param accepted: connections that were opened.
    """

    round_trips: int
    by_connection: tuple[int, ...]
    commits: int
    cuts: int
    open: int
    most_open: int
    accepted: int


class Relay:
    """Carries the bytes of all connections.

    :param target: where the PostgreSQL listens.
    :param delay: seconds that every byte takes each way.
    """

    def __init__(self, target: Target, delay: float) -> None:
        self.target = target
        self.set_delay(delay)
        self.cutter: Cutter | None = None
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._connections: list[_Connection] = []
        self._most_open = self._accepted = 0
        self._listener: asyncio.Server | None = None
        self._port = 0

    async def start(self) -> int:
        """Listen; tell the port."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=512)
        self._port = int(self._listener.sockets[0].getsockname()[1])
        return self._port

    def set_delay(self, delay: float, back: float | None = None) -> None:
        self.delay, self.delay_back = delay, delay if back is None else back

    def stall(self) -> None:
        self.flowing.clear()

    def resume(self) -> None:
        self.flowing.set()

    def refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def accept(self) -> None:
        if self._listener is None:
            await self.start()

    def cut_all(self) -> None:
        for connection in self._connections:
            connection.drop()

    def cut_after_commit(self, cut: Cut | None) -> None:
        self.cutter = Cutter(cut) if cut else None

    def counts(self) -> Counts:
        counted = [connection.round_trips for connection in self._connections]
        return Counts(
            round_trips=sum(counted),
            by_connection=tuple(counted),
            commits=sum(connection.conversation.commits for connection in self._connections),
            cuts=self.cutter.cuts if self.cutter else 0,
            open=self._open,
            most_open=self._most_open,
            accepted=self._accepted,
        )

    def reset_counts(self) -> None:
        self._connections = [connection for connection in self._connections if connection.is_open]
        for connection in self._connections:
            connection.round_trips = connection.conversation.commits = 0
        self._most_open, self._accepted = self._open, 0

    @property
    def _open(self) -> int:
        return sum(connection.is_open for connection in self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, writer)
        self._connections.append(connection)
        self._accepted += 1
        self._most_open = max(self._most_open, self._open)
        try:
            await connection.carry(reader)
        finally:
            connection.drop()


@dataclass
class _Connection:
    """One client's connection and its way on to the server."""

    relay: Relay
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    is_open: bool = True
    round_trips: int = 0
    conversation: Conversation = field(default_factory=Conversation)
    _client_was_answered: bool = True
    _held: bytes = b""

    def __post_init__(self) -> None:
        self._dropped = asyncio.Event()
        self._from_client = Messages(start_up=True)
        self._from_server = Messages(start_up=False)

    def drop(self) -> None:
        self.is_open = False
        self._dropped.set()
        for writer in (self.client, self.server):
            if writer is not None:
                writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader) -> None:
        """Carry bytes both ways until one side ends, or the connection is dropped."""
        upwards: Lane = asyncio.Queue(_CHUNKS_ON_THE_WAY)
        tasks = [
            asyncio.create_task(self._read_client(reader, upwards)),
            asyncio.create_task(self._serve(upwards)),
            asyncio.create_task(self._dropped.wait()),
        ]
        # A reader that has come to its end leaves the rest to those who deliver.
        await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, upwards: Lane) -> None:
        await self.relay.flowing.wait()
        target = self.relay.target
        opening = asyncio.open_unix_connection(target) if isinstance(target, str) else asyncio.open_connection(*target)
        server_reader, self.server = await opening
        downwards: Lane = asyncio.Queue(_CHUNKS_ON_THE_WAY)
        tasks = [
            asyncio.create_task(self._deliver(upwards, self.server)),
            asyncio.create_task(self._deliver(downwards, self.client)),
            asyncio.create_task(self._read_server(server_reader, downwards)),
        ]
        try:
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_client(self, reader: asyncio.StreamReader, lane: Lane) -> None:
        while data := await _read(reader):
            heard = b"".join(map(self._heard_from_client, self._from_client.feed(data)))
            await self._send(lane, heard, self.relay.delay)
        await lane.put((_in(self.relay.delay), b""))

    async def _read_server(self, reader: asyncio.StreamReader, lane: Lane) -> None:
        while data := await _read(reader):
            passed = b""
            for message in self._from_server.feed(data):
                passed += self._heard_from_server(message)
                if self._dropped.is_set():
                    return
            await self._send(lane, passed, self.relay.delay_back)
        await lane.put((_in(self.relay.delay_back), b""))

    def _heard_from_client(self, message: Message) -> bytes:
        if message.kind == b"" and message.start_up_code in {SSL_REQUEST, GSS_REQUEST}:
            self.client.write(b"N")
            return b""
        if message.kind == b"" and message.start_up_code == CANCEL_REQUEST:
            return message.whole
        self.conversation.client_said(message)
        if self.conversation.started and self._client_was_answered and message.kind != b"X":
            self.round_trips += 1
            self._client_was_answered = False
        return message.whole

    def _heard_from_server(self, message: Message) -> bytes:
        """Return what to pass on: everything, or while answers may be lost, only whole answers."""
        cutter = self.relay.cutter
        transaction = self.conversation.server_said(message)
        if cutter is not None and transaction is not None and cutter.chooses(transaction):
            self.drop()
            return b""
        self._held += message.whole
        if cutter is not None and self.conversation.answer_is_due:
            return b""
        passed, self._held = self._held, b""
        return passed

    async def _send(self, lane: Lane, data: bytes, delay: float) -> None:
        if data:
            await lane.put((_in(delay), data))

    async def _deliver(self, lane: Lane, writer: asyncio.StreamWriter) -> None:
        """Write each chunk when its time has come; end with the one that is empty."""
        loop = asyncio.get_running_loop()
        while True:
            due, data = await lane.get()
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            await self.relay.flowing.wait()
            if not data:
                return
            # What the client has not got yet it cannot have waited for.
            self._client_was_answered |= writer is self.client
            writer.write(data)
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds
