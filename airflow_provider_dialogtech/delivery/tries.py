"""What the tries of one text add up to, and whether and when there is another."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from tenacity import RetryCallState, wait_random_exponential

from airflow_provider_dialogtech.delivery.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.delivery.records import Reservation, SlotRequest
from airflow_provider_dialogtech.exceptions import Throttled, Unreachable
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.sms.message import SmsMessage

log = logging.getLogger(__name__)

TRIES = 5
TRY_FOR = 120.0
# A text may lose so many slots: to the time that the journal takes, to alerts, to a pause of the account.
SLOTS = 12


class SlotLost(Exception):
    """The slot cannot be used any more, and no byte has left: another must be reserved."""


@dataclass
class TextTries:
    """One text, and what its tries add up to.

    :param max_wait: for how many seconds at most it may wait for a slot; None waits as long as it takes.
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

    def wait_left(self) -> float | None:
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
    # A throttled text waits for its new slot, which lies behind the account's pause.
    if isinstance(_error_of(state), (Throttled, SlotLost)):
        return 0.0
    return wait_random_exponential(multiplier=1, max=10)(state)


def log_next_try(state: RetryCallState) -> None:
    """Log that there is another try, and why."""
    error = _error_of(state)
    text: TextTries = state.args[0]
    if isinstance(error, SlotLost):
        log.warning("The text to %s lost its slot and takes another: %s.", text.to, error)
    else:
        log.warning("%s Trying again (%d of %d).", error, text.failures + 1, TRIES)
