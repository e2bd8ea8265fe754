"""How soon is an alert out while lists, or what killed processes have left, keep the line full?

Each alert is called in a new process, as a task's callback is: it connects to the journal and knows nothing of how long
that takes. Only what it imports is imported before (some 0.3 s of processor time). Alerts are called as often as
`alert_reserve` allows for each number and minute, at random moments; with `--every`, each so many seconds. Lines of one
cell and the cells of one distance are measured side by side.

    python -m benchmarks.alerts_beside --help
    python -m benchmarks.alerts_beside --alerts 8 --distances 0 --numbers 3      (about a minute)
    python -m benchmarks.alerts_beside --alerts 36 --every 5 --distances 0 --numbers 1 --beside 1      (three minutes)
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import math
import multiprocessing
import os
import random
import signal
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits, Window, closed_spans, first_open
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from airflow_provider_dialogtech.sms.message import SmsMessage
from benchmarks.delivery import numbers_of
from benchmarks.stores import running_postgres
from tests.proxies.tcp import running_proxy

ALERT_TO, LIST_TO = "5556667701", "5556667703"
THREADS_OF_A_LIST = 12
KILLED = "killed"
RESERVED_BY_KILLED = 48
# A line is measured for about so long; a cell has as many lines as its alerts need.
LINE_SECONDS = 200.0
# An alert counts in its minute when it leaves, which may be so long after its call.
MINUTE = 60.5 + 3.0

IMPORTED = (
    "airflow_provider_dialogtech.notifications.sms",
    "airflow_provider_dialogtech.alerts.journals",
    "airflow_provider_dialogtech.journal.dedup",
    "airflow_provider_dialogtech.api.client",
    "airflow_provider_dialogtech.journal.postgres",
    "airflow_provider_dialogtech.delivery.sender",
    "airflow_provider_dialogtech.sms.message",
    "psycopg2",
)

LIMITS = RateLimits()
RESERVE = LIMITS.number_per_minute - LIMITS.ordinary_per_minute

_processes: Any = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Cell:
    """One cell of the table.

    :param distance: the round trip to PostgreSQL, in seconds.
    :param numbers: how many numbers messages may leave from.
    :param beside: how many lists keep the line full, or `killed`.
    """

    distance: float
    numbers: int
    beside: str

    @property
    def lists(self) -> int:
        return 0 if self.beside == KILLED else int(self.beside)

    def alerts_of_lines(self, alerts: int, every: float | None) -> list[int]:
        """Return how many alerts each line of the cell calls."""
        lines = math.ceil(alerts * (every or 60 / (RESERVE * self.numbers)) / LINE_SECONDS)
        return [alerts // lines + (line < alerts % lines) for line in range(lines)]


@dataclass
class Measured:
    """What was seen of a cell's lines."""

    took: list[float] = field(default_factory=list)
    called: int = 0
    texts: int = 0
    possible: int = 0
    refused: int = 0

    def row(self, cell: Cell) -> str:
        took = sorted(self.took) or [math.nan]
        share = f"{self.texts / self.possible:.1%}" if cell.lists else "-"
        cells = (
            f"{cell.distance * 1000:.0f} ms", cell.numbers, cell.beside, f"{len(self.took)} of {self.called}",
            f"{statistics.median(took):.2f} s", f"{took[math.ceil(0.95 * len(took)) - 1]:.2f} s", f"{took[-1]:.2f} s",
            share, self.refused,
        )  # fmt: skip
        return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=50, help="alerts in each cell")
    parser.add_argument("--every", type=float, help="call an alert each so many seconds, beyond the reserve, too")
    parser.add_argument("--beside", nargs="+", default=["0", "1", "2", KILLED], help="lists, or `killed`")
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--distances", type=float, nargs="+", default=[0, 0.02, 0.05], help="round trips to PostgreSQL")
    parser.add_argument("--details", action="store_true", help="print each alert that took more than 2 s")
    options = parser.parse_args()
    _processes.set_forkserver_preload([*IMPORTED, __name__])
    print("| journal away | numbers | beside | alerts out | median | 95 of 100 | worst | the lists' share | refused |")
    print("|---|---|---|---|---|---|---|---|---|")
    for distance in options.distances:
        cells = [Cell(distance, *other) for other in itertools.product(options.numbers, options.beside)]
        for cell, measured in measure(cells, options):
            print(measured.row(cell), flush=True)


