"""PgBouncer's transaction mode: the stand-in always, the real program where it is installed."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from tests.programs import require
from tests.proxies.pooler import AnyPooler, StandIn, real_pgbouncer, running_pooler

ROUNDS = 40


@pytest.fixture(params=["stand-in", "pgbouncer"])
def pooler(request, postgres_url) -> Iterator[AnyPooler]:
    if request.param == "pgbouncer":
        require("pgbouncer")
    with running_pooler(postgres_url) if request.param == "stand-in" else real_pgbouncer(postgres_url) as running:
        yield running


def a_connection_of_psycopg3(url, threshold):
    psycopg = pytest.importorskip("psycopg")
    url = url.replace("+psycopg2", "")
    return psycopg.connect(url, autocommit=True, prepare_threshold=threshold)


def mistakes(url: str, threshold: int | None) -> list[str]:
    """Let two clients run different statements in turn, as two processes do; tell errors and wrong answers."""
    found = []
    ours, theirs = a_connection_of_psycopg3(url, threshold), a_connection_of_psycopg3(url, threshold)
    with ours, theirs:
        for n in range(ROUNDS):
            for connection, statement, given, right in (
                (ours, "SELECT 1000 + %s::int", n, 1000 + n),
                (theirs, "SELECT 'message ' || %s::text", str(n), f"message {n}"),
            ):
                try:
                    value = connection.execute(statement, (given,)).fetchone()[0]
                except Exception as error:
                    found.append(type(error).__name__)
                else:
                    found += [] if value == right else [f"{value!r} for {right!r}"]
    return found


@pytest.mark.parametrize("threshold", [0, 1])
def test_prepared_statements_meet_those_of_other_clients(pooler, threshold):
    assert mistakes(pooler.url, threshold)


def test_without_prepared_statements_nothing_goes_wrong(pooler):
    assert mistakes(pooler.url, None) == []


def engine_of(pooler: AnyPooler) -> Engine:
    return sa.create_engine(pooler.url, poolclass=NullPool, future=True, connect_args={"connect_timeout": 60})


def test_a_transaction_stays_on_one_server_connection_and_the_next_gets_another(pooler):
    with engine_of(pooler).connect() as connection:
        pids = []
        for _ in range(6):
            pid = sa.text("SELECT pg_backend_pid()")
            seen = {connection.execute(pid).scalar_one() for _ in range(3)}
            assert len(seen) == 1
            pids += seen
            connection.commit()
    # PgBouncer opens another server connection only when it has none free.
    if isinstance(pooler, StandIn):
        assert all(one != following for one, following in itertools.pairwise(pids))
    assert len(set(pids)) <= 3


def test_state_of_a_session_is_left_to_other_clients(pooler):
    with engine_of(pooler).connect() as connection:
        connection.execute(sa.text("SET lock_timeout = '7s'"))
        connection.commit()
        connection.execute(sa.text("SELECT 1"))
        connection.commit()
    seen = []
    with engine_of(pooler).connect() as other:
        for _ in range(6):
            seen.append(other.execute(sa.text("SHOW lock_timeout")).scalar_one())
            other.commit()
    assert "7s" in seen
    if isinstance(pooler, StandIn):
        assert "0" in seen


def test_several_statements_in_one_message_are_one_transaction(pooler, postgres_url):
    with engine_of(pooler).connect() as connection:
        raw = connection.connection.driver_connection
        raw.rollback()
        raw.autocommit = True
        with raw.cursor() as cursor:
            cursor.execute("BEGIN; CREATE TABLE t (n int); INSERT INTO t VALUES (1); COMMIT; SELECT n FROM t")
            assert cursor.fetchall() == [(1,)]


def test_a_transaction_left_open_is_undone(pooler):
    with engine_of(pooler).connect() as connection:
        connection.execute(sa.text("CREATE TABLE t (n int)"))
        connection.commit()
    lost = engine_of(pooler).connect()
    lost.execute(sa.text("INSERT INTO t VALUES (1)"))
    lost.connection.driver_connection.close()
    for _ in range(4):
        with engine_of(pooler).connect() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM t")).scalar_one() == 0


def test_more_clients_than_server_connections_take_turns(pooler):
    def count(_: int) -> int:
        with engine_of(pooler).connect() as connection:
            connection.execute(sa.text("SELECT pg_sleep(0.02)"))
            return connection.execute(sa.text("SELECT 1")).scalar_one()

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(count, range(24))) == 24


def test_a_paused_pooler_takes_clients_and_answers_after_the_pause(pooler):
    def one(connection: Connection) -> int:
        return connection.execute(sa.text("SELECT 1")).scalar_one()

    def newcomer() -> int:
        with engine_of(pooler).connect() as connection:
            return one(connection)

    with ThreadPoolExecutor(2) as pool, engine_of(pooler).connect() as connection:
        connection.commit()
        pooler.pause()
        try:
            said = [pool.submit(one, connection), pool.submit(newcomer)]
            assert wait(said, 0.5).done == set()
        finally:
            pooler.resume()
        assert [answer.result(60) for answer in said] == [1, 1]


def test_parameters_that_pgbouncer_does_not_know_are_refused(pooler):
    url = f"{pooler.url}&options=-c%20lock_timeout%3D5000"
    with pytest.raises(sa.exc.OperationalError, match="unsupported startup parameter"):
        sa.create_engine(url).connect()


def test_the_stand_in_counts_what_it_hands_over(postgres_url):
    with running_pooler(postgres_url) as pooler, engine_of(pooler).connect() as connection:
        assert isinstance(pooler, StandIn)
        connection.rollback()
        pooler.reset_counts()
        for _ in range(5):
            connection.execute(sa.text("SELECT 1"))
            connection.commit()
        counts = pooler.counts()
        assert (counts.transactions, counts.handovers, counts.open) == (5, 5, 1)
