"""`python -m tests.pictures`: take the pictures of the documentation from a real Airflow and the sandbox."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from tests.programs import path_of
from tests.sandbox.browser import Page, running_chromium
from tools.airflow_home import AirflowHome, running_airflow

DOCS = Path(__file__).resolve().parent.parent / "docs"
# Each is part of a page that people load on a phone.
LARGEST = 150_000

ALERT_TO, IN_DOUBT_TO, REFUSED_TO = "5556667790", "5556667777", "5556667783"
DAILY, LIST, ALERTING = "dialogtech_daily_notification", "dialogtech_customers", "dialogtech_alerting"
RUN = "manual__2026-12-01T07:00:00+00:00"
_PHONE = {"width": 390, "height": 600}
_SETTINGS = {
    "AIRFLOW__API__DEFAULT_WRAP": "True",  # the lines of a log
    # The pictures are the same however busy the machine is.
    "AIRFLOW__CORE__TASK_SUCCESS_OVERTIME": "60",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
}
_MOST_SECONDS = 900
_MOST_RUNS = 3


def main() -> None:
    """Run DAGs that show each outcome, and take the pictures."""
    if path_of("chromium") is None:
        sys.exit("The pictures need Chromium: apt-get install chromium")
    with running_sandbox() as sandbox, _airflow(sandbox) as home, tempfile.TemporaryDirectory() as profile:
        _send(sandbox, home)
        with running_chromium(profile) as page:
            _take(page, sandbox, home)


@contextmanager
def _airflow(sandbox: RunningSandbox) -> Iterator[AirflowHome]:
    folder = DOCS.parent / ".demo" / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    dags = folder / "dags"
    dags.mkdir(parents=True)
    for dag_id in (DAILY, LIST, ALERTING):
        for file in (DOCS.parent / "example_dags").glob(f"{dag_id}.*"):
            shutil.copy(file, dags)
    connections = {"dialogtech_default": sandbox.connection(alert_to=ALERT_TO)}
    with running_airflow(folder / "home", dags, connections=connections, environment=_SETTINGS, say=_say) as home:
        yield home


def _send(sandbox: RunningSandbox, home: AirflowHome) -> None:
    """Send messages of every kind: from a schedule, to a list with a refusal, an alert, and one that ends in doubt."""
    _run_to_end(home, DAILY, home.wait_for_scheduled_run(DAILY))
    sandbox.fault("refused", to=REFUSED_TO, times=1)
    home.trigger(LIST, RUN)
    _run_to_end(home, LIST, RUN)
    for number in range(_MOST_RUNS):
        home.trigger(ALERTING, f"manual__2026-12-01T04:{10 + number}:00+00:00")
        _run_to_end(home, ALERTING, f"manual__2026-12-01T04:{10 + number}:00+00:00")
        # An alert that a busy machine gave no slot in its time is in the log alone, and the next one counts it.
        if any(message["to"] == ALERT_TO for message in sandbox.accepted()):
            break
    sandbox.fault("reset_after_accept", to=IN_DOUBT_TO, times=1)
    home.trigger(DAILY, RUN)
    _run_to_end(home, DAILY, RUN)


def _run_to_end(home: AirflowHome, dag_id: str, run_id: str) -> None:
    _say(f"The run of {dag_id} ended as {home.wait_for_run(dag_id, run_id, seconds=_MOST_SECONDS)}")


def _take(page: Page, sandbox: RunningSandbox, home: AirflowHome) -> None:
    page.open(sandbox.base_url, height=620)
    page.wait_for("document.querySelectorAll('nav a').length > 3")
    _save(page, "inbox.png")
    page.open(sandbox.base_url, **_PHONE)
    page.wait_for("document.querySelector('nav a')")
    page.evaluate("[...document.querySelectorAll('nav a')].find((one) => one.innerText.includes('Airflow:')).click()")
    page.wait_for("document.getElementById('thread').offsetHeight")
    _save(page, "alert-on-a-phone.png")
    page.open(f"{home.url}/plugin/dialogtech_messages", height=900)
    page.wait_for("document.querySelector('iframe')?.contentDocument?.querySelectorAll('tbody tr').length > 5")
    _save(page, "messages-page.png")
    page.open(f"{home.url}/dags/{DAILY}/runs/{quote(RUN, safe='')}/tasks/good_morning", height=720)
    page.wait_for("document.querySelector('details[open] summary')?.innerText.includes('may have been sent')")
    # The frames of the exception have this machine's paths.
    page.evaluate("document.querySelector('details[open] summary').click()")
    _save(page, "task-log.png")


def _save(page: Page, name: str) -> None:
    time.sleep(1)  # for what is still being drawn
    path = DOCS / name
    page.screenshot(path)
    if path.stat().st_size > LARGEST:
        sys.exit(f"{name} has {path.stat().st_size:,} bytes, more than {LARGEST:,}.")
    _say(f"docs/{name}")


def _say(step: str) -> None:
    print(step, flush=True)


if __name__ == "__main__":
    main()
