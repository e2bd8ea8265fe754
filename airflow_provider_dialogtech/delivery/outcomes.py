"""What became of a text is written into the journal, again and again where that is away; no failure of it is raised."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_dialogtech.delivery.clock import Clock
from airflow_provider_dialogtech.delivery.journal import ONE_STEP, Outcome, SendJournal
from airflow_provider_dialogtech.delivery.records import Reservation
from airflow_provider_dialogtech.delivery.tries import TextTries
from airflow_provider_dialogtech.exceptions import JournalUnavailable

log = logging.getLogger(__name__)

_IN_WORDS: dict[Outcome, str] = {
    "sent": "was sent",
    "refused": "was refused",
    "throttled": "was throttled",
    "in_doubt": "may have been sent",
}


class OutcomeWriter:
    """Writes outcomes into one account's journal.

    :param journal: the journal.
    :param within: for how many seconds at most it is tried again.
    :param clock: sleeps between these tries.
    """

    def __init__(self, journal: SendJournal, within: float, clock: Clock) -> None:
        self._journal = journal
        self._within = within
        self._clock = clock

    def settle(
        self,
        text: TextTries,
        held: Reservation,
        outcome: Outcome,
        detail: Mapping[str, Any],
        left: float,
        *,
        pause: float = 0.0,
    ) -> bool:
        """Write what became of a text whose request has left; return whether that worked.

        :param text: the text.
        :param held: its reservation.
        :param outcome: what became of it.
        :param detail: what the journal keeps of that.
        :param left: when its request left, on the monotonic clock.
        :param pause: for how many seconds all texts of the account are held back.
        """
        took = self._clock.monotonic() - left
        words = _IN_WORDS[outcome]
        return self._write(text, words, self._journal.settle, held, outcome, detail, took=took, pause=pause)

    def give_back(self, text: TextTries) -> None:
        """Release the slot of a text that was not sent."""
        if text.unsent is None:
            return
        # A slot that nobody started is free again by itself, soon after its time; a started one would be in doubt.
        within = self._within if text.started else min(self._within, ONE_STEP)
        self._write(text, "was not sent", self._journal.release, text.unsent, within=within)

    def _write(self, text: TextTries, what: str, step: Callable[..., None], *args: Any, **options: Any) -> bool:
        """Write what became of the text into the journal, and return whether that worked. A failure is only logged."""
        try:
            step(*args, **{"within": self._within, "sleep": self._clock.sleep, **options})
        except Exception as error:
            # Whatever sleep raised when it was stopped has no words of ours.
            reason = error.reason if isinstance(error, JournalUnavailable) else type(error).__name__
            log.error(  # noqa: TRY400
                "The text to %s %s, but that could not be written into the journal%s: %s. Check the journal.",
                text.to,
                what,
                ", so a retry will report the text as in doubt" if text.started else "",
                reason,
            )
            return False
        return True
