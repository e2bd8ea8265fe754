"""How soon after a failure does its text arrive, and what becomes of a storm?

First a real scheduler runs a DAG that fails, several times. Then processes call the notifier for 500 failures of one
DAG at once, through SQLite and through PostgreSQL.

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
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from benchmarks.stores import running_postgres
from demo.airflow_home import running_airflow

ON_TASK, ON_DAG = "5556667701", "5556667702"


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
    os.environ["AIRFLOW_CONN_DIALOGTECH_DEFAULT"] = connection
    os.environ["AIRFLOW__DIALOGTECH__JOURNAL_URL"] = store_url
    os.environ["AIRFLOW__CORE__EXECUTOR"] = "LocalExecutor"
    from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier

    logging.disable()
    # What a first alert imports is not counted: each of the processes stands for many tasks.
    DialogTechSmsNotifier(to="none", dedup_key="warm-up")({"ti": SimpleNamespace(dag_id="dag", task_id="task")})
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
    parser.add_argument("--failures", type=int, default=500, help="failures in the storm")
    parser.add_argument("--processes", type=int, default=16, help="processes that fail at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.runs:
            through_a_scheduler(folder, options.runs)
        storm(f"sqlite:///{folder / 'journal.db'}", options.failures, options.processes)
        with running_postgres(folder) as new_database:
            storm(new_database("storm"), options.failures, options.processes)


if __name__ == "__main__":
    main()
