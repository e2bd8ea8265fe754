"""The attempts at one message: whether and when there is another, and what an earlier one means."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from tenacity import RetryCallState, Retrying, retry_if_result, wait_exponential, wait_random_exponential

from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.delivery.result import SendResult, already_sent, held_back
from airflow_provider_dialogtech.exceptions import InDoubt, Throttled, Unreachable
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)


TRIES = 5
TRY_FOR = 120.0
# A message may lose so many slots: to the time that the journal takes, to alerts, to a pause of the account.
SLOTS = 12


class SlotLost(Exception):
    """The slot cannot be used any more, and no byte has left: another must be reserved."""


@dataclass
class Attempts:
    """One message, and what its tries add up to.

    :param max_wait: for how many seconds at most it may wait for a slot; None waits as long as it takes.
    :param keep_beyond: do not wait for a slot that is more than this many seconds away, but keep it.
    :param clock: tells how long it has been waiting and failing.
    :param begun: when it began to be sent, on the monotonic clock.
    :param requests: how many requests have left.
    :param slots: how many slots were lost.
    :param started: whether the journal may know it as being sent.
    :param reserving: when its last slot began to be reserved, on the monotonic clock.
    :param unreachable: why its last try could not reach DialogTech, if that is how it ended.
    :param unsent: its last reservation, as long as no byte of its request has left.
    """

    message: SmsMessage
    request: SlotRequest
    resend: bool
    max_wait: float | None
    keep_beyond: float | None = None
    clock: Clock = SYSTEM_CLOCK
    begun: float = field(init=False)
    requests: int = 0
    slots: int = 0
    failures: int = 0
    failing_since: float | None = None
    started: bool = False
    reserving: float = 0.0
    unreachable: Unreachable | None = None
    unsent: Reservation | None = None

    def __post_init__(self) -> None:
        self.begun = self.clock.monotonic()

    @property
    def to(self) -> str:
        """The recipient's number, shortened."""
        return mask_number(self.message.to)

    def remaining_wait(self) -> float | None:
        """Return for how many seconds it may still wait for a slot; None for as long as it takes."""
        return None if self.max_wait is None else max(0.0, self.begun + self.max_wait - self.clock.monotonic())

    def is_hopeless(self, state: RetryCallState) -> bool:
        """Count what went wrong, and say whether to stop."""
        error = _error_of(state)
        self.unreachable = error if isinstance(error, Unreachable) else None
        if isinstance(error, SlotLost):
            self.slots += 1
            return self.slots >= SLOTS
        self.failures += 1
        self.failing_since = self.failing_since or self.clock.monotonic()
        return self.failures >= TRIES or self.clock.monotonic() - self.failing_since >= TRY_FOR


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def before_next_try(state: RetryCallState) -> float:
    """Return how many seconds to wait before the next try."""
    # A throttled message waits for its new slot, which lies behind the account's pause.
    if isinstance(_error_of(state), (Throttled, SlotLost)):
        return 0.0
    return wait_random_exponential(multiplier=1, max=10)(state)


def log_next_try(state: RetryCallState) -> None:
    """Log that there is another try, and why."""
    error = _error_of(state)
    attempts: Attempts = state.args[0]
    if isinstance(error, SlotLost):
        log.warning("The message to %s lost its slot and takes another: %s.", attempts.to, error)
    else:
        log.warning("%s Trying again (%d of %d).", error, attempts.failures + 1, TRIES)


class EarlierAttempt:
    """Answers for a message that the journal knows.

    :param journal: the account's journal.
    :param clock: waits while another process is at it.
    """

    def __init__(self, journal: MessageJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    def answer(self, attempts: Attempts, record: Record) -> SendResult:
        """Answer from the journal.

        :param message: the message.
        :param record: what the journal knows under its key.
        :raises SlotLost: when the other attempt is over and has sent nothing.
        :raises InDoubt: when that one may have sent it.
        """
        if record.state is State.SENT:
            if record.digest != attempts.request.digest:
                log.warning(
                    "Another message to …%s was sent under this idempotency key, so nothing is sent now. To send this "
                    "one as well, give it an idempotency_key of its own.",
                    record.recipient_tail,
                )
            return already_sent(record.outcome)
        if record.state is State.HELD_BACK:
            return held_back(attempts.message)
        if record.state in {State.SENDING, State.RESERVED}:
            log.info("Another process is sending this message to %s; waiting for its outcome.", attempts.to)
            self._await_outcome(attempts, record)
            attempts.slots -= 1  # that was no slot of ours
            raise SlotLost("another process was sending it")
        raise InDoubt(
            f"its request left at {record.when:%Y-%m-%d %H:%M:%S} UTC, and its outcome is unknown",
            advice=f"Nothing was sent now. {InDoubt.default_advice}",
            to=attempts.to,
            since=record.when,
            key=attempts.request.key,
            earlier=True,
        )

    def _await_outcome(self, attempts: Attempts, record: Record) -> None:
        """Wait until another process has written down what became of the message, or until its time is over."""
        # By our own clock, so that no clock that is set can make this longer.
        until = self._clock.monotonic() + record.undecided_for
        retrying = Retrying(
            retry=retry_if_result(lambda found: found is not None and found.undecided_for > 0),
            stop=lambda _: self._clock.monotonic() >= until,
            wait=wait_exponential(multiplier=0.1, max=2),
            sleep=self._clock.sleep,
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        found = retrying(self._journal.find, attempts.request.key, sleep=self._clock.sleep)
        if found is not None and found.id == record.id and found.state is State.SENDING:
            self._journal.give_up(found)
