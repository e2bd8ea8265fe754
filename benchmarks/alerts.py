"""How soon after a failure does its text arrive, beside lists as well, and what becomes of a storm?

First a real scheduler runs a DAG that fails, several times. Then alerts are called beside lists that keep the line
full, with the journal in a PostgreSQL near and some way off. Then processes call the notifier for 500 failures of one
DAG at once, through SQLite and through PostgreSQL.

    python -m benchmarks.alerts --help
    python -m benchmarks.alerts --runs 0 --failures 0 --alerts 4 --at-once 3        (less than three minutes)
    python -m benchmarks.alerts --runs 0 --failures 0 --alerts 50
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import multiprocessing
import os
import shutil
import statistics
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.delivery.journal import SendJournal
from airflow_provider_dialogtech.delivery.limits import LONGEST_WINDOW, SHORT_MARGIN, RateLimits
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.delivery.store import Store
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from airflow_provider_dialogtech.sms.message import SmsMessage
from benchmarks.delivery import numbers_of
from benchmarks.stores import running_postgres
from tests.proxies.tcp import running_proxy
from tools.airflow_home import running_airflow

ON_TASK, ON_DAG = "5556667701", "5556667702"
ON_LIST = "5556667703"
THREADS_OF_A_LIST = 12


@dataclass(frozen=True)
class Line:
    """One line of the table: alerts beside so many lists, from so many numbers.

    :param distance: the round trip to PostgreSQL, in seconds.
    """

    lists: int
    numbers: int
    distance: float


def connection_to(sandbox: RunningSandbox) -> dict[str, Any]:
    extra = {"from_numbers": ",".join(sandbox.numbers), "alert_to": ON_TASK, "alert_budget": 1000}
    keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key}
    return {"conn_type": "dialogtech", "host": sandbox.url, **keys, "extra": extra}


def through_a_scheduler(folder: Path, runs: int) -> None:
    """Print how many seconds lie between a task's failure and the arrival of its text."""
    (folder / "dags").mkdir()
    shutil.copy(Path(__file__).parent / "dags_of_alerts.py", folder / "dags")
    connections = {}
    with running_sandbox() as sandbox:
        connections["dialogtech_default"] = connection_to(sandbox)
        with running_airflow(folder / "home", folder / "dags", connections=connections) as airflow:
            for run in range(runs):
                airflow.trigger("fails", f"run_{run}")
                airflow.processes.wait_until(
                    "both alerts arrived", lambda run=run: len(sandbox.messages()) == 2 * run + 2
                )
        arrived = sandbox.messages()
    failed_at = {
        run: float(moment) for run, moment in (text["message"].split() for text in arrived if text["to"] == ON_TASK)
    }
    for name, number in (("a task's callback", ON_TASK), ("a DAG's callback", ON_DAG)):
        took = sorted(text["at"] - failed_at[text["message"].split()[0]] for text in arrived if text["to"] == number)
        print(
            f"{name}: {len(took)} failures, the text arrived after {statistics.median(took):.2f} s (median), "
            f"{took[0]:.2f} to {took[-1]:.2f} s"
        )


def beside_lists(new_database: Any, options: argparse.Namespace) -> None:
    """Print how long after its call an alert is out, and what the lists reach of what the limits leave them."""
    lines = [
        Line(lists, numbers, distance)
        for distance, numbers, lists in itertools.product(options.distances, options.numbers, options.lists)
    ]
    urls = [new_database(f"line_{number}") for number in range(len(lines))]
    print("| journal away | numbers | lists | alerts | median | worst | share of the lists | refused for the rate |")
    print("|---|---|---|---|---|---|---|---|")
    with ThreadPoolExecutor(options.at_once) as pool:
        measured = pool.map(lambda line, url: measure(line, url, options.alerts), lines, urls)
        for line, (took, share, refused) in zip(lines, measured, strict=True):
            print(
                f"| {line.distance * 1000:.0f} ms | {line.numbers} | {line.lists} | {len(took)} "
                f"| {statistics.median(took):.2f} s | {max(took):.2f} s | {share} | {refused} |",
                flush=True,
            )


