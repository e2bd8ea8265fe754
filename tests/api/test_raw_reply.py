import socket
from contextlib import suppress

from airflow_provider_dialogtech.api.raw_reply import LARGEST_REPLY, BoundedReader, CallDeadline


def test_the_status_of_a_large_reply_is_read_without_its_body():
    """By default, a file of Python 3.14 reads 128 KiB at once."""
    ours, server = socket.socketpair()
    with ours, server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * LARGEST_REPLY)
        server.setblocking(False)
        with suppress(BlockingIOError):
            server.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 2 * LARGEST_REPLY)
        reader = BoundedReader(ours, CallDeadline(10)).makefile("rb")
        assert reader.readline() == b"HTTP/1.1 400 Bad Request\r\n"
