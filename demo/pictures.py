"""`python -m demo.pictures`: take the pictures of the documentation from a real Airflow and the sandbox."""

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
    connection = {
        "conn_type": "dialogtech",
        "login": sandbox.access_key,
        "password": sandbox.secret_access_key,
        "host": sandbox.url,
        "extra": {"from_numbers": ",".join(sandbox.numbers), "alert_to": ALERT_TO},
    }
    with running_airflow(
        folder, DOCS.parent / "example_dags", connections={"dialogtech_default": connection}, say=_say
    ) as home:
        yield home


def _send(sandbox: RunningSandbox, home: AirflowHome) -> None:
    """Send messages of every kind: from a schedule, to a list with a refusal, an alert, and one that ends in doubt."""
    home.wait_for_run(DAILY, home.wait_for_scheduled_run(DAILY))
    sandbox.fault("refused", to=REFUSED_TO, times=1)
    for dag_id in (LIST, ALERTING):
        home.trigger(dag_id, RUN)
    home.processes.wait_until(
        "the list and the alert arrive",
        lambda: {REFUSED_TO, ALERT_TO} <= {message["to"] for message in sandbox.messages()},
        seconds=300,
    )
    sandbox.fault("reset_after_accept", to=IN_DOUBT_TO, times=1)
    home.trigger(DAILY, RUN)
    home.wait_for_run(DAILY, RUN)


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
    page.open(f"{home.url}/dags/{DAILY}/runs/{quote(RUN, safe='')}/tasks/good_morning", height=820)
    page.wait_for("document.body?.innerText.includes('may have been sent')")
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
