"""Measures how long a journal's steps take, and how many messages per second that allows."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_dialogtech.journal import statements
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.store import Store

SAMPLES = 5


@dataclass(frozen=True)
class Probe:
    """What was measured, in seconds.

    :param version: the journal's version: major times 100 and minor.
    :param round_trip: one question and its answer.
    :param reserve: a step as long as `reserve`.
    :param start: a step as long as `start` or `settle`.
    :param is_file: whether it is a file, which each step locks whole.
    """

    version: int
    round_trip: float
    reserve: float
    start: float
    is_file: bool

    @property
    def messages_per_second(self) -> float:
        """How many messages per second of one account this journal can carry, all processes together."""
        # An account is locked from the server's answer to the first message until its COMMIT is done.
        held = self.reserve + 2 * self.start if self.is_file else self.reserve - self.round_trip
        return 1 / max(held, 1e-4)


def probe(store: Store) -> Probe:
    """Open the journal, and time a few steps that read it, write to it, and delete what they wrote.

    :raises JournalUnavailable: when it cannot be reached, read or written.
    """
    store.open()
    sql = statements.VERSION_IN_SQLITE if store.is_file else statements.VERSION_IN_POSTGRES
    version = store.ask(Statement(sql, {}))[0].version
    name = f"probe-{uuid.uuid4().hex}"
    round_trips, reserves, starts = [], [], []
    for _ in range(SAMPLES):
        round_trips.append(_timed(lambda: store.ask(Statement(statements.NOW, {}))))
        reserves.append(
            _timed(lambda: store.locked(name, Statement(statements.NOW, {}), lambda *_: (None, _writes(name))))
        )
        starts.append(_timed(lambda: store.do(Statement(statements.REMOVE_ACCOUNT, {"of_account": name}))))
    return Probe(
        version=int(version),
        round_trip=statistics.median(round_trips),
        reserve=statistics.median(reserves),
        start=statistics.median(starts),
        is_file=store.is_file,
    )


def _writes(name: str) -> Sequence[Statement]:
    """Write a row that belongs to no account. Writing it twice has the same effect as once."""
    values = dict.fromkeys(("extra_margin", "widened_until", "paused_until", "usual_latency"), 0.0)
    return [
        Statement(statements.REMOVE_ACCOUNT, {"of_account": name}),
        Statement(statements.INSERT_ACCOUNT, {"account": name, **values}),
    ]


def _timed(step: Any) -> float:
    begun = time.monotonic()
    step()
    return time.monotonic() - begun
