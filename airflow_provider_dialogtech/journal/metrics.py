"""The names of the metrics. The recorder that keeps them is passed in."""

from __future__ import annotations

from typing import Protocol

WAITED = "waited"
"""How long a message that was sent had waited for its slot."""
THROTTLED_REPLIES = "throttled_replies"
"""Replies that throttled a message; it may have been sent later."""
MISSED_SLOTS = "missed_slots"
"""Slots that a message lost: to a slow journal or machine, to an alert, to a pause of the account."""
JOURNAL = "journal"
"""How long a step of the journal took: `reserve`, `start`, `settle`."""
MESSAGES = "messages"
"""Messages by outcome."""
ALERTS = "alerts"
"""Alerts by outcome, one for each recipient."""


class Recorder(Protocol):
    """Records metrics. It must not raise, and must return quickly."""

    def count(self, name: str, by: int = 1) -> None: ...

    def time(self, name: str, seconds: float) -> None: ...


class NoRecorder:
    """Keeps nothing."""

    def count(self, name: str, by: int = 1) -> None:
        pass

    def time(self, name: str, seconds: float) -> None:
        pass


NO_RECORDER: Recorder = NoRecorder()