def measure(line: Line, store_url: str, alerts: int) -> tuple[list[float], str, int]:
    """Return how long each alert took by the sandbox's times, the lists' share, and how many texts were refused."""
    spawn = multiprocessing.get_context("spawn")
    with (
        running_sandbox(numbers=numbers_of(line.numbers)) as sandbox,
        running_proxy(store_url, delay=line.distance / 2) as proxy,
    ):
        ready, over, called = spawn.Barrier(line.lists + 2), spawn.Event(), spawn.SimpleQueue()
        access = (sandbox.url, sandbox.access_key, sandbox.secret_access_key, sandbox.numbers)
        connection = json.dumps(connection_to(sandbox))
        # Not more alerts in a minute than the reserve allows, and the next is called where it finds the line at random.
        pauses = [
            LONGEST_WINDOW / (4 * min(line.numbers, 4)) * (0.5 + (7 * place % 11) / 10) for place in range(alerts)
        ]
        workers = [
            spawn.Process(target=keep_line_full, args=(access, proxy.url, ready, over)) for _ in range(line.lists)
        ]
        workers.append(spawn.Process(target=call_alerts, args=(connection, proxy.url, ready, called, pauses)))
        for worker in workers:
            worker.start()
        ready.wait(120)
        times: list[float] = called.get()
        over.set()
        for worker in workers:
            worker.join()
        arrived = sandbox.messages()
    accepted = [text for text in arrived if text["outcome"] == "accepted"]
    out = {text["message"]: text["at"] for text in accepted if text["to"] == ON_TASK}
    took = [out[f"alert {place}"] - moment for place, moment in enumerate(times) if f"alert {place}" in out]
    lost = len(times) - len(took)
    arrived_of_lists = [text["at"] for text in accepted if text["to"] == ON_LIST and text["at"] <= times[-1]]
    share = share_of_lists(arrived_of_lists, line.numbers, len(took)) if line.lists else "-"
    refused = sum(text["outcome"] == "throttled" for text in arrived)
    return took, share + (f" ({lost} ALERTS LOST)" if lost else ""), refused


def share_of_lists(arrived: list[float], numbers: int, alerts: int) -> str:
    """Compare with what the limits leave, beside the alerts, from the first text to the last alert's call."""
    limits, seconds = RateLimits(), arrived[-1] - arrived[0]
    each_second = min(limits.account_per_second, limits.number_per_second * numbers) / (1 + SHORT_MARGIN)
    minutes, rest = divmod(seconds, LONGEST_WINDOW)
    # A number's texts of a minute leave as soon as they may, and then it waits.
    of_rest = min(limits.ordinary_per_minute, rest * limits.number_per_second / (1 + SHORT_MARGIN))
    of_numbers = numbers * (minutes * limits.ordinary_per_minute + of_rest)
    return f"{(len(arrived) - 1) / min(each_second * seconds - alerts, of_numbers):.0%}"


def keep_line_full(access: Any, store_url: str, ready: Barrier, over: Any) -> None:
    """Send as a list does, until it is over."""
    url, key, secret, numbers = access
    journal = SendJournal(Store(store_url), digest("account", key), RateLimits())
    message = SmsMessage.create(to=ON_LIST, message="list", from_numbers=numbers)

    def sleep(seconds: float) -> None:
        if over.wait(seconds):
            raise SystemExit

    def work() -> None:
        while not over.is_set():
            sender.send(message, key=uuid.uuid4().hex)

    logging.disable()
    sender = SmsSender(DialogTechClient(key, secret, url), journal, sleep=sleep)
    journal.find("nothing")  # the first connection is not measured
    ready.wait(120)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS_OF_A_LIST)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 if over.wait() else None)


