"""How much of what the limits allow is used when the journal is far away, or its disk slow, and is any message refused?

Each line: a PostgreSQL behind a proxy that delays, a SQLite file whose commits take their time, or the door of an API
server behind such a proxy, idle or beside users of its pages; so many processes with 12 threads each, as a list has,
send from 8 numbers to a sandbox that keeps the documented limits.

    python -m benchmarks.distance --help
    python -m benchmarks.distance --round-trips
    python -m benchmarks.distance --steps
    python -m benchmarks.distance --rounds 3 --processes 4 --distances 0 0.05 --commits
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import statistics
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
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.sms.message import SmsMessage
from benchmarks.delivery import AFTERWARDS, RECIPIENT, Figures, Setting, judge, numbers_of
from benchmarks.door import at_distance, busy_ui, running_api_server, store_at
from tests.proxies.server import OwnPostgres, own_postgres
from tests.proxies.sqlite import slow_commits
from tests.proxies.tcp import TcpProxy, running_proxy

NUMBERS = 8
THREADS = 12
STEPS = ("reserve", "start", "settle")
Times = dict[str, list[float]]
BUSY = "door, busy"
# What is under way when the time is over may go on for so long.
LAST_SECONDS = 10.0


class TimeIsOver(Exception):
    pass


@dataclass(frozen=True)
class AccountSlots:
    """One line of the table.

    :param store: `postgresql`, `sqlite`, `door`, or `door, busy` with users of the API server's pages.
    :param distance: the round trip to PostgreSQL or the API server, or how long a commit of SQLite takes.
    """

    store: str
    distance: float
    processes: int
    seconds: float


def sender_to(
    access: Any, store_url: str, sleep: Callable[[float], None] = time.sleep
) -> tuple[SmsSender, MessageJournal, SmsMessage]:
    url, key, secret, numbers = access
    journal = MessageJournal(store_at(store_url), digest("account", key), RateLimits())
    message = SmsMessage.create(to=RECIPIENT, message="Hello", from_numbers=numbers)
    return SmsSender(DialogTechClient(key, secret, url), journal, clock=Clock(sleep=sleep)), journal, message


def measure(line: AccountSlots, store_url: str) -> tuple[Figures, Counter[str], Times]:
    """Let the processes send; judge by what the sandbox recorded, and tell the errors that the senders saw."""
    # The lines that share an API server do not share an account.
    with running_sandbox(access_key=uuid.uuid4().hex, numbers=numbers_of(NUMBERS)) as sandbox:
        access = (sandbox.url, sandbox.access_key, sandbox.secret_access_key, sandbox.numbers)
        spawn = multiprocessing.get_context("spawn")
        ready = spawn.Barrier(line.processes)
        errors = spawn.SimpleQueue()
        arguments = (access, line, store_url, ready, errors)
        workers = [spawn.Process(target=send_all_the_time, args=arguments) for _ in range(line.processes)]
        for worker in workers:
            worker.start()
        told = [errors.get() for _ in workers]
        seen = sum((each for each, _ in told), Counter[str]())
        times = {step: [took for _, each in told for took in each[step]] for step in STEPS}
        for worker in workers:
            worker.join()
        messages = sandbox.messages()
    setting = Setting(line.store, NUMBERS, 0, line.seconds, line.processes)
    if any(message["outcome"] == "accepted" for message in messages):
        return judge(messages, setting), seen, times
    return Figures(0, sum(message["outcome"] == "throttled" for message in messages), "none"), seen, times


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
        times = time_steps(journal, STEPS)
        ready.wait()
        until = time.monotonic() + line.seconds + AFTERWARDS
        threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until + LAST_SECONDS - time.monotonic()))
        errors.put((seen, times))


def time_steps(journal: MessageJournal, steps: tuple[str, ...]) -> Times:
    """Note how long each step takes, in seconds."""
    times: Times = {step: [] for step in steps}

    def timed(step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            begun = time.monotonic()
            found = work(*args, **options)
            times[step].append(time.monotonic() - begun)
            return found

        return run

    for step in steps:
        setattr(journal, step, timed(step, getattr(journal, step)))
    return times


def in_words(times: list[float]) -> str:
    """Return median and 95th percentile, in milliseconds."""
    if len(times) < 2:
        return "-"
    return f"{statistics.median(times) * 1000:.1f} ({statistics.quantiles(times, n=20)[-1] * 1000:.0f})"


@contextmanager
def store_of(line: AccountSlots, postgres: OwnPostgres, chosen: argparse.Namespace, api_server: str) -> Iterator[str]:
    if line.store.startswith("door"):
        users = busy_ui(api_server, chosen.ui) if line.store == BUSY else nullcontext()
        with users, at_distance(api_server, line.distance) as url:
            yield url
    elif line.store == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/journal.db"
    else:
        with running_proxy(postgres.new_database(driver=chosen.driver), delay=line.distance / 2) as proxy:
            yield proxy.url


def places_of(chosen: argparse.Namespace) -> list[tuple[str, float]]:
    places = [("postgresql", distance) for distance in chosen.distances]
    places += [("door", distance) for distance in chosen.door]
    places += [(BUSY, 0.0)] if chosen.ui else []
    return places + [("sqlite", commit) for commit in chosen.commits]


@contextmanager
def api_server_of(chosen: argparse.Namespace, postgres: OwnPostgres) -> Iterator[str]:
    if chosen.door or chosen.ui:
        with running_api_server(postgres.new_database()) as url:
            yield url
    else:
        yield ""


def show_shares(chosen: argparse.Namespace, postgres: OwnPostgres, api_server: str) -> None:
    lines = [
        AccountSlots(store, distance, processes, chosen.seconds)
        for _, (store, distance), processes in itertools.product(
            range(chosen.rounds), places_of(chosen), chosen.processes
        )
    ]

    def figures(line: AccountSlots) -> tuple[Figures, Counter[str], Times, float]:
        with store_of(line, postgres, chosen, api_server) as url:
            return *measure(line, url), os.getloadavg()[0]

    print(
        "| journal | away | processes | share of what the limits allow | refused | densest second | errors "
        "| reserve, start, settle: median (p95) ms | load |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    with ThreadPoolExecutor(chosen.at_once) as pool:
        for line, (found, errors, times, load) in zip(lines, pool.map(figures, lines), strict=True):
            told = ", ".join(f"{count} {name}" for name, count in errors.most_common()) or "0"
            print(
                f"| {line.store} | {line.distance * 1000:.0f} ms | {line.processes} "
                f"| {found.share:.1%} | {found.refused} | {found.densest} | {told} "
                f"| {', '.join(in_words(times[step]) for step in STEPS)} | {load:.0f} |",
                flush=True,
            )


def show_steps(chosen: argparse.Namespace, postgres: OwnPostgres, api_server: str) -> None:
    """Send messages one after the other."""
    steps = ("find", *STEPS)
    print(f"| journal | away | {' | '.join(steps)} |\n|---|---|{'---|' * len(steps)}")
    for store, distance in places_of(chosen):
        line = AccountSlots(store, distance, 1, 0)
        with (
            running_sandbox(access_key=uuid.uuid4().hex, numbers=numbers_of(NUMBERS)) as sandbox,
            slow_commits(distance) if store == "sqlite" else nullcontext(),
            store_of(line, postgres, chosen, api_server) as url,
        ):
            access = (sandbox.url, sandbox.access_key, sandbox.secret_access_key, sandbox.numbers)
            sender, journal, message = sender_to(access, url)
            sender.send(message, key=uuid.uuid4().hex)
            times = time_steps(journal, steps)
            for _ in range(chosen.texts):
                journal.find(uuid.uuid4().hex)
                sender.send(message, key=uuid.uuid4().hex)
        print(
            f"| {store} | {distance * 1000:.0f} ms | {' | '.join(in_words(times[step]) for step in steps)} |",
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
    parser.add_argument("--door", type=float, nargs="*", default=[0, 0.05], help="round trips to the API server")
    parser.add_argument("--ui", type=float, default=40, help="requests of the pages' users per second; 0 for none")
    parser.add_argument("--rounds", type=int, default=1, help="how often all lines are measured, in turns")
    parser.add_argument("--commits", type=float, nargs="*", default=[0, 0.05], help="how long SQLite's commits take")
    parser.add_argument("--driver", default="psycopg2", help="psycopg2 or psycopg")
    parser.add_argument("--at-once", type=int, default=1, help="how many lines are measured side by side")
    parser.add_argument(
        "--round-trips", action="store_true", help="round trips and processor time of a message instead"
    )
    parser.add_argument("--steps", action="store_true", help="how long each step of a message takes instead")
    parser.add_argument("--texts", type=int, default=100, help="how many messages --round-trips and --steps send")
    chosen = parser.parse_args()
    with own_postgres(fsync=True) as postgres:
        if chosen.round_trips:
            show_round_trips(chosen, postgres)
            return
        with api_server_of(chosen, postgres) as api_server:
            (show_steps if chosen.steps else show_shares)(chosen, postgres, api_server)


if __name__ == "__main__":
    main()
