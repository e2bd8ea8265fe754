"""How many accounts does one PostgreSQL carry, each at its full rate?

Simulated accounts, a thread each in several processes, reserve, start and settle 4 messages a second through one
server, without sending them. What counts is how many starts are written down too late for their slot: such a message
takes a new one. Clients and server share this machine, so the machine is the limit.

    python -m benchmarks.accounts --help
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import threading
import time
import uuid
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_dialogtech.delivery.sender import LATE
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import Reservation, SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from benchmarks.stores import running_postgres

NUMBERS = tuple(f"55543321{n:02}" for n in range(8))


def one_account(store_url: str, until: float, late: list[float], took: list[float]) -> None:
    journal = MessageJournal(Store(store_url), digest("account", uuid.uuid4().hex), RateLimits())
    timing = journal.timing
    lost: Reservation | None = None
    key = ""
    while time.time() < until:
        begun, reserving = time.perf_counter(), time.monotonic()
        if lost is None:
            key = uuid.uuid4().hex
        held = journal.reserve(SlotRequest(key, NUMBERS, "5556667777", "Hello"), after=lost)
        took.append((time.perf_counter() - begun) * 1000)
        assert isinstance(held, Reservation)
        time.sleep(max(0.0, held.due - timing.start_lead - time.monotonic()))
        started = journal.start(held, request_timeout=30)
        late.append(max(0.0, time.monotonic() - held.due) if started else 1.0)
        if late[-1] > LATE:
            timing.missed(reserving)
            lost = held
            continue
        timing.met()
        lost = None
        time.sleep(max(0.0, held.due - time.monotonic()))
        journal.settle(held, "sent", {}, took=0.04)


def work(store_url: str, accounts: int, seconds: float, ready: Barrier, results: Any) -> None:
    late: list[float] = []
    took: list[float] = []
    MessageJournal(Store(store_url), "warm up", RateLimits()).find("warm up")
    ready.wait()
    until = time.time() + seconds
    spent = time.process_time()
    threads = [threading.Thread(target=one_account, args=(store_url, until, late, took)) for _ in range(accounts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((late, took, time.process_time() - spent))


def measure(store_url: str, accounts: int, processes: int, seconds: float) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready, results = spawn.Barrier(processes), spawn.Queue()
    share = accounts // processes
    workers = [spawn.Process(target=work, args=(store_url, share, seconds, ready, results)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    time.sleep(seconds / 2)
    psutil.cpu_percent()
    found = [results.get() for _ in workers]
    busy = psutil.cpu_percent()
    for worker in workers:
        worker.join()
    late = [seconds for part, _, _ in found for seconds in part]
    took = [seconds for _, part, _ in found for seconds in part]
    client = sum(spent for _, _, spent in found) / len(late) * 1000
    missed = sum(seconds > LATE for seconds in late) / len(late)
    print(
        f"| {share * processes} | {len(late) / seconds:.0f} | {missed:.1%} | {statistics.median(took):.1f} ms "
        f"| {statistics.quantiles(took, n=100)[98]:.0f} ms | {client:.2f} ms | {busy:.0f}% |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, nargs="+", default=[4, 8, 16, 24, 32, 48])
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=15)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as postgres:
        print(
            "| accounts | messages per second | slots missed | reserve, median | reserve, p99 | client, per message "
            "| processors busy |"
        )
        print("|---|---|---|---|---|---|---|")
        for accounts in chosen.accounts:
            measure(postgres(f"a{accounts}"), accounts, chosen.processes, chosen.seconds)


if __name__ == "__main__":
    main()
