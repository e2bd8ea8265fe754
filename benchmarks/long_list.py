"""One list through its operator, up to its first message: what it takes. `benchmarks.scale` runs this.

python -m benchmarks.long_list 100000 90000
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import tempfile
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from tests.journal.looking import change

NUMBERS = tuple(f"55543321{n:02}" for n in range(8))


class Lines(logging.Handler):
    """Counts the lines of the log."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        self.count += 1


def send(sandbox: RunningSandbox, url: str, count: int, sent: int) -> str:
    """Send a list until a message has arrived; return what that took.

    :param count: its rows.
    :param sent: how many of them an earlier try has sent.
    """
    from airflow.sdk import DAG

    from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator

    lines = Lines()
    logging.getLogger("airflow_provider_dialogtech").addHandler(lines)
    logging.getLogger("airflow_provider_dialogtech").setLevel(logging.INFO)
    pushed: dict[str, Any] = {}
    names = {"dag_id": "dag", "run_id": "run", "task_id": "send", "map_index": -1}
    context: Any = {"ti": SimpleNamespace(**names, xcom_push=lambda key, value: pushed.update({key: value}))}
    rows = [{"to": f"5556{row:06}", "name": f"Ada {row}"} for row in range(count)]
    with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        task = DialogTechSendBulkSmsOperator(task_id="send", recipients=rows, message="Hi {{ recipient.name }}")
    if sent:
        write_sent(url, context, rows[:sent])
    begun = time.process_time()
    busy: list[float] = []

    def stop_at_first() -> None:
        while not sandbox.accepted():
            time.sleep(0.2)
        busy.append(time.process_time() - begun)
        task.on_kill()

    threading.Thread(target=stop_at_first, daemon=True).start()
    task.render_template_fields(context, dag.get_template_env())
    with suppress(Exception):  # it was stopped
        task.execute(context)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = len(json.dumps(pushed)) / 1000
    return f"| {count:,} | {sent:,} | {busy[0]:.1f} s | {memory:.0f} MB | {lines.count} | {size:.1f} kB |"


def write_sent(url: str, context: Any, rows: list[dict[str, str]]) -> None:
    """Write rows into the journal as a task has that was stopped."""
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
    from airflow_provider_dialogtech.journal.records import stored_key
    from airflow_provider_dialogtech.journal.schema import messages
    from airflow_provider_dialogtech.journal.store import Store
    from airflow_provider_dialogtech.masking import digest
    from airflow_provider_dialogtech.settings.identity import keys_in

    Store(url).open()
    long_ago = time.time() - 7200
    same = {
        "account": DialogTechHook().settings.account, "number": "x", "state": "sent", "owner": "o", "digest": "d",
        "recipient_tail": "7777", "detail": '{"status": "sent", "segments": 1}',
        **dict.fromkeys(("at", "deadline", "created", "updated"), long_ago),
    }  # fmt: skip
    for first in range(0, len(rows), 1000):
        each = [
            {"key": stored_key(keys_in(context, SimpleNamespace(to=row["to"])).key),  # type: ignore[arg-type]
             "recipient": digest("recipient", row["to"])}
            for row in rows[first : first + 1000]
        ]  # fmt: skip
        change(url, sa.insert(messages).values([same | one for one in each]))


def main() -> None:
    count, sent = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder, running_sandbox(numbers=NUMBERS) as sandbox:
        url = f"sqlite:///{folder}/journal.db"
        os.environ["AIRFLOW_HOME"] = folder
        os.environ["AIRFLOW__DIALOGTECH__JOURNAL_URL"] = url
        os.environ["AIRFLOW_CONN_DIALOGTECH_DEFAULT"] = json.dumps(sandbox.connection())
        print(send(sandbox, url, count, sent))


if __name__ == "__main__":
    main()
