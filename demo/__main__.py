"""`python -m demo`: run the example DAGs through a real Airflow, against a local DialogTech, and show what arrived."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from demo import report
from demo.airflow_home import AirflowHome, running_airflow
from demo.processes import BackgroundFailed

SCHEDULED = "dialogtech_daily_notification"
TRIGGERED = "dialogtech_text_per_row"

_ROOT = Path(__file__).resolve().parent.parent
_STARTED = time.monotonic()


class NotAsExpected(Exception):
    """Airflow and the local DialogTech do not tell the same story."""


def main() -> None:
    """Run the demo; leave with 0 only when every text arrived."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--stay", action="store_true", help="leave Airflow and the local DialogTech running until Ctrl-C"
    )
    stay = parser.parse_args().stay
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops all that was started on the way out
    try:
        _run(stay=stay)
    except (BackgroundFailed, NotAsExpected) as failure:
        sys.exit(f"\nThe demo failed. {failure}")
    except KeyboardInterrupt:
        sys.exit(0 if stay else 130)


def _run(*, stay: bool) -> None:
    folder = _ROOT / ".demo" / ("ui" if stay else "run")
    shutil.rmtree(folder, ignore_errors=True)
    _say("Starting a local DialogTech")
    with running_sandbox() as sandbox:
        connection = {
            "conn_type": "dialogtech",
            "login": sandbox.access_key,
            "password": sandbox.secret_access_key,
            "host": sandbox.url,
            "extra": {"from_numbers": ",".join(sandbox.numbers), "alert_to": "5556667777"},
        }
        connections = {"dialogtech_default": connection}
        with running_airflow(folder, _ROOT / "example_dags", connections=connections, say=_say) as home:
            results = _run_dags(home)
            _show_and_check(results, sandbox.messages())
            if stay:
                _say("Running until Ctrl-C")
                print(
                    f"\nAirflow (no password needed): {home.url}\nDialogTech's inbox:           {sandbox.base_url}\n",
                    flush=True,
                )
                _wait_for_ctrl_c(home)
            _say("Stopping Airflow")
        _say("Stopping the local DialogTech")
    _say("Done")


def _run_dags(home: AirflowHome) -> dict[str, Any]:
    _say(f"Triggering {TRIGGERED}; the scheduler starts {SCHEDULED} by itself")
    home.trigger(TRIGGERED, "demo")
    runs = ((SCHEDULED, home.wait_for_scheduled_run(SCHEDULED)), (TRIGGERED, "demo"))
    results: dict[str, Any] = {}
    for dag_id, run_id in runs:
        _say(f"Waiting for the run of {dag_id}")
        state = home.wait_for_run(dag_id, run_id)
        if state != "success":
            raise NotAsExpected(f"The run of {dag_id} is {state}.\n{home.task_logs(dag_id)}")
        for (task, index), value in home.metadata.results_of_run(dag_id, run_id).items():
            results[f"{dag_id}.{task}" + (f"[{index}]" if index >= 0 else "")] = value
    return results


def _show_and_check(results: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    accepted = [message for message in messages if message["outcome"] == "accepted"]
    print(f"\nThe texts that arrived:\n\n{report.arrivals(accepted)}\n\nWhat the tasks returned (XCom):\n")
    for task, value in results.items():
        print(report.result_of(task, value), end="\n\n", flush=True)
    sent = [value for value in results.values() if isinstance(value, dict) and value.get("status") == "sent"]
    told = Counter((result["from"][-4:], result["to"][-4:]) for result in sent)
    arrived = Counter((message["from"][-4:], message["to"][-4:]) for message in accepted)
    if not told or told != arrived:
        raise NotAsExpected(f"Airflow sent {told.total()} texts, and {arrived.total()} arrived.")
    _say(f"All {arrived.total()} texts arrived, each once")


def _wait_for_ctrl_c(home: AirflowHome) -> None:
    home.processes.wait_until("Ctrl-C", lambda: False, seconds=float("inf"))


def _say(step: str) -> None:
    print(f"{time.monotonic() - _STARTED:6.1f} s  {step}", flush=True)


if __name__ == "__main__":
    main()
