"""What does it cost to reserve a slot: beside other rate limiters on the same store, and with many old rows?

python -m benchmarks.reservation --help
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from psycopg_pool import ConnectionPool
from pyrate_limiter import Limiter, PostgresBucket, Rate, SQLiteBucket

from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from benchmarks.stores import running_postgres
from tests.journal.filling import fill

# A minute at full rate: as many rows as can matter to one reservation of a busy account.
ROUND = 240
MINUTE = 60_000
# So high that nothing is ever refused: the work is measured, not the waiting.
PLENTY = 100_000


def reserve_through(store: Store) -> Callable[[], None]:
    limits = RateLimits(PLENTY, PLENTY, PLENTY)
    journal = MessageJournal(store, digest("account", uuid.uuid4().hex), limits)

    def reserve() -> None:
        journal.reserve(SlotRequest(uuid.uuid4().hex, ("5554332111",), "5556667777", "Hello"))

    return reserve


def timed(acquire: Callable[[], object], rounds: int) -> list[float]:
    acquire()
    took = []
    for _ in range(rounds):
        before = time.perf_counter()
        acquire()
        took.append((time.perf_counter() - before) * 1000)
    return took


def show(what: str, store: str, rows: str, took: list[float]) -> None:
    p99 = statistics.quantiles(took, n=100)[98]
    print(f"| {what} | {store} | {rows} | {statistics.median(took):.2f} ms | {p99:.2f} ms |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old-rows", type=int, nargs="+", default=[0, 10_000, 1_000_000])
    chosen = parser.parse_args()
    rates = [Rate(PLENTY, 1000), Rate(2 * PLENTY, MINUTE)]
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as postgres:
        print("| what | store | old rows | median | p99 |")
        print("|---|---|---|---|---|")
        for rows in chosen.old_rows:
            for name, url in (("SQLite", f"sqlite:///{folder}/journal{rows}.db"), ("PostgreSQL", postgres(f"j{rows}"))):
                if rows:
                    fill(url, rows)
                show("reserve", name, f"{rows:,}", timed(reserve_through(Store(url)), ROUND))
        bucket = SQLiteBucket.init_from_file(rates, db_path=f"{folder}/pyrate.db", use_file_lock=True)
        show("pyrate-limiter", "SQLite, file lock", "-", timed(lambda: Limiter(bucket).try_acquire("a"), ROUND))
        with ConnectionPool(postgres("pyrate").replace("+psycopg2", "")) as pool:
            limiter = Limiter(PostgresBucket(pool, "pyrate", rates))
            show("pyrate-limiter", "PostgreSQL", "-", timed(lambda: limiter.try_acquire("a"), ROUND))
            limiter.close()
        moving = MovingWindowRateLimiter(MemoryStorage())
        item = parse(f"{PLENTY}/minute")
        show("limits (it has no SQL store)", "memory", "-", timed(lambda: moving.hit(item, "a"), ROUND))


if __name__ == "__main__":
    main()
