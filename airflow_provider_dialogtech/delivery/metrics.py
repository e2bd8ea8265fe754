"""What is counted and timed of texts, and under which names. Who keeps the figures is not known here."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    InvalidConnection,
    InvalidMessage,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
    WaitTooLong,
)

WAITED = "waited"
"""How long a text that was sent had waited for its slot."""
THROTTLED_REPLIES = "throttled_replies"
"""Replies that throttled a text; it may have been sent later."""
MISSED_SLOTS = "missed_slots"
"""Slots that a text lost: to a slow journal or machine, to an alert, to a pause of the account."""
JOURNAL = "journal"
"""How long a step of the journal took: `reserve`, `start`, `settle`."""
TEXTS = "texts"
"""Texts by what became of them."""
ALERTS = "alerts"
"""Alerts by what became of them, one for each recipient."""

# The first that fits names the outcome.
OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (InDoubt, "in_doubt"),
    (BadCredentials, "bad_credentials"),
    (Refused, "refused"),
    (Throttled, "throttled"),
    (Unreachable, "unreachable"),
    (WaitTooLong, "wait_too_long"),
    (JournalUnavailable, "journal_unavailable"),
    (InvalidMessage, "invalid"),
    (InvalidConnection, "invalid"),
    (DialogTechError, "not_sent"),
)


class Recorder(Protocol):
    """Keeps figures. It must not raise, and take no time worth mentioning."""

    def count(self, name: str, by: int = 1) -> None: ...

    def time(self, name: str, seconds: float) -> None: ...


class NoRecorder:
    """Keeps nothing."""

    def count(self, name: str, by: int = 1) -> None:
        pass

    def time(self, name: str, seconds: float) -> None:
        pass


NO_RECORDER: Recorder = NoRecorder()


def record_text(recorder: Recorder, ending: SendResult | BaseException, missed_slots: int) -> None:
    """Record what became of a text.

    :param recorder: keeps it.
    :param ending: its result, or what was raised.
    :param missed_slots: how many slots it lost.
    """
    recorder.count(f"{TEXTS}.{_outcome(ending)}")
    if missed_slots > 0:
        recorder.count(MISSED_SLOTS, missed_slots)
    if isinstance(ending, SendResult) and ending.status == "sent":
        recorder.time(WAITED, ending.waited_seconds)


def _outcome(ending: SendResult | BaseException) -> str:
    if isinstance(ending, SendResult):
        return ending.status
    return next((name for kind, name in OUTCOMES if isinstance(ending, kind)), "stopped")
