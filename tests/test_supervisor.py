"""How this package asks Airflow's supervisor for a connection, where several threads or an event loop do."""

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

pytest.importorskip("airflow.sdk", reason="Airflow 2 has no supervisor")
from airflow.sdk.execution_time import comms, task_runner

from airflow_provider_dialogtech import _compat
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook

FIELDS = {
    "conn_type": "dialogtech",
    "host": None,
    "schema": None,
    "login": "key",
    "password": "secret",
    "port": None,
    "extra": '{"from_numbers": "5554332111"}',
}
# As many as the event loop has threads. Airflow 3.0 awaits no notifiers.
AT_ONCE = 40 if hasattr(_compat.BaseHook, "aget_connection") else 1


def answer_for_ever(supervisor, *, late=0.0):
    """Answer what a process asks for, as its supervisor does: one request after the other."""
    while head := supervisor.recv(4, socket.MSG_WAITALL):
        body = supervisor.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        asked = comms.msgspec.msgpack.decode(body)
        answer = None
        if asked[1]["type"] == "GetConnection":
            answer = {"type": "ConnectionResult", "conn_id": asked[1]["conn_id"], **FIELDS}
        time.sleep(late)
        written = bytes(comms._ResponseFrame(id=asked[0], body=answer).as_bytes())
        # In pieces, as a socket may carry them.
        for piece in (written[:4], written[4:]):
            supervisor.sendall(piece)
            time.sleep(late)


@contextmanager
def supervised(*, late=0.0):
    """Yield this process's end of the socket to a supervisor that answers."""
    ours, supervisor = socket.socketpair()
    thread = threading.Thread(target=answer_for_ever, args=[supervisor], kwargs={"late": late}, daemon=True)
    thread.start()
    try:
        yield ours
    finally:
        ours.close()
        thread.join(10)
        supervisor.close()


@pytest.fixture(autouse=True)
def no_cached_backends(monkeypatch):
    """Let Airflow find out anew where connections are."""
    monkeypatch.setattr("airflow.configuration.secrets_backend_list", [], raising=False)


def test_the_threads_of_a_task_ask_one_after_the_other(monkeypatch):
    with supervised(late=0.002) as ours:
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms.CommsDecoder(socket=ours), raising=False)
        with ThreadPoolExecutor(8) as threads:
            names = [f"conn_{number}" for number in range(16)]
            hooks = threads.map(lambda name: DialogTechHook(name).settings, names)
            found = list(threads.map(_compat.connection_of, names, timeout=20))
            assert all(settings.access_key == "key" for settings in hooks)
    assert [connection.conn_id for connection in found] == names


def test_in_the_triggerer_a_thread_asks_through_the_event_loop(monkeypatch):
    from airflow.jobs import triggerer_job_runner

    async def in_the_triggerer(ours):
        reader, writer = await asyncio.open_connection(sock=ours)
        decoder = triggerer_job_runner.TriggerCommsDecoder(socket=None, async_reader=reader, async_writer=writer)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", decoder, raising=False)
        if hasattr(decoder, "start_reader"):
            await decoder.start_reader()
        hook, found = DialogTechHook("one"), []
        await hook.aload()

        def deliver():
            """As an alert does: its journal is opened in a thread that can be abandoned."""
            thread = threading.Thread(target=lambda: found.append(_compat.connection_of("two")), daemon=True)
            thread.start()
            thread.join(20)

        await asyncio.gather(*(_compat.in_thread(deliver) for _ in range(AT_ONCE)))
        # The triggerer's own next request.
        await asyncio.wait_for(decoder.asend(comms.GetConnection(conn_id="three")), 20)
        if hasattr(decoder, "_reader_task"):
            decoder._reader_task.cancel()
        writer.close()
        return hook.settings, found

    with supervised() as ours:
        settings, found = asyncio.run(in_the_triggerer(ours))
    assert settings.access_key == "key"
    assert [connection.conn_id for connection in found] == ["two"] * AT_ONCE