def measure(cells: Sequence[Cell], options: argparse.Namespace) -> Iterator[tuple[Cell, Measured]]:
    """Measure cells of one distance side by side."""
    lines = [(cell, alerts) for cell in cells for alerts in cell.alerts_of_lines(options.alerts, options.every)]
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as new_database, ExitStack() as stack:
        urls = [new_database(f"line_{number}") for number in range(len(lines))]
        if cells[0].distance:
            proxy = stack.enter_context(running_proxy(urls[0], delay=cells[0].distance / 2))
            urls = [proxy.to(url).url for url in urls]
        with ThreadPoolExecutor(len(lines)) as pool:
            found = list(pool.map(measure_line, *zip(*lines, strict=True), urls, [options] * len(lines)))
    for cell in cells:
        of_cell = [line for (of, _), line in zip(lines, found, strict=True) if of == cell]
        whole = Measured()
        for line in of_cell:
            whole.took += line.took
            for name in ("called", "texts", "possible", "refused"):
                setattr(whole, name, getattr(whole, name) + getattr(line, name))
        yield cell, whole


def measure_line(cell: Cell, alerts: int, store_url: str, options: argparse.Namespace) -> Measured:
    with running_sandbox(numbers=numbers_of(cell.numbers)) as sandbox:
        if options.every is None:
            moments = moments_of_alerts(alerts, cell.numbers)
        else:
            moments = [3.0 + place * options.every for place in range(alerts)]
        connection = json.dumps(connection_to(sandbox))
        access = (sandbox.url, sandbox.access_key, sandbox.secret_access_key, sandbox.numbers)
        with running_beside(cell, access, store_url) as ready:
            called = _processes.SimpleQueue()
            caller = _processes.Process(target=call_alerts, args=(connection, store_url, ready, called, moments))
            caller.start()
            times: list[float] = called.get()
            caller.join()
        arrived = sandbox.messages()
    return judge(cell, times, arrived, options.details)


def judge(cell: Cell, times: Sequence[float], arrived: list[dict[str, Any]], details: bool) -> Measured:
    accepted = [text for text in arrived if text["outcome"] == "accepted"]
    out = {text["message"]: text["at"] for text in accepted if text["to"] == ALERT_TO}
    took = [out[f"alert {place}"] - moment for place, moment in enumerate(times) if f"alert {place}" in out]
    for place, moment in enumerate(times):
        seconds = out.get(f"alert {place}", math.inf) - moment
        if details and seconds > 2:
            print(f"  {cell}: alert {place} took {seconds:.2f} s, {moment - accepted[0]['at']:.1f} s into the list")
    refused = sum(text["outcome"] == "throttled" for text in arrived)
    measured = Measured(took, len(times), refused=refused)
    if cell.lists:
        texts = [text["at"] for text in accepted if text["to"] == LIST_TO and text["at"] <= times[-1]]
        measured.texts = len(texts)
        told = [(text["at"], text["from"]) for text in accepted if text["to"] == ALERT_TO]
        measured.possible = possible_texts(texts[0], times[-1], cell.numbers, told)
        if details:
            print(f"  {cell}: the lists sent {len(texts) * 60 / (times[-1] - texts[0]):.1f} messages per minute")
    return measured


def possible_texts(begun: float, ended: float, numbers: int, alerts: list[tuple[float, str]]) -> int:
    """Count what the vendor's limits and the reserve for alerts leave, without any margin, beside alerts that left."""
    of_account = (Window(LIMITS.account_per_second, 1.0),)
    of_number = (Window(LIMITS.number_per_second, 1.0), Window(LIMITS.number_per_minute, 60.0))
    of_lists = (Window(LIMITS.ordinary_per_minute, 60.0),)
    all_times = sorted(at for at, _ in alerts)
    by_number = {name: sorted(at for at, number in alerts if number == name) for name in numbers_of(numbers)}
    ordinary: dict[str, list[float]] = {name: [] for name in by_number}
    count, last = 0, begun
    while True:
        found = []
        for name, times in by_number.items():
            occupied = [(of_account, all_times), (of_number, times), (of_lists, ordinary[name])]
            found.append((first_open(last, closed_spans(occupied, last)), len(ordinary[name]), name))
        last, _, name = min(found)
        if last > ended:
            return count
        count += 1
        for line in (all_times, by_number[name], ordinary[name]):
            line.append(last)
            line.sort()


