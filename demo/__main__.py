"""`python -m demo`: run the example DAGs in a real Airflow against a local DialogTech, and show the messages."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import requests

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from demo import report
from tools.airflow_home import AirflowHome, running_airflow
from tools.processes import BackgroundFailed

SCHEDULED = "dialogtech_daily_notification"
# The manually triggered DAGs, with the expected state of their runs.
TRIGGERED = {"dialogtech_message_per_row": "success", "dialogtech_alerting": "failed"}
ALERT_TO = "5556667790"

_ROOT = Path(__file__).resolve().parent.parent
_STARTED = time.monotonic()


class NotAsExpected(Exception):
    """Airflow and the local DialogTech disagree."""


def main() -> None:
    """Run the demo, and exit with 0 only if every message arrived."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--stay", action="store_true", help="leave Airflow and the local DialogTech running until Ctrl-C"
    )
    stay = parser.parse_args().stay
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: _exit(0 if stay else 128 + number))
    try:
        _run(stay=stay)
    except (BackgroundFailed, NotAsExpected, requests.RequestException) as failure:
        sys.exit(f"\nThe demo failed. {failure}")


def _exit(status: int) -> NoReturn:
    # Stopping takes some seconds; a second Ctrl-C must not interrupt it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)


def _run(*, stay: bool) -> None:
    folder = _ROOT / ".demo" / ("ui" if stay else "run")
    shutil.rmtree(folder, ignore_errors=True)
    _say("Starting a local DialogTech")
    with running_sandbox() as sandbox:
        connections = {"dialogtech_default": sandbox.connection(alert_to=ALERT_TO)}
        with running_airflow(folder, _ROOT / "example_dags", connections=connections, triggerer=stay, say=_say) as home:
            results = _run_dags(home)
            _say("Waiting for the alert of the DAG that failed")
            home.processes.wait_until(
                "the alert arrives",
                lambda: any(message["to"] == ALERT_TO for message in sandbox.accepted()),
                seconds=60,
            )
            _show_and_check(results, sandbox.accepted())
            if stay:
                _say("Running until Ctrl-C")
                print(
                    f"\nAirflow (no password needed): {home.url}\nDialogTech's inbox:           {sandbox.base_url}\n",
                    flush=True,
                )
                _wait_for_ctrl_c(home)
    _say("Done")


def _run_dags(home: AirflowHome) -> dict[str, Any]:
    _say(f"Triggering {' and '.join(TRIGGERED)}; the scheduler starts {SCHEDULED} by itself")
    for dag_id in TRIGGERED:
        home.trigger(dag_id, "demo")
    runs = [(SCHEDULED, home.wait_for_scheduled_run(SCHEDULED), "success")]
    runs += [(dag_id, "demo", expected) for dag_id, expected in TRIGGERED.items()]
    results: dict[str, Any] = {}
    for dag_id, run_id, expected in runs:
        _say(f"Waiting for the run of {dag_id}")
        state = home.wait_for_run(dag_id, run_id)
        if state != expected:
            raise NotAsExpected(f"The run of {dag_id} ended as {state}.\n{home.task_logs(dag_id)}")
        for (task, index), value in home.metadata.results_of_run(dag_id, run_id).items():
            results[f"{dag_id}.{task}" + (f"[{index}]" if index >= 0 else "")] = value
    return results


def _show_and_check(results: dict[str, Any], accepted: list[dict[str, Any]]) -> None:
    print(f"\nThe messages that arrived:\n\n{report.arrivals(accepted)}\n\nWhat the tasks returned (XCom):\n")
    for task, value in results.items():
        print(report.result_of(task, value), end="\n\n", flush=True)
    sent = [value for value in results.values() if isinstance(value, dict) and value.get("status") == "sent"]
    expected = sorted([result["to"][-4:] for result in sent] + [ALERT_TO[-4:]])
    arrived = sorted(message["to"][-4:] for message in accepted)
    if not sent or expected != arrived:
        raise NotAsExpected(
            f"Airflow sent messages to {', '.join(expected)}; messages to {', '.join(arrived)} arrived."
        )
    _say(f"All {len(arrived)} messages arrived, each once")


def _wait_for_ctrl_c(home: AirflowHome) -> None:
    home.processes.wait_until("Ctrl-C", lambda: False, seconds=float("inf"))


def _say(step: str) -> None:
    print(f"{time.monotonic() - _STARTED:6.1f} s  {step}", flush=True)


if __name__ == "__main__":
    main()
