"""Sending in processes of their own, which a test may kill, freeze or wake."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.journal import records
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sms.message import SmsMessage

RECIPIENT = "5556667777"

# Tests wait for deadlines, so these are short.
TIMEOUT = 2.0
GRACE = 0.5

_fork = multiprocessing.get_context("fork")


def emptied(sandbox, monkeypatch):
    """Return a sandbox that tests share, with nothing in it; the requests to it are given up soon."""
    monkeypatch.setattr(records, "GRACE", GRACE)
    sandbox.clear_faults()
    sandbox.forget()
    return sandbox


def a_client(sandbox, *, secret=None, url=None, timeout=TIMEOUT) -> DialogTechClient:
    return DialogTechClient(
        sandbox.access_key, secret or sandbox.secret_access_key, url or sandbox.url, timeout=timeout
    )


def a_journal(sandbox, store_url, *, limits=None, store_options=None) -> MessageJournal:
    store = Store(store_url, **(store_options or {}))
    return MessageJournal(store, digest("account", sandbox.access_key), limits or RateLimits())


def a_sender(
    sandbox, store_url, *, client=None, limits=None, timeout=TIMEOUT, store_options=None, **options
) -> SmsSender:
    journal = a_journal(sandbox, store_url, limits=limits, store_options=store_options)
    return SmsSender(client or a_client(sandbox, timeout=timeout), journal, **options)


def a_message(sandbox, text="Hello", to=RECIPIENT, numbers=None) -> SmsMessage:
    return SmsMessage.create(to=to, message=text, from_numbers=numbers or sandbox.numbers)


def assert_limits_kept(sandbox, texts):
    """A busy machine may hold a request up on its way, and so bring it too close to the next one; not many, though."""
    outcomes = Counter(message["outcome"] for message in sandbox.messages())
    assert outcomes["accepted"] == texts
    assert outcomes["throttled"] <= 2


def kill_here(*_args, **_kwargs) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def started(work: Callable[..., object], *args):
    """Run `work` in a process that is ended with the block."""
    process = _fork.Process(target=_soon_over, args=(work, *args))
    process.start()
    try:
        yield process
    finally:
        if process.is_alive():
            process.kill()
        process.join()


def _soon_over(work: Callable[..., object], *args) -> None:
    records.GRACE = GRACE
    work(*args)


def run(work: Callable[..., object], *args, timeout=60) -> int:
    """Run `work` in a process and tell its exit code."""
    with started(work, *args) as process:
        process.join(timeout)
        assert not process.is_alive(), "it did not end"
    return process.exitcode