def moments_of_alerts(alerts: int, numbers: int) -> list[float]:
    """Return random moments, in seconds from the start, of which no minute has more than the reserve allows."""
    each_minute = RESERVE * numbers
    mean = MINUTE / each_minute
    moments: list[float] = []
    moment = 3.0
    for place in range(alerts):
        moment += random.uniform(0.1, 1.9) * mean
        if place >= each_minute:
            moment = max(moment, moments[place - each_minute] + MINUTE)
        moments.append(moment)
    return moments


def connection_to(sandbox: RunningSandbox) -> dict[str, Any]:
    extra = {"from_numbers": ",".join(sandbox.numbers), "alert_to": ALERT_TO, "alert_budget": 1000}
    keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key}
    return {"conn_type": "dialogtech", "host": sandbox.url, **keys, "extra": extra}


@contextmanager
def running_beside(cell: Cell, access: Any, store_url: str) -> Iterator[Barrier]:
    """Keep the line full for the length of the block; give what all wait at before they begin."""
    work = keep_reserving if cell.beside == KILLED else keep_line_full
    count = 1 if cell.beside == KILLED else cell.lists
    ready, over = _processes.Barrier(count + 1), _processes.Event()
    workers = [_processes.Process(target=work, args=(access, store_url, ready, over)) for _ in range(count)]
    for worker in workers:
        worker.start()
    try:
        yield ready
    finally:
        over.set()
        for worker in workers:
            worker.join()


def keep_line_full(access: Any, store_url: str, ready: Barrier, over: Event) -> None:
    """Send as a list does, until it is over."""
    url, key, secret, numbers = access
    journal = MessageJournal(Store(store_url), digest("account", key), LIMITS)
    message = SmsMessage.create(to=LIST_TO, message="list", from_numbers=numbers)

    def sleep(seconds: float) -> None:
        if over.wait(seconds):
            raise SystemExit

    def work() -> None:
        while not over.is_set():
            sender.send(message, key=uuid.uuid4().hex)

    logging.disable()
    sender = SmsSender(DialogTechClient(key, secret, url), journal, clock=Clock(sleep=sleep))
    journal.find("nothing")  # the first connection is not measured
    ready.wait(300)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS_OF_A_LIST)]
    for thread in threads:
        thread.start()
    over.wait()
    for thread in threads:
        thread.join(60)


def keep_reserving(access: Any, store_url: str, ready: Barrier, over: Event) -> None:
    """Let processes reserve slots and be killed, so that slots of killed processes lie before every alert."""
    _, key, _, numbers = access
    logging.disable()
    is_first = True
    while not over.is_set():
        begun = time.monotonic()
        child = os.fork()
        if not child:
            journal = MessageJournal(Store(store_url), digest("account", key), LIMITS)
            for _ in range(RESERVED_BY_KILLED):
                journal.reserve(SlotRequest(uuid.uuid4().hex, tuple(numbers), LIST_TO, "list"))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        if is_first:
            ready.wait(300)
            is_first = False
        reach = RESERVED_BY_KILLED / min(LIMITS.account_per_second, len(numbers))
        over.wait(max(0.0, begun + reach - time.monotonic()))


def call_alerts(connection: str, store_url: str, ready: Barrier, called: Any, moments: Sequence[float]) -> None:
    """Call each alert at its moment, in a new process; tell when each was called."""
    os.environ["AIRFLOW_CONN_DIALOGTECH_DEFAULT"] = connection
    os.environ["AIRFLOW__DIALOGTECH__JOURNAL_URL"] = store_url
    os.environ["AIRFLOW__CORE__EXECUTOR"] = "LocalExecutor"
    from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

    Store(store_url).open()
    children, times = [], []
    ready.wait(300)
    begun = time.monotonic()
    for place, moment in enumerate(moments):
        time.sleep(max(0.0, begun + moment - time.monotonic()))
        times.append(time.time())
        child = os.fork()
        if not child:
            logging.disable()
            ti = SimpleNamespace(dag_id="dag", task_id="task", run_id="run", state="failed", try_number=1, max_tries=0)
            DialogTechSmsNotifier(f"alert {place}", dedup_key=str(place))({"ti": ti, "run_id": "run"})
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    called.put(times)


if __name__ == "__main__":
    main()
