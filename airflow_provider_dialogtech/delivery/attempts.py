"""The attempts to send one message: whether and when there is another, and what an earlier task's attempt means."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import count

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
# How many slots a message may lose: to a slow journal, to alerts, to a pause of the account.
SLOTS = 12
# A list whose template was edited has as many of them as it has rows.
MOST_CHANGED = 20


class SlotLost(Exception):
    """The slot is lost before the request was sent: another must be reserved."""


@dataclass
class Attempts:
    """One message with the state of its attempts.

    :param request: what its slot is reserved by.
    :param resend: whether it is sent again if an earlier try may have sent it.
    :param max_wait: the longest wait for a slot, in seconds; None for no limit.
    :param keep_beyond: a slot more than this many seconds away is kept and not waited for.
    :param begun: when sending began, on the monotonic clock.
    :param failing_since: when the first of them failed, on the monotonic clock.
    :param started: whether its state in the journal may be `sending`.
    :param reserving: when its last reservation began, on the monotonic clock.
    :param unreachable: the error of the last try, if it could not reach DialogTech.
    :param unsent: its last reservation, while no byte of its request has been sent.
    :param why_unsent: why it was not sent, in words, once no further try is made.
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
    why_unsent: str = ""

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
    """Log why there is another try."""
    error = _error_of(state)
    attempts: Attempts = state.args[0]
    if isinstance(error, SlotLost):
        # One or two are normal: to an alert, or on a busy machine.
        level = logging.INFO if attempts.slots <= SLOTS // 2 else logging.WARNING
        log.log(level, "The message to %s lost its slot and takes another: %s.", attempts.to, error)
    else:
        log.warning("%s Trying again (%d of %d).", error, attempts.failures + 1, TRIES)


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
            if record.digest != attempts.request.digest:
                self._log_changed(record)
            return already_sent(record.outcome)
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
        # By our own clock, so that no clock that is set can make this longer.
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
