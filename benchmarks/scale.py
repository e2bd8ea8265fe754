"""What a message costs with raised limits, a full minute and an old journal, beside the small case.

python -m benchmarks.scale --help
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.bulk.sender import BulkSender, RowMessage, Stop
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest, number_name
from airflow_provider_dialogtech.journal.schema import messages as messages_table
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.operators.bulk import MOST_THREADS, MOST_WAITING, THREADS_PER_SLOT, WAITING_PER_SLOT
from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from airflow_provider_dialogtech.sms.message import SmsMessage
from benchmarks.stores import running_postgres

NUMBER = "5554332111"
LIMITS = (4, 10, 40, 160, 1000)
REPLIES = (0.005, 0.08, 2.0)


def a_list(sandbox: RunningSandbox, url: str, per_second: int, seconds: float) -> tuple[float, float]:
    """Send a list from one number whose limits are raised.

    :return: messages per second, the first ones left out; CPU seconds of this process per message.
    """
    limits = RateLimits(per_second, per_second, 60 * per_second)
    stop = Stop()
    client = DialogTechClient(sandbox.access_key, sandbox.secret_access_key, sandbox.url)
    journal = MessageJournal(Store(url), uuid.uuid4().hex, limits)
    bulk = BulkSender(
        SmsSender(client, journal, clock=Clock(sleep=stop.sleep)),
        stop,
        threads=min(THREADS_PER_SLOT * per_second, MOST_THREADS),
        waiting=min(WAITING_PER_SLOT * per_second, MOST_WAITING),
        until=time.monotonic() + 3600,
    )
    end = time.monotonic() + seconds

    def messages() -> Iterator[RowMessage]:
        row = 0
        while time.monotonic() < end:
            to = f"5556{row % 1_000_000:06}"
            yield RowMessage(row, SmsMessage.create(to=to, message="Hello", from_numbers=[NUMBER]), uuid.uuid4().hex)
            row += 1

    sandbox.forget()
    busy = time.process_time()
    for _, outcome in bulk.outcomes(messages()):
        if isinstance(outcome, Exception):
            raise outcome
    busy = time.process_time() - busy
    left = sorted(message["monotonic"] for message in sandbox.accepted())
    settled = [at for at in left if at >= left[0] + seconds / 4]
    return (len(settled) - 1) / (settled[-1] - settled[0]), busy / len(left)


def lists(stores: dict[str, Callable[[str], str]], seconds: float) -> None:
    print("| journal | reply after | limit | messages per second | of the limit | CPU per message |")
    print("|---|---|---|---|---|---|")
    for store, new_url in stores.items():
        for latency in REPLIES:
            raised = ["--account-per-second=100000", "--number-per-second=100000", "--number-per-minute=6000000"]
            with running_sandbox(numbers=(NUMBER,), latency=latency, arguments=raised) as sandbox:
                for per_second in LIMITS:
                    rate, busy = a_list(sandbox, new_url(uuid.uuid4().hex), per_second, seconds)
                    print(
                        f"| {store} | {latency * 1000:.0f} ms | {per_second} | {rate:.1f} | {rate / per_second:.0%} "
                        f"| {busy * 1000:.0f} ms |",
                        flush=True,
                    )


def full_minute(url: str, rows: int, numbers: int) -> tuple[float, float]:
    """Reserve beside so many messages of the last minute.

    :return: the median of its CPU time and of its time, in milliseconds.
    """
    account = uuid.uuid4().hex
    limits = RateLimits(account_per_second=100_000, number_per_second=100_000, number_per_minute=6_000_000)
    journal = MessageJournal(Store(url), account, limits)
    names = [f"55543{n:05}" for n in range(numbers)]
    journal.find("nothing")  # creates the tables
    engine = sa.create_engine(url)
    now = time.time()
    one = {"account": account, "state": "sent", "digest": "d", "recipient_tail": "7777", "detail": "{}", "owner": "o"}
    with engine.begin() as connection:
        for n in range(rows):
            at = now - 55 * n / rows
            times = dict.fromkeys(("at", "deadline", "created", "updated"), at)
            connection.execute(
                sa.insert(messages_table),
                one | times | {"key": uuid.uuid4().hex, "number": number_name(account, names[n % numbers])},
            )
    engine.dispose()
    busy, took = [], []
    for _ in range(20):
        request = SlotRequest(uuid.uuid4().hex, tuple(names), "5556667777", "Hello")
        cpu, wall = time.process_time(), time.perf_counter()
        journal.reserve(request)
        busy.append(time.process_time() - cpu)
        took.append(time.perf_counter() - wall)
    return 1000 * sorted(busy)[10], 1000 * sorted(took)[10]


def minutes(stores: dict[str, Callable[[str], str]]) -> None:
    print("| journal | messages of the last minute | numbers | CPU of reserve | time of reserve |")
    print("|---|---|---|---|---|")
    for store, new_url in stores.items():
        for rows, numbers in ((0, 1), (240, 1), (2_400, 1), (8_000, 1), (8_000, 200), (60_000, 200)):
            busy, took = full_minute(new_url(uuid.uuid4().hex), rows, numbers)
            print(f"| {store} | {rows:,} | {numbers} | {busy:.1f} ms | {took:.1f} ms |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["lists", "minutes"], help="lists, minutes")
    parser.add_argument("--seconds", type=float, default=8, help="how long each list sends")
    parser.add_argument("--sqlite-only", action="store_true")
    chosen = parser.parse_args()
    logging.getLogger("airflow_provider_dialogtech").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as postgres:
        stores: dict[str, Callable[[str], str]] = {"SQLite": lambda name: f"sqlite:///{folder}/{name}.db"}
        if not chosen.sqlite_only:
            stores["PostgreSQL"] = lambda name: postgres(f"j{name}")
        if "lists" in chosen.parts:
            lists(stores, chosen.seconds)
        if "minutes" in chosen.parts:
            minutes(stores)


if __name__ == "__main__":
    main()
