"""What do we add: to importing Airflow's own operators, and to one bare request?

Measured side by side: importing Airflow's own classes and then ours, in new processes; and, in turns,
`DialogTechHook.send_sms` against `requests.get` to the same local server.

    python -m benchmarks.overhead --help
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time

PLENTY = 1000
BASE = """
try:
    from airflow.sdk import DAG, BaseHook, BaseNotifier, BaseOperator
except ImportError:
    from airflow.hooks.base import BaseHook
    from airflow.models import DAG, BaseOperator
    from airflow.notifications.basenotifier import BaseNotifier
"""
OURS = """
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator
"""
IN_TURN = f"""
import time
begun = time.perf_counter()
{BASE}
base = time.perf_counter()
{OURS}
print(base - begun, time.perf_counter() - base)
"""


def seconds_to_import() -> tuple[float, float]:
    """Import Airflow's classes and then ours, in a new process, and tell what each took."""
    # What pip installs is compiled; here the first round compiles it for the others, unless that is forbidden.
    compiling = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", IN_TURN], capture_output=True, text=True, check=True, env=compiling)
    base, ours = done.stdout.splitlines()[-1].split()
    return float(base), float(ours)


def measure_imports(rounds: int) -> None:
    seconds_to_import()
    base, ours = zip(*(seconds_to_import() for _ in range(rounds)), strict=True)
    print(f"import of Airflow's DAG, BaseOperator, BaseHook, BaseNotifier: {statistics.median(base) * 1000:.0f} ms")
    print(f"import of our operators and notifier on top: {statistics.median(ours) * 1000:.1f} ms more")


def compare_calls(rounds: int) -> None:
    import requests

    logging.disable(logging.WARNING)  # printing would be measured, too
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
    from airflow_provider_dialogtech.sandbox.process import running_sandbox

    limits = {"account_per_second": PLENTY, "number_per_second": PLENTY, "number_per_minute": 10 * PLENTY}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in limits.items()]
    with running_sandbox(arguments=flags) as sandbox:
        connection = sandbox.connection(from_numbers=sandbox.numbers[0], **limits)
        os.environ["AIRFLOW_CONN_DIALOGTECH_DEFAULT"] = json.dumps(connection)
        keys = {"access_key": sandbox.access_key, "secret_access_key": sandbox.secret_access_key}
        text = {"action": "sms.send_message", "to": "5556667777", "from": sandbox.numbers[0], "message": "Hello"}
        hook = DialogTechHook()
        client = hook.get_conn()
        ways = {
            "requests.get": lambda: requests.get(sandbox.url, params={**keys, **text}, timeout=10),
            "client.send (no journal)": lambda: client.send(to="5556667777", from_=sandbox.numbers[0], message="Hello"),
            "hook.send_sms (with journal and slot)": lambda: hook.send_sms(to="5556667777", message="Hello"),
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                begun = time.perf_counter()
                way()
                took[name].append((time.perf_counter() - begun) * 1000)
        for name, times in took.items():
            print(f"{name}: median {statistics.median(times):.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imports", type=int, default=9, help="how many times each is imported")
    parser.add_argument("--calls", type=int, default=100, help="how many times each is called")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        measure_imports(chosen.imports)
        compare_calls(chosen.calls)


if __name__ == "__main__":
    main()
