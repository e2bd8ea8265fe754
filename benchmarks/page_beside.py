"""What does sending lose while pages Messages are open over an old journal of 1.5 million rows?

A list is sent in turns, with open pages and without. Each page asks as often as it does in a browser, for what is read
longest: messages in doubt of 90 days, by a user who may see some DAGs only. The sandbox records when messages arrive.

    python -m benchmarks.page_beside --help
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.operations.messages import Messages, usage_of
from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from benchmarks.scale import NUMBER, a_list
from benchmarks.stores import running_postgres

DAY = 86400.0
DAYS = 90
DAGS = 200
EVERY = 5.0  # as api_server/static/messages.js refreshes
PER_SECOND = 4
SHOWN = 101

_processes = multiprocessing.get_context("spawn")
_COLUMNS = (
    "account, number, at, state, key, owner, digest, recipient, recipient_tail, detail, deadline, created, updated, "
    "dag_id, run_id, task_id"
)
_ROW = """
    SELECT 'old', 'number', {now} - n * {apart}, CASE WHEN n % 1000 = 7 THEN 'in_doubt' ELSE 'sent' END,
        'key ' || n, 'owner', 'digest', 'recipient', '7777', '{{}}', {now} - n * {apart}, {now} - n * {apart},
        {now} - n * {apart}, 'dag ' || n % {dags}, 'run ' || n / 1000, 'task' FROM numbers
"""
_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})",
    "postgresql": "WITH numbers(n) AS (SELECT generate_series(1, {rows}))",
}


def fill(url: str, rows: int) -> None:
    """Put old messages into a new journal."""
    Store(url).open()
    engine = sa.create_engine(url)
    numbers = _NUMBERS[engine.dialect.name].format(rows=rows)
    row = _ROW.format(now=time.time() - 120, apart=(DAYS - 1) * DAY / rows, dags=DAGS)
    with engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO dialogtech_messages ({_COLUMNS}) {numbers} {row}"))
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE dialogtech_messages"))
    engine.dispose()


def refresh_page(url: str, is_open: Any, told: Any) -> None:
    """Ask what an open page asks; tell how long each refresh took, None where it got no answer."""
    logging.disable()
    store = Store(url)
    messages = Messages(store)
    store.open()
    told.put(0.0)
    while True:
        is_open.wait()
        begun = time.monotonic()
        try:
            for dag_ids in (None, list(messages.dag_ids())[: DAGS // 2]):
                messages.list(
                    since=DAYS * DAY, state=State.IN_DOUBT, dag_ids=dag_ids, run_id="", task_id="", most=SHOWN
                )
            usage_of(store)
            told.put(time.monotonic() - begun)
        except JournalUnavailable:
            told.put(None)
        time.sleep(max(0.0, begun + EVERY - time.monotonic()))


@contextmanager
def open_pages(url: str, count: int) -> Iterator[tuple[Any, Any]]:
    """Run the processes of open pages; give what opens and closes them, and the times of their refreshes."""
    is_open, told = _processes.Event(), _processes.Queue()
    pages = [_processes.Process(target=refresh_page, args=(url, is_open, told), daemon=True) for _ in range(count)]
    for page in pages:
        page.start()
    for _ in pages:
        told.get()  # to start takes a second of processor time, which is not measured
    try:
        yield is_open, told
    finally:
        for page in pages:
            page.kill()
            page.join()


def measure(sandbox: RunningSandbox, url: str, pages: int, rounds: int, seconds: float) -> str:
    """Send in turns with open pages and without; return a line of the table."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    with open_pages(url, pages) as (is_open, told):
        for place in range(2 * rounds):
            # The first of two turns is with the pages, then without them.
            opened = place % 4 in {0, 3}
            (is_open.set if opened else is_open.clear)()
            rates[opened].append(a_list(sandbox, url, PER_SECOND, seconds)[0])
        took = [told.get() for _ in range(told.qsize())]
    share = statistics.mean(rates[True]) / statistics.mean(rates[False])
    answered = [one for one in took if one is not None]
    return (
        f"{_in_words(rates[False])} | {_in_words(rates[True])} | {share:.1%} | {statistics.median(answered):.2f} s, "
        f"{max(answered):.2f} s | {len(took) - len(answered)} of {len(took)}"
    )


def _in_words(rates: list[float]) -> str:
    return f"{statistics.mean(rates):.2f} ({min(rates):.2f} to {max(rates):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_500_000)
    parser.add_argument("--pages", type=int, default=3, help="how many are open")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=40, help="how long each turn sends")
    parser.add_argument("--only", help="SQLite or PostgreSQL")
    chosen = parser.parse_args()
    logging.getLogger("airflow_provider_dialogtech").setLevel(logging.ERROR)
    raised = ["--account-per-second=100000", "--number-per-second=100000", "--number-per-minute=6000000"]
    with (
        tempfile.TemporaryDirectory() as folder,
        running_postgres(Path(folder)) as postgres,
        running_sandbox(numbers=(NUMBER,), latency=0.08, arguments=raised) as sandbox,
    ):
        urls = {"SQLite": f"sqlite:///{folder}/old.db", "PostgreSQL": postgres("old")}
        print("| journal | messages per second without pages | with them | share | refresh: median, longest | failed |")
        print("|---|---|---|---|---|---|")
        for name in [chosen.only] if chosen.only else urls:
            fill(urls[name], chosen.rows)
            measured = measure(sandbox, urls[name], chosen.pages, chosen.rounds, chosen.seconds)
            print(f"| {name} | {measured} |", flush=True)


if __name__ == "__main__":
    main()
