"""How soon after a failure does its text arrive, beside a mapped task as well, and what becomes of a storm?

First a real scheduler runs a DAG that fails, several times: alone, then while a mapped task messages many people from
the same number. Then processes call the notifier for 500 failures of one DAG at once, through SQLite and PostgreSQL.
`benchmarks.alerts_beside` measures alerts beside lists.

    python -m benchmarks.alerts --help
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from benchmarks.stores import running_postgres
from tests.proxies.tcp import running_proxy
from tools.airflow_home import AirflowHome, running_airflow

ON_TASK, ON_DAG = "5556667701", "5556667702"
# Two alerts a run, of four that the reserve allows in a minute.
RUNS_APART = 32.0


def connection_to(sandbox: RunningSandbox) -> dict[str, Any]:
    extra = {"from_numbers": ",".join(sandbox.numbers), "alert_to": ON_TASK, "alert_budget": 1000}
    keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key}
    return {"conn_type": "dialogtech", "host": sandbox.url, **keys, "extra": extra}


def through_a_scheduler(folder: Path, runs: int, journal_url: str, mapped: int) -> None:
    """Print how many seconds lie between a task's failure and the arrival of its text."""
    (folder / "dags").mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "dags_of_alerts.py", folder / "dags")
    settings = {
        "MAPPED_TASKS": str(mapped),
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__DIALOGTECH__JOURNAL_URL": journal_url,
    }
    with running_sandbox(numbers=["5554332111"]) as sandbox:
        connections = {"dialogtech_default": connection_to(sandbox)}
        with running_airflow(
            folder / "home", folder / "dags", connections=connections, environment=settings
        ) as airflow:
            if mapped:
                airflow.trigger("texts_many", "run")
                airflow.processes.wait_until("the line is full", lambda: len(sandbox.accepted()) >= 4)
            for run in range(runs):
                begun = time.monotonic()
                run_and_wait(airflow, sandbox, f"run_{run}")
                if mapped:
                    time.sleep(max(0.0, begun + RUNS_APART - time.monotonic()))
        arrived = sandbox.accepted()
    print_delays(arrived, f"beside {mapped} mapped tasks" if mapped else "alone")
    if mapped:
        others = [text["at"] for text in arrived if text["to"] not in {ON_TASK, ON_DAG}]
        print(f"the mapped task sent {len(others)} messages in {others[-1] - others[0]:.0f} s meanwhile")


def run_and_wait(airflow: AirflowHome, sandbox: RunningSandbox, run: str) -> None:
    def both_arrived() -> bool:
        told = [text["to"] for text in sandbox.accepted() if text["message"].split()[0] == run]
        return sorted(told) == [ON_TASK, ON_DAG]

    airflow.trigger("fails", run)
    airflow.processes.wait_until("both alerts arrived", both_arrived)


def print_delays(arrived: list[dict[str, Any]], beside: str) -> None:
    failed_at = {
        run: float(moment) for run, moment in (text["message"].split() for text in arrived if text["to"] == ON_TASK)
    }
    for name, number in (("a task's callback", ON_TASK), ("a DAG's callback", ON_DAG)):
        took = sorted(text["at"] - failed_at[text["message"].split()[0]] for text in arrived if text["to"] == number)
        print(
            f"{name}, {beside}: {len(took)} failures, arrival after {statistics.median(took):.2f} s (median), "
            f"{took[0]:.2f} to {took[-1]:.2f} s",
            flush=True,
        )


def notifier(connection: str, store_url: str) -> Callable[[str], None]:
    """Set this process up as one of Airflow's; return what a failing task calls."""
    os.environ["AIRFLOW_CONN_DIALOGTECH_DEFAULT"] = connection
    os.environ["AIRFLOW__DIALOGTECH__JOURNAL_URL"] = store_url
    os.environ["AIRFLOW__CORE__EXECUTOR"] = "LocalExecutor"
    from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

    logging.disable()

    def fail(task_id: str) -> None:
        ti = SimpleNamespace(dag_id="dag", task_id=task_id, run_id="run", state="failed", try_number=1, max_tries=0)
        DialogTechSmsNotifier()({"ti": ti, "run_id": "run", "exception": RuntimeError("the database is away")})

    return fail


def storm(store_url: str, failures: int, processes: int, away: float = 0.0) -> None:
    """Print how many messages a storm is, and how long it takes.

    :param away: the round trip to the store, in seconds.
    """
    with running_sandbox() as sandbox, ExitStack() as stack:
        url = stack.enter_context(running_proxy(store_url, delay=away / 2)).url if away else store_url
        connection = json.dumps(connection_to(sandbox))
        spawn = multiprocessing.get_context("spawn")
        ready, results = spawn.Barrier(processes + 1), spawn.SimpleQueue()
        share = [failures // processes + (index < failures % processes) for index in range(processes)]
        workers = [spawn.Process(target=fail_often, args=(connection, url, ready, results, part)) for part in share]
        for worker in workers:
            worker.start()
        ready.wait(300)
        begun = time.monotonic()
        held = sorted(seconds for _ in workers for seconds in results.get())
        took = time.monotonic() - begun
        for worker in workers:
            worker.join()
        texts = sandbox.messages()
    kind = store_url.split(":", 1)[0].split("+", 1)[0] + (f" {away * 1000:.0f} ms away" if away else "")
    print(
        f"{kind}: {len(held)} failures in {processes} processes were {len(texts)} text(s) in {took:.2f} s; "
        f"a callback was held for {statistics.median(held) * 1000:.0f} ms (median), {held[-1] * 1000:.0f} ms at most",
        flush=True,
    )


def fail_often(connection: str, store_url: str, ready: Barrier, results: Any, failures: int) -> None:
    """Call the notifier as failing tasks of one DAG do; tell how long each call took."""
    fail = notifier(connection, store_url)
    ready.wait(300)
    held = []
    for index in range(failures):
        begun = time.monotonic()
        fail(f"task_{index}")
        held.append(time.monotonic() - begun)
    results.put(held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="DAG runs through a real scheduler; 0 leaves them out")
    parser.add_argument("--mapped", type=int, nargs="+", default=[0, 300], help="mapped tasks beside them")
    parser.add_argument("--failures", type=int, default=500, help="failures in the storm; 0 leaves it out")
    parser.add_argument("--processes", type=int, default=16, help="processes that fail at once")
    parser.add_argument("--away", type=float, nargs="+", default=[0, 0.05], help="round trips to PostgreSQL in a storm")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running_postgres(Path(name)) as new_database:
        folder = Path(name)
        for mapped in options.mapped if options.runs else ():
            through_a_scheduler(folder / f"beside_{mapped}", options.runs, new_database(f"beside_{mapped}"), mapped)
        if options.failures:
            storm(f"sqlite:///{folder / 'journal.db'}", options.failures, options.processes)
            for away in options.away:
                storm(new_database(f"storm_{away * 1000:.0f}"), options.failures, options.processes, away)


if __name__ == "__main__":
    main()
