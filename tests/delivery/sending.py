"""Send texts in a process of its own, with whatever version of this package is on the path:

    PYTHONPATH=THAT_VERSION python tests/delivery/sending.py STORE SANDBOX ACCESS_KEY SECRET NUMBERS < KEYS

Each line of the input is an idempotency key. Each line of the output is a key and what became of its text; the first
says that the journal is open, and which package it is that sends.
"""

import logging
import sys
import threading
from pathlib import Path

import airflow_provider_dialogtech
from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.delivery.journal import SendJournal
from airflow_provider_dialogtech.delivery.limits import RateLimits
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.delivery.store import Store
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sms.message import SmsMessage

THREADS = 3


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    store_url, url, access_key, secret, numbers = sys.argv[1:]
    client = DialogTechClient(access_key, secret, url, timeout=10)
    journal = SendJournal(Store(store_url), digest("account", access_key), RateLimits())
    sender = SmsSender(client, journal)
    journal.find("open the journal")
    told = threading.Lock()

    def tell(*words: str) -> None:
        with told:
            print(*words, flush=True)  # noqa: T201 - what the test reads

    def send(key: str) -> str:
        message = SmsMessage.create(to="5556667777", message=f"Hello {key}", from_numbers=numbers.split(","))
        try:
            return sender.send(message, key=key).status
        except Exception as error:  # the test shows it
            return f"{type(error).__name__} {error}"

    def work() -> None:
        while key := next_key():
            tell(key, send(key))

    def next_key() -> str:
        with reading:
            return sys.stdin.readline().strip()

    reading = threading.Lock()
    tell("open", str(Path(airflow_provider_dialogtech.__file__).parents[1]))
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
