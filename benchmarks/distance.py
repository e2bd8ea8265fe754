"""How much of what the limits allow is used when the journal is far away, or its disk slow, and is any message refused?

Each line: a PostgreSQL behind a proxy that delays, or a SQLite file whose commits take their time; so many processes
with 12 threads each, as a list has, send from 8 numbers to a sandbox that keeps the documented limits.

    python -m benchmarks.distance --help
    python -m benchmarks.distance --round-trips
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.sms.message import SmsMessage
from benchmarks.delivery import AFTERWARDS, RECIPIENT, Figures, Setting, judge, numbers_of
from tests.proxies.server import OwnPostgres, own_postgres
from tests.proxies.sqlite import slow_commits
from tests.proxies.tcp import TcpProxy, running_proxy

NUMBERS = 8
THREADS = 12
STEPS = ("reserve", "start", "settle")
# What is under way when the time is over may go on for so long.
LAST_SECONDS = 10.0


class TimeIsOver(Exception):
    pass


@dataclass(frozen=True)
class AccountSlots:
    """One line of the table.

    :param distance: the round trip to PostgreSQL, or how long a commit of SQLite takes.
    """

    store: str
    distance: float
    processes: int
    seconds: float


def sender_to(
    access: Any, store_url: str, sleep: Callable[[float], None] = time.sleep
) -> tuple[SmsSender, MessageJournal, SmsMessage]:
    url, key, secret, numbers = access
    journal = MessageJournal(Store(store_url), digest("account", key), RateLimits())
    message = SmsMessage.create(to=RECIPIENT, message="Hello", from_numbers=numbers)
    return SmsSender(DialogTechClient(key, secret, url), journal, clock=Clock(sleep=sleep)), journal, message


def measure(line: AccountSlots, store_url: str) -> tuple[Figures, Counter[str]]:
    """Let the processes send; judge by what the sandbox recorded, and tell the errors that the senders saw."""
    with running_sandbox(numbers=numbers_of(NUMBERS)) as sandbox:
        access = (sandbox.url, sandbox.access_key, sandbox.secret_access_key, sandbox.numbers)
        spawn = multiprocessing.get_context("spawn")
        ready = spawn.Barrier(line.processes)
        errors = spawn.SimpleQueue()
        arguments = (access, line, store_url, ready, errors)
        workers = [spawn.Process(target=send_all_the_time, args=arguments) for _ in range(line.processes)]
        for worker in workers:
            worker.start()
        seen = sum((errors.get() for _ in workers), Counter[str]())
        for worker in workers:
            worker.join()
        messages = sandbox.messages()
    setting = Setting(line.store, NUMBERS, 0, line.seconds, line.processes)
    if any(message["outcome"] == "accepted" for message in messages):
        return judge(messages, setting), seen
    return Figures(0, sum(message["outcome"] == "throttled" for message in messages), "none"), seen


def send_all_the_time(access: Any, line: AccountSlots, store_url: str, ready: Barrier, errors: Any) -> None:
    """Send through several threads until the time is over."""
    until = float("inf")
    seen: Counter[str] = Counter()

    def sleep(seconds: float) -> None:
        # Every wait of a message is one of these: so a message that is never sent ends, too.
        time.sleep(max(0.0, min(seconds, until - time.monotonic())))
        if time.monotonic() >= until:
            raise TimeIsOver

    def work() -> None:
        while time.monotonic() < until:
            try:
                sender.send(message, key=uuid.uuid4().hex)
            except TimeIsOver:
                return
            except Exception as error:  # it is counted
                seen[type(error).__name__] += 1

    with slow_commits(line.distance) if line.store == "sqlite" else nullcontext():
        sender, journal, message = sender_to(access, store_url, sleep)
        journal.find(uuid.uuid4().hex)  # the first connection is not measured
        ready.wait()
        until = time.monotonic() + line.seconds + AFTERWARDS
        threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until + LAST_SECONDS - time.monotonic()))
        errors.put(seen)


@contextmanager
def store_of(line: AccountSlots, postgres: OwnPostgres, driver: str) -> Iterator[str]:
    if line.store == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/journal.db"
    else:
        with running_proxy(postgres.new_database(driver=driver), delay=line.distance / 2) as proxy:
            yield proxy.url


def show_shares(chosen: argparse.Namespace, postgres: OwnPostgres) -> None:
    places = [("postgresql", distance) for distance in chosen.distances]
    places += [("sqlite", commit) for commit in chosen.commits]
    lines = [
        AccountSlots(store, distance, processes, chosen.seconds)
        for (store, distance), processes in itertools.product(places, chosen.processes)
    ]

    def figures(line: AccountSlots) -> tuple[Figures, Counter[str]]:
        with store_of(line, postgres, chosen.driver) as url:
            return measure(line, url)

    print("| journal | away | processes | share of what the limits allow | refused | densest second | errors |")
    print("|---|---|---|---|---|---|---|")
    with ThreadPoolExecutor(chosen.at_once) as pool:
        for line, (found, errors) in zip(lines, pool.map(figures, lines), strict=True):
            told = ", ".join(f"{count} {name}" for name, count in errors.most_common()) or "0"
            print(
                f"| {line.store} | {line.distance * 1000:.0f} ms | {line.processes} "
                f"| {found.share:.1%} | {found.refused} | {found.densest} | {told} |",
                flush=True,
            )


def show_round_trips(chosen: argparse.Namespace, postgres: OwnPostgres) -> None:
    """Send messages one after the other:

    first through the proxy that counts, then without it for the processor's time.
    """
    with running_sandbox(numbers=numbers_of(NUMBERS)) as sandbox:
        access = (sandbox.url, sandbox.access_key, sandbox.secret_access_key, sandbox.numbers)
        with running_proxy(postgres.new_database(driver=chosen.driver)) as proxy:
            trips = round_trips(access, proxy, chosen.texts)
        spent = processor_seconds(access, postgres, chosen)
    print("| what | round trips | client's processor time | server's processor time |")
    print("|---|---|---|---|")
    for step in STEPS:
        print(f"| {step} | {trips[step]:.2f} | {spent[step] * 1000:.2f} ms | |")
    print(
        f"| a whole message | {trips['text']:.2f} | {spent['text'] * 1000:.2f} ms | {spent['server'] * 1000:.2f} ms |"
    )


def round_trips(access: Any, proxy: TcpProxy, texts: int) -> dict[str, float]:
    sender, journal, message = sender_to(access, proxy.url)
    sender.send(message, key=uuid.uuid4().hex)
    counted = watch_steps(journal, lambda: proxy.counts().round_trips)
    proxy.reset_counts()
    for _ in range(texts):
        sender.send(message, key=uuid.uuid4().hex)
    return {step: found / texts for step, found in counted.items()} | {"text": proxy.counts().round_trips / texts}


def processor_seconds(access: Any, postgres: OwnPostgres, chosen: argparse.Namespace) -> dict[str, float]:
    sender, journal, message = sender_to(access, postgres.new_database(driver=chosen.driver))
    sender.send(message, key=uuid.uuid4().hex)
    spent = watch_steps(journal, time.thread_time)
    client, server = time.process_time(), postgres.processor_seconds()
    for _ in range(chosen.texts):
        sender.send(message, key=uuid.uuid4().hex)
    spent |= {"text": time.process_time() - client, "server": postgres.processor_seconds() - server}
    return {what: found / chosen.texts for what, found in spent.items()}


def watch_steps(journal: MessageJournal, meter: Callable[[], float]) -> dict[str, float]:
    """Add up what each step of the journal takes, as the meter tells it."""
    sums = dict.fromkeys(STEPS, 0.0)

    def watched(step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            before = meter()
            try:
                return work(*args, **options)
            finally:
                sums[step] += meter() - before

        return run

    for step in STEPS:
        setattr(journal, step, watched(step, getattr(journal, step)))
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--distances", type=float, nargs="*", default=[0, 0.005, 0.02, 0.05], help="round trips")
    parser.add_argument("--commits", type=float, nargs="*", default=[0, 0.05], help="how long SQLite's commits take")
    parser.add_argument("--driver", default="psycopg2", help="psycopg2 or psycopg")
    parser.add_argument("--at-once", type=int, default=1, help="how many lines are measured side by side")
    parser.add_argument(
        "--round-trips", action="store_true", help="round trips and processor time of a message instead"
    )
    parser.add_argument("--texts", type=int, default=100, help="how many messages --round-trips sends, twice")
    chosen = parser.parse_args()
    with own_postgres(fsync=True) as postgres:
        (show_round_trips if chosen.round_trips else show_shares)(chosen, postgres)


if __name__ == "__main__":
    main()
