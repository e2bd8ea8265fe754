"""Processes that send are killed at random moments, and their messages tried again: is one sent twice, is one lost?

Each message is sent by a process of its own that is killed (SIGKILL) somewhere between its first step and its last,
then sent again under the same key. Then the sandbox says how often it arrived, and the second try what is known of it.

    python -m benchmarks.kills --help
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.exceptions import InDoubt
from airflow_provider_dialogtech.journal import records
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sandbox.process import RunningSandbox, running_sandbox
from airflow_provider_dialogtech.sms.message import SmsMessage
from benchmarks.stores import running_postgres

NUMBERS = ("5554332111", "5554332112")
LATENCY = 0.1
# What may be out is in doubt soon, so that the second try need not wait long.
TIMEOUT, records.GRACE = 1.0, 0.5
WHOLE_WAY = 0.6  # about as long as one message takes from its first step to its last

_fork = multiprocessing.get_context("fork")


def send(sandbox: RunningSandbox, store_url: str, account: str, name: str) -> str:
    client = DialogTechClient(account, "secret", sandbox.url, timeout=TIMEOUT)
    journal = MessageJournal(Store(store_url), digest("account", account), RateLimits())
    message = SmsMessage.create(to="5556667777", message=name, from_numbers=NUMBERS)
    try:
        return SmsSender(client, journal).send(message, key=name).status
    except InDoubt:
        return "in_doubt"


def kill_and_try_again(sandbox: RunningSandbox, store_url: str, account: str, count: int) -> dict[str, str]:
    """Return for each message what the second try knew."""
    moments = random.Random(account)
    outcomes = {}
    # A message that contains its account's access key is refused.
    for name in (f"{account.removeprefix('account')} {n}" for n in range(count)):
        process = _fork.Process(target=send, args=(sandbox, store_url, account, name))
        process.start()
        process.join(moments.uniform(0, WHOLE_WAY))
        process.kill()
        process.join()
        outcomes[name] = send(sandbox, store_url, account, name)
    return outcomes


def measure(store_url: str, kills: int, at_once: int) -> None:
    accounts = [f"account{n}" for n in range(at_once)]
    flags = [f"--account={account}:secret:{','.join(NUMBERS)}" for account in accounts]
    with running_sandbox(latency=LATENCY, arguments=flags) as sandbox:
        with ThreadPoolExecutor(at_once) as pool:
            found = pool.map(
                lambda account: kill_and_try_again(sandbox, store_url, account, kills // at_once), accounts
            )
            outcomes = {name: outcome for part in found for name, outcome in part.items()}
        arrived = Counter(text["message"] for text in sandbox.accepted())
    lost = sum(not arrived[name] and outcome != "in_doubt" for name, outcome in outcomes.items())
    twice = sum(arrived[name] > 1 for name in outcomes)
    print(f"  the second try found: {dict(Counter(outcomes.values()))}")
    print(f"  arrived twice: {twice}; neither arrived nor reported in doubt: {lost}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as postgres:
        for name, url in (("SQLite", f"sqlite:///{folder}/journal.db"), ("PostgreSQL", postgres("kills"))):
            print(f"{name}, {chosen.kills} messages:", flush=True)
            measure(url, chosen.kills, chosen.at_once)


if __name__ == "__main__":
    main()
