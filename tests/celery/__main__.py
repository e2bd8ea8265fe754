"""`python -m tests.celery`: a distributed Airflow with nothing set, whose workers have no database, until Ctrl-C."""

import json
import shutil
import signal
import sys

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from demo.__main__ import ALERT_TO, TRIGGERED
from tests.celery.cluster import NUMBERS, programs, running_cluster
from tests.wheel.conftest import ROOT

FOLDER = ROOT / ".demo" / "cluster"


def main() -> None:
    """Run the example DAGs in it, and leave it running."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "programs").mkdir(parents=True)
    _say("Installing the wheel and Celery")
    bin_ = programs(FOLDER / "programs")
    with running_sandbox(numbers=NUMBERS) as sandbox:
        _say("Starting PostgreSQL, a scheduler, an API server, and two workers with homes of their own")
        environment = {
            "AIRFLOW_CONN_DIALOGTECH_DEFAULT": json.dumps(sandbox.connection(alert_to=ALERT_TO)),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
            # The API server reads the logs there: two workers on one machine cannot both serve theirs.
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(FOLDER / "logs"),
        }
        with running_cluster(bin_, FOLDER / "airflow", environment, has_own_journal=False) as (cluster, _):
            for dag_id in TRIGGERED:
                cluster.trigger(dag_id)
            _say(f"\nAirflow (no password needed): {cluster.url}\nDialogTech's inbox:           {sandbox.base_url}\n")
            cluster.processes.wait_until("Ctrl-C", lambda: False, seconds=float("inf"))


def _say(step: str) -> None:
    print(step, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit()
