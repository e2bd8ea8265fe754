"""How much of what the limits allow do several processes use, and is any message refused?

Each line: one store, so many numbers, so much reply latency; four processes send for 80 s and more through one journal
to a sandbox that keeps the documented limits. Beside it the same through a plain `requests` loop with retries.

    python -m benchmarks.delivery --help
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import requests

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits, Window, closed_spans, first_open
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.sms.message import SmsMessage
from benchmarks.stores import running_postgres

RECIPIENT = "5556667777"
# Sent beyond what is counted, so that the count does not end in a lull.
AFTERWARDS = 2.0


@dataclass(frozen=True)
class Setting:
    way: str
    numbers: int
    latency: float
    seconds: float
    processes: int


@dataclass(frozen=True)
class Figures:
    share: float
    refused: int
    densest: str


def numbers_of(count: int) -> list[str]:
    return [f"55543321{index:02}" for index in range(count)]


def measure(setting: Setting, store_url: str) -> Figures:
    """Let the processes send, then judge by what the sandbox recorded."""
    with running_sandbox(numbers=numbers_of(setting.numbers), latency=setting.latency) as sandbox:
        access = (sandbox.url, sandbox.access_key, sandbox.secret_access_key, sandbox.numbers)
        work = send_plainly if setting.way == "requests" else send_through_journal
        spawn = multiprocessing.get_context("spawn")
        ready = spawn.Barrier(setting.processes)
        seconds = setting.seconds + AFTERWARDS
        workers = [
            spawn.Process(target=work, args=(access, store_url, ready, seconds)) for _ in range(setting.processes)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return judge(sandbox.messages(), setting)


def begin(ready: Barrier, seconds: float) -> float:
    """Wait for the other processes; tell until when to send."""
    ready.wait()
    return time.time() + seconds


def send_through_journal(access: Any, store_url: str, ready: Barrier, seconds: float) -> None:
    url, key, secret, numbers = access
    journal = MessageJournal(Store(store_url), digest("account", key), RateLimits())
    sender = SmsSender(DialogTechClient(key, secret, url), journal)
    message = SmsMessage.create(to=RECIPIENT, message="Hello", from_numbers=numbers)
    until = begin(ready, seconds)
    while time.time() < until:
        sender.send(message, key=uuid.uuid4().hex)


def send_plainly(access: Any, _store_url: str, ready: Barrier, seconds: float) -> None:
    url, key, secret, numbers = access
    keys = {"action": "sms.send_message", "access_key": key, "secret_access_key": secret}
    until = begin(ready, seconds)
    for number in itertools.cycle(numbers):
        for attempt in range(6):
            if time.time() >= until:
                return
            text = {**keys, "to": RECIPIENT, "from": number, "message": "Hello"}
            if "success" in requests.get(url, params=text, timeout=30).text:
                break
            time.sleep(min(2**attempt, 10))


def judge(messages: list[dict[str, Any]], setting: Setting) -> Figures:
    arrived = sorted(message["monotonic"] for message in messages if message["outcome"] == "accepted")
    counted = [time for time in arrived if time < arrived[0] + setting.seconds]
    return Figures(
        share=len(counted) / allowed(setting.numbers, setting.seconds),
        refused=sum(message["outcome"] == "throttled" for message in messages),
        densest=f"{densest(arrived, 1)} in 1 s",
    )


def allowed(numbers: int, seconds: float) -> int:
    """Count what the documented limits allow from a fresh start, each message as early as it may go."""
    account: list[float] = []
    by_number: list[list[float]] = [[] for _ in range(numbers)]
    while True:
        of_account = ((Window(4, 1),), account)
        slots = [
            (first_open(0, closed_spans([of_account, ((Window(1, 1), Window(40, 60)), times)], 0)), len(times), place)
            for place, times in enumerate(by_number)
        ]
        slot, _, number = min(slots)
        if slot >= seconds:
            return len(account)
        account.append(slot)
        by_number[number].append(slot)


def densest(times: list[float], seconds: float) -> int:
    return max(
        sum(start <= time < start + seconds for time in times[index : index + 100]) for index, start in enumerate(times)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=80)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--at-once", type=int, default=2, help="how many lines are measured side by side")
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 5, 8])
    parser.add_argument("--latencies", type=float, nargs="+", default=[0, 0.04, 0.15])
    parser.add_argument("--ways", nargs="+", default=["sqlite", "postgresql", "requests"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as postgres:
        settings = [
            Setting(way, numbers, latency, chosen.seconds, chosen.processes)
            for way, numbers, latency in itertools.product(chosen.ways, chosen.numbers, chosen.latencies)
            if way != "requests" or latency == chosen.latencies[0]
        ]

        def figures(setting: Setting) -> Figures:
            name = f"n{setting.numbers}l{int(setting.latency * 1000)}"
            url = postgres(name) if setting.way == "postgresql" else f"sqlite:///{folder}/{setting.way}{name}.db"
            return measure(setting, url)

        print("| way | numbers | latency | share of what the limits allow | refused | densest second |")
        print("|---|---|---|---|---|---|")
        with ThreadPoolExecutor(chosen.at_once) as pool:
            for setting, found in zip(settings, pool.map(figures, settings), strict=True):
                print(
                    f"| {setting.way} | {setting.numbers} | {setting.latency * 1000:.0f} ms "
                    f"| {found.share:.1%} | {found.refused} | {found.densest} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
