"""A Python that has imported Airflow already: a new one takes two seconds of processor time for it.

One process imports Airflow, and a fork of it runs each program. The client passes it its arguments, environment,
folder and standard streams over a socket, and ends as the program does. `/proc/self/environ` is that of the first
process, and Airflow keeps what it read when it was imported (AIRFLOW_HOME, the database).
"""

import json
import os
import runpy
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST_REQUEST = 2**20


@contextmanager
def interpreter(folder: Path) -> Iterator[list[str]]:
    """Give the command that takes the place of `python` in front of `-c` or `-m`."""
    path = folder / "python.socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        process = subprocess.Popen([sys.executable, __file__], stdin=server)
    yield [sys.executable, "-I", "-S", __file__, str(path)]
    process.terminate()
    process.wait()


def _serve() -> None:
    sys.path[0] = ""  # as `-c` and `-m` have it
    import airflow.configuration  # noqa: F401

    server = socket.socket(fileno=0)
    while True:
        client, _ = server.accept()
        with client:
            if os.fork() == 0:
                _run(client)
        with suppress(ChildProcessError):  # those that have ended before
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _run(client: socket.socket) -> None:
    request, streams, _, _ = socket.recv_fds(client, _LONGEST_REQUEST, 3)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    arguments, environment, folder = json.loads(request)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    status = 0
    try:
        _program(*arguments)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    client.send(bytes([status]))
    os._exit(status)


def _program(option: str, what: str, *arguments: str) -> None:
    if option == "-c":
        sys.argv = ["-c", *arguments]
        exec(what, {"__name__": "__main__"})  # noqa: S102
    else:
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def _ask(path: str, arguments: list[str]) -> int:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = json.dumps([arguments, dict(os.environ), str(Path.cwd())])
        socket.send_fds(server, [request.encode()], [0, 1, 2])
        ended = server.recv(1)
        return ended[0] if ended else 1


if __name__ == "__main__":
    sys.exit(_ask(sys.argv[1], sys.argv[2:]) if sys.argv[1:] else _serve())
