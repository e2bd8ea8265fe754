"""The proxy in front of a real PostgreSQL."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from contextlib import nullcontext

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

COMMITTED = "INSERT INTO t VALUES (:n)"


def engine_of(url: str, *, connect_timeout: int = 60, **options: object) -> Engine:
    arguments = {"connect_timeout": connect_timeout}
    return sa.create_engine(url, poolclass=NullPool, future=True, connect_args=arguments, **options)


def begin_table(url: str) -> Engine:
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (n int)"))
    return engine


def values(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT n FROM t ORDER BY n")).scalars())


def seconds_of(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def select_one(connection: Connection) -> None:
    connection.execute(sa.text("SELECT 1"))


def test_a_round_trip_takes_the_delay_both_ways(proxy, postgres_url):
    with engine_of(proxy.url).connect() as connection:
        select_one(connection)
        proxy.set_delay(0.02)
        assert min(seconds_of(lambda: select_one(connection)) for _ in range(5)) >= 0.04


def test_the_delay_holds_up_no_bytes_behind_others(proxy, postgres_url):
    with engine_of(proxy.url).connect() as connection:
        proxy.set_delay(1.0)
        many = "SELECT repeat('x', 1000) FROM generate_series(1, 2000)"  # 2 MB: dozens of chunks
        assert seconds_of(lambda: connection.execute(sa.text(many)).all()) < 20
        proxy.set_delay(0.0)


def test_round_trips_are_counted_without_those_of_starting_a_connection(proxy, postgres_url):
    engine = begin_table(postgres_url)
    with engine_of(proxy.url).connect() as connection:
        connection.rollback()
        proxy.reset_counts()
        with connection.begin():  # BEGIN, INSERT and COMMIT
            connection.execute(sa.text(COMMITTED), {"n": 1})
        counts = proxy.counts()
        assert (counts.round_trips, counts.by_connection, counts.commits) == (3, (3,), 1)
        with engine_of(proxy.url, isolation_level="AUTOCOMMIT").connect():
            assert proxy.counts().open == 2
    assert proxy.counts().most_open == 2
    assert values(engine) == [1]


def test_a_pipelined_request_is_one_round_trip(proxy, postgres_url):
    psycopg = pytest.importorskip("psycopg")
    proxy.set_delay(0.02)
    with psycopg.connect(proxy.url.replace("+psycopg2", ""), autocommit=True) as connection:
        proxy.reset_counts()
        with connection.pipeline():
            for _ in range(5):
                connection.execute("SELECT 1")
        assert proxy.counts().round_trips == 1


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "AUTOCOMMIT"])
def test_a_commit_is_done_and_its_answer_lost(proxy, postgres_url, isolation):
    engine = begin_table(postgres_url)
    through = engine_of(proxy.url, isolation_level=isolation)
    proxy.cut_after_commit(every=2)
    insert(through, 1)
    with pytest.raises(sa.exc.OperationalError):
        insert(through, 2)
    insert(through, 3)
    assert proxy.counts().cuts == 1
    assert values(engine) == [1, 2, 3]


def insert(engine: Engine, n: int) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(COMMITTED), {"n": n})


def test_only_the_named_statements_lose_their_answer(proxy, postgres_url):
    engine = begin_table(postgres_url)
    through = engine_of(proxy.url)
    proxy.cut_after_commit(only="(77)", times=1)
    insert(through, 1)
    with pytest.raises(sa.exc.OperationalError):
        insert(through, 77)
    insert(through, 77)
    with through.begin() as connection:
        connection.execute(sa.text("SELECT '(77)'"))
    assert values(engine) == [1, 77, 77]


def test_the_choice_at_random_is_the_same_with_the_same_seed(proxy, postgres_url):
    engine = begin_table(postgres_url)

    def lost(seed: int) -> list[int]:
        proxy.cut_after_commit(probability=0.5, seed=seed)
        return [n for n in range(12) if is_lost(n)]

    def is_lost(n: int) -> bool:
        try:
            insert(through, n)
        except sa.exc.OperationalError:
            return True
        return False

    through = engine_of(proxy.url)
    first = lost(1)
    assert 0 < len(first) < 12
    assert lost(1) == first
    assert lost(2) != first
    assert len(values(engine)) == 36


@pytest.mark.parametrize("threshold", [None, 0])
def test_a_commit_of_psycopg3_is_done_and_its_answer_lost(proxy, postgres_url, threshold):
    psycopg = pytest.importorskip("psycopg")
    engine = begin_table(postgres_url)
    proxy.cut_after_commit(only="seventy-seven")
    connection = psycopg.connect(proxy.url.replace("+psycopg2", ""), autocommit=True, prepare_threshold=threshold)
    for text, n in (("one", 1), ("seventy-seven", 77)):
        with pytest.raises(psycopg.OperationalError) if n == 77 else nullcontext():
            found = connection.execute("INSERT INTO t SELECT length(%s::text) RETURNING n", (text,)).fetchall()
            assert found == [(3,)]
    assert values(engine) == [3, 13]


def test_a_rolled_back_or_failed_transaction_is_no_commit(proxy, postgres_url):
    begin_table(postgres_url)
    proxy.cut_after_commit()
    with engine_of(proxy.url).connect() as connection:
        connection.execute(sa.text("INSERT INTO t VALUES (1)"))
        connection.rollback()
        with pytest.raises(sa.exc.ProgrammingError):
            connection.execute(sa.text("INSERT INTO nowhere VALUES (1)"))
        connection.rollback()
        assert proxy.counts().commits == 0


def test_a_stalled_proxy_takes_connections_and_answers_nothing(proxy, postgres_url):
    proxy.stall()
    with pytest.raises(sa.exc.OperationalError, match="timeout expired"):
        engine_of(proxy.url, connect_timeout=2).connect()
    proxy.resume()
    with engine_of(proxy.url).connect() as connection:
        select_one(connection)


def test_what_was_said_during_a_stall_arrives_after_it(proxy, postgres_url):
    engine = begin_table(postgres_url)
    with ThreadPoolExecutor(1) as pool, engine_of(proxy.url, isolation_level="AUTOCOMMIT").connect() as connection:
        proxy.stall()
        said = pool.submit(connection.execute, sa.text(COMMITTED), {"n": 1})
        with pytest.raises(TimeoutError):
            said.result(0.3)
        assert values(engine) == []
        proxy.resume()
        said.result(60)
    assert values(engine) == [1]


def test_a_refusing_proxy_keeps_the_connections_that_stand(proxy, postgres_url):
    with engine_of(proxy.url).connect() as connection:
        proxy.refuse()
        with pytest.raises(sa.exc.OperationalError, match="refused"):
            engine_of(proxy.url).connect()
        select_one(connection)
        proxy.accept()
    with engine_of(proxy.url).connect() as connection:
        select_one(connection)
        proxy.cut_all()
        with pytest.raises(sa.exc.OperationalError):
            select_one(connection)
