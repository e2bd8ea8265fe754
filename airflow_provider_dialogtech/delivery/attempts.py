"""The attempts to send one message: whether there is another, and when."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from tenacity import RetryCallState, wait_random_exponential

from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.exceptions import Throttled, Unreachable
from airflow_provider_dialogtech.journal.records import Reservation, SlotRequest
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

TRIES = 5
TRY_FOR = 120.0
# How many slots a message may lose: to a slow journal, to alerts, to a pause of the account.
SLOTS = 12


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
