"""A message's outcome in the journal: what an earlier attempt means, and this attempt's outcome written down."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Literal

from tenacity import Retrying, retry_if_result, wait_exponential

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.delivery.attempts import Attempts, SlotLost
from airflow_provider_dialogtech.delivery.result import SendResult, already_sent, held_back
from airflow_provider_dialogtech.exceptions import InDoubt, JournalUnavailable
from airflow_provider_dialogtech.journal.journal import ONE_STEP, MessageJournal, Outcome
from airflow_provider_dialogtech.journal.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.states import State

log = logging.getLogger(__name__)

# A list whose template was edited has as many of them as it has rows.
MOST_CHANGED = 20


class EarlierAttempt:
    """Decides what an earlier attempt means for a message with the same idempotency key.

    :param clock: sleeps while another process sends the message.
    """

    def __init__(self, journal: MessageJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._changed = count(1)

    def answer(self, attempts: Attempts, record: Record) -> SendResult:
        """Return the result of a message that was sent or held back before.

        :param record: the journal's row of the earlier attempt.
        :raises SlotLost: when another process's attempt is over and has sent nothing.
        :raises InDoubt: when an earlier attempt may have sent the message.
        """
        if record.state is State.SENT:
            return self.result_of_sent(attempts.request, record)
        if record.state is State.HELD_BACK:
            return held_back(attempts.message)
        if record.state in {State.SENDING, State.RESERVED}:
            log.info("Another process is sending this message to %s; waiting for its outcome.", attempts.to)
            self._await_outcome(attempts, record)
            attempts.slots -= 1  # the slot was not ours
            raise SlotLost("another process was sending it")
        raise InDoubt(
            f"its request left at {record.when:%Y-%m-%d %H:%M:%S} UTC, and its outcome is unknown",
            advice=f"Nothing was sent now. {InDoubt.default_advice}",
            to=attempts.to,
            since=record.when,
            key=attempts.request.key,
            earlier=True,
        )

    def result_of_sent(self, request: SlotRequest, record: Record) -> SendResult:
        """Return the result of a message that was sent before.

        :param record: the journal's row of the earlier attempt.
        """
        if record.digest != request.digest:
            self._log_changed(record)
        return already_sent(record.outcome)

    def _log_changed(self, record: Record) -> None:
        """Log that a message was sent with another body before, unless a list has had enough of these lines."""
        number = next(self._changed)
        if number > MOST_CHANGED:
            return
        log.warning(
            "Another message to …%s was sent under this idempotency key, so nothing is sent now. To send this one as "
            "well, give it an idempotency_key of its own.%s",
            record.recipient_tail,
            " From here on, this task no longer logs such messages." if number == MOST_CHANGED else "",
        )

    def _await_outcome(self, attempts: Attempts, record: Record) -> None:
        """Wait until another process has settled the message, or until its deadline."""
        # By this process's monotonic clock: a clock that is set cannot make the wait longer.
        until = self._clock.monotonic() + record.undecided_for
        retrying = Retrying(
            retry=retry_if_result(lambda found: found is not None and found.undecided_for > 0),
            stop=lambda _: self._clock.monotonic() >= until,
            wait=wait_exponential(multiplier=0.1, max=2),
            sleep=self._clock.sleep,
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        request = attempts.request
        found = retrying(self._journal.find, request.key, request.body_key, sleep=self._clock.sleep)
        if found is not None and found.id == record.id and found.state is State.SENDING:
            self._journal.give_up(found)


# For how many seconds an outcome is written again while the journal is unavailable.
WRITE_WITHIN = 60.0
# If the journal has lost something, a process checks its own newest outcomes: at most this old, and at most this many.
RECENT_SECONDS = 60.0
MOST_RECENT = 256
_IN_WORDS: dict[Outcome, str] = {
    "sent": "was sent",
    "refused": "was refused",
    "throttled": "was throttled",
    "in_doubt": "may have been sent",
}


class OutcomeWriter:
    """Writes outcomes into one account's journal."""

    def __init__(self, journal: MessageJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._recent: deque[tuple[float, Attempts, str, Callable[[], None]]] = deque(maxlen=MOST_RECENT)

    def settle(
        self,
        attempts: Attempts,
        held: Reservation,
        outcome: Outcome,
        detail: Mapping[str, Any],
        sent_at: float,
        *,
        pause: float = 0.0,
    ) -> bool:
        """Write the outcome of a message whose request has been sent.

        :param detail: the details that the journal keeps.
        :param sent_at: when its request was sent, on the monotonic clock.
        :param pause: for how many seconds all messages of the account wait.
        :return: whether the journal has it.
        """
        took = self._clock.monotonic() - sent_at
        settle = partial(self._settle, attempts, held, outcome, detail, took=took, pause=pause)
        is_written = self._write(attempts, _IN_WORDS[outcome], "will", settle)
        if is_written and outcome in {"sent", "in_doubt"}:
            self._recent.append((self._clock.monotonic(), attempts, _IN_WORDS[outcome], settle))
        return is_written

    def check_recent(self, held: Reservation) -> None:
        """Write recent outcomes again that the journal has lost, if it has lost this reservation."""
        with suppress(JournalUnavailable):  # the next step says so
            if self._recent and self._journal.state_of(held, timeout=ONE_STEP, sleep=self._clock.sleep) is None:
                self._write_recent()

    def give_back(self, attempts: Attempts) -> None:
        """Release the slot of a message that was not sent."""
        if attempts.unsent is None:
            return
        # A slot that was not started frees itself soon after its time; a started one would be in doubt.
        timeout = WRITE_WITHIN if attempts.started else ONE_STEP
        self._write(attempts, "was not sent", "may", partial(self._release, attempts, attempts.unsent, timeout))

    def _write_recent(self) -> None:
        now = self._clock.monotonic()
        recent = [each for each in self._recent if each[0] > now - RECENT_SECONDS]
        # Writing one that is lost comes back here, and finds nothing to do.
        self._recent = deque(maxlen=MOST_RECENT)
        for _, attempts, what, settle in recent:
            if self._clock.monotonic() < now + WRITE_WITHIN:
                self._write(attempts, what, "will", settle)
        # The journal may lose them once more, and those that could not be written are tried again then.
        self._recent = deque([*recent, *self._recent], maxlen=MOST_RECENT)

    def _settle(
        self, attempts: Attempts, held: Reservation, outcome: Outcome, detail: Mapping[str, Any], **options: Any
    ) -> None:
        sleep, until = self._clock.sleep, self._clock.monotonic() + WRITE_WITHIN
        if self._journal.settle(held, outcome, detail, **options, timeout=WRITE_WITHIN, sleep=sleep):
            return
        timeout = max(ONE_STEP, until - self._clock.monotonic())
        lost = self._journal.bring_back(attempts.request, held, outcome, detail, timeout=timeout, sleep=sleep)
        log.warning(
            "The journal had lost %s of the message to %s, which %s; it is recorded now. Check that the database "
            "writes each commit before it acknowledges it (synchronous_commit), and that no standby lags behind.",
            lost,
            attempts.to,
            _IN_WORDS[outcome],
        )
        self._write_recent()

    def _release(self, attempts: Attempts, held: Reservation, timeout: float) -> None:
        if not self._journal.release(held, why=attempts.why_unsent, timeout=timeout, sleep=self._clock.sleep):
            log.warning("The journal no longer has the slot of the message to %s, which was not sent.", attempts.to)

    def _write(self, attempts: Attempts, what: str, doubt: Literal["will", "may"], step: Callable[[], None]) -> bool:
        """Write the outcome into the journal, and return whether that worked. A failure is only logged.

        :param doubt: `may` if the journal did not answer: the message may then be reserved, not started.
        """
        try:
            step()
        except Exception as error:
            # What `sleep` raises when the send is stopped has no `reason`.
            reason = error.reason if isinstance(error, JournalUnavailable) else type(error).__name__
            log.error(  # noqa: TRY400
                "The message to %s %s, but that could not be written into the journal%s: %s. Check the journal.",
                attempts.to,
                what,
                f", so a retry {doubt} report the message as in doubt" if attempts.started else "",
                reason,
            )
            return False
        return True
