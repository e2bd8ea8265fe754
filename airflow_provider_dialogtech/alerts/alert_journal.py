"""The journal as an alert uses it: it is asked for a few seconds, and abandoned when it does not answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from airflow_provider_dialogtech.alerts.attempt import Attempt
from airflow_provider_dialogtech.alerts.deadline import AlertDeadline
from airflow_provider_dialogtech.delivery.journal import Outcome, SendJournal
from airflow_provider_dialogtech.delivery.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.exceptions import JournalUnavailable

# Nobody waits for a slot that is given back; until then it delays others by a second.
_RELEASE_WITHIN = 2.0
# A callback ends with its deadline, and a new connection to a journal that is away takes up to 5 s.
_SETTLED_BEFORE_END = 6.0


class AlertJournal(SendJournal):
    """A journal whose answers count for an attempt until the request leaves; what comes after does not.

    :param attempt: counts the time.
    :param deadline: the end of the callback's time.
    :param args: those of the journal.
    """

    def __init__(self, attempt: Attempt, deadline: AlertDeadline, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._attempt = attempt
        self._deadline = deadline

    def reserve(self, request: SlotRequest, **options: Any) -> Reservation | Record:
        self._attempt.check()
        with self._attempt.asking():
            found = super().reserve(request, **options)
        if self._attempt.is_abandoned and isinstance(found, Reservation):
            self.release(found)
        self._attempt.check()
        return found

    def start(self, held: Reservation, **options: Any) -> bool:
        self._attempt.check()
        with self._attempt.asking():
            started = super().start(held, **options)
        self._attempt.check()
        return started

    def settle(self, held: Reservation, outcome: Outcome, *args: Any, **options: Any) -> None:
        options |= {"within": max(1.0, self._deadline.left() - _SETTLED_BEFORE_END), "sleep": self._store.clock.sleep}
        if outcome in {"sent", "in_doubt"}:
            super().settle(held, outcome, *args, **options)
        else:  # the alert is still to be sent, so this counts
            with self._attempt.asking():
                super().settle(held, outcome, *args, **options)

    def release(self, held: Reservation, **options: Any) -> None:
        # An alert's key is its own: where this fails, nobody meets the row again.
        options |= {"within": _RELEASE_WITHIN, "sleep": self._store.clock.sleep}
        with self._attempt.asking(), suppress(JournalUnavailable):
            super().release(held, **options)