def call_alerts(connection: str, store_url: str, ready: Barrier, called: Any, pauses: list[float]) -> None:
    """Call one alert after the other, some seconds apart; tell when each was called."""
    notify = notifier(connection, store_url)
    ready.wait(120)
    times = []
    for place, pause in enumerate(pauses):
        time.sleep(pause)
        times.append(time.time())
        notify(f"alert {place}")
    called.put(times)


def notifier(connection: str, store_url: str) -> Any:
    """Set this process up as one of Airflow's; return what calls an alert."""
    os.environ["AIRFLOW_CONN_DIALOGTECH_DEFAULT"] = connection
    os.environ["AIRFLOW__DIALOGTECH__JOURNAL_URL"] = store_url
    os.environ["AIRFLOW__CORE__EXECUTOR"] = "LocalExecutor"
    from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

    logging.disable()
    ti = SimpleNamespace(dag_id="dag", task_id="task", run_id="run", state="failed", try_number=1, max_tries=0)
    # What a first alert imports is not counted: each of the processes stands for many tasks.
    DialogTechSmsNotifier(to="none", dedup_key="warm-up")({"ti": ti})
    return lambda words: DialogTechSmsNotifier(words, dedup_key=words)({"ti": ti, "run_id": "run"})


def storm(store_url: str, failures: int, processes: int) -> None:
    """Print how many texts a storm is, and how long it takes."""
    with running_sandbox() as sandbox:
        connection = json.dumps(connection_to(sandbox))
        spawn = multiprocessing.get_context("spawn")
        ready, results = spawn.Barrier(processes + 1), spawn.SimpleQueue()
        share = [failures // processes + (index < failures % processes) for index in range(processes)]
        workers = [spawn.Process(target=fail, args=(connection, store_url, ready, results, part)) for part in share]
        for worker in workers:
            worker.start()
        ready.wait(120)
        begun = time.monotonic()
        held = sorted(seconds for _ in workers for seconds in results.get())
        took = time.monotonic() - begun
        for worker in workers:
            worker.join()
        texts = sandbox.messages()
    kind = store_url.split(":", 1)[0].split("+", 1)[0]
    print(
        f"{kind}: {len(held)} failures in {processes} processes were {len(texts)} text(s) in {took:.2f} s; "
        f"a callback was held for {statistics.median(held) * 1000:.0f} ms (median), {held[-1] * 1000:.0f} ms at most"
    )


def fail(connection: str, store_url: str, ready: Barrier, results: Any, failures: int) -> None:
    """Call the notifier as failing tasks of one DAG do; tell how long each call took."""
    notifier(connection, store_url)
    from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

    ready.wait(120)
    held = []
    for index in range(failures):
        ti = SimpleNamespace(
            dag_id="dag", task_id=f"task_{index}", run_id="run", state="failed", try_number=1, max_tries=0
        )
        begun = time.monotonic()
        DialogTechSmsNotifier()({"ti": ti, "run_id": "run", "exception": RuntimeError("the database is away")})
        held.append(time.monotonic() - begun)
    results.put(held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="DAG runs through a real scheduler; 0 leaves them out")
    parser.add_argument("--alerts", type=int, default=50, help="alerts in each line beside lists; 0 leaves them out")
    parser.add_argument("--lists", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--distances", type=float, nargs="+", default=[0, 0.02], help="round trips to the journal")
    parser.add_argument("--at-once", type=int, default=1, help="how many lines are measured side by side")
    parser.add_argument("--failures", type=int, default=500, help="failures in the storm; 0 leaves it out")
    parser.add_argument("--processes", type=int, default=16, help="processes that fail at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.runs:
            through_a_scheduler(folder, options.runs)
        if options.failures:
            storm(f"sqlite:///{folder / 'journal.db'}", options.failures, options.processes)
        with running_postgres(folder) as new_database:
            if options.alerts:
                beside_lists(new_database, options)
            if options.failures:
                storm(new_database("storm"), options.failures, options.processes)


if __name__ == "__main__":
    main()
