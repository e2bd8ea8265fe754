"""A list of messages through one task, and through a task for each, in a real scheduler on this machine.

python -m benchmarks.lists --help
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
import tracemalloc
from pathlib import Path

import psutil

from airflow_provider_dialogtech.bulk.rows import Rows, check_rows
from airflow_provider_dialogtech.bulk.sender import Stop
from airflow_provider_dialogtech.journal.limits import SHORT_MARGIN
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.sms.message import SmsMessage, normalize_number
from tools.airflow_home import running_airflow

SENDERS = tuple(f"55543321{n:02}" for n in range(8))


def through_a_scheduler(folder: Path, length: int) -> None:
    (folder / "dags").mkdir()
    shutil.copy(Path(__file__).parent / "dags_of_lists.py", folder / "dags")
    print("| way | wall time | messages per second ÷ limit | processor seconds | refused |")
    print("|---|---|---|---|---|")
    with running_sandbox(numbers=SENDERS, latency=0.3) as sandbox:
        # As many tasks at once as the pool has slots; the pool is what holds them back.
        settings = {"LIST_LENGTH": str(length), "AIRFLOW__CORE__PARALLELISM": "8"}
        connections = {"dialogtech_default": sandbox.connection()}
        with running_airflow(
            folder / "home", folder / "dags", connections=connections, environment=settings
        ) as airflow:
            for way in ("one_task", "a_task_each"):
                sandbox.forget()
                begun, busy = time.monotonic(), processor_seconds()
                airflow.trigger(way, "run")
                airflow.wait_for_run(way, "run", seconds=3600)
                took, busy = time.monotonic() - begun, processor_seconds() - busy
                arrived = sandbox.messages()
                accepted = sorted(text["monotonic"] for text in arrived if text["outcome"] == "accepted")
                assert len(accepted) == length
                rate = (length - 1) / (accepted[-1] - accepted[0]) / 4
                print(f"| {way} | {took:.0f} s | {rate:.1%} | {busy:.0f} s | {len(arrived) - length} |", flush=True)


def processor_seconds() -> float:
    """Return how long this machine's processors have worked."""
    times = psutil.cpu_times()
    return times.user + times.system


def memory(length: int) -> None:
    rows = Rows.of({"to": f"5556{n:06}", "name": f"Customer {n}"} for n in range(length))

    senders = [normalize_number(number, "from_") for number in SENDERS]  # as the hook gives them

    def compose(row):  # type: ignore[no-untyped-def]
        return SmsMessage.create(to=row["to"], message=f"Hi {row['name']}, " + "x" * 100, from_numbers=senders)

    begun = time.monotonic()
    check_rows(rows, compose, Stop())
    took = time.monotonic() - begun
    tracemalloc.start()
    check_rows(rows, compose, Stop())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{length:,} rows checked in {took:.0f} s: {most / 2**20:.0f} MiB at most beside the rows themselves")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--rows", type=int, default=100_000)
    chosen = parser.parse_args()
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    memory(chosen.rows)
    with tempfile.TemporaryDirectory() as folder:
        through_a_scheduler(Path(folder), chosen.length)
    print(f"(the margins let at most {1 / (1 + SHORT_MARGIN):.1%} through)")


if __name__ == "__main__":
    main()
