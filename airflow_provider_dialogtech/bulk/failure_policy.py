"""When a list ends before its time: it was stopped, or no message gets through."""

from __future__ import annotations

import threading
from collections import Counter

from airflow_provider_dialogtech.bulk.report import Report
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    Refused,
    WaitTooLong,
    plural,
)


class ListFailed(Exception):
    """A list has come to its end, and not everybody on it got their message.

    :param message: how it ended, in words that stand before those of the report.
    :param final: whether a retry by Airflow would be in vain.
    """

    def __init__(self, message: str = "", *, final: bool) -> None:
        super().__init__(message)
        self.final = final


class Stopped(ListFailed):
    """The sending was stopped. What has not left by then is not sent, and its slot is free again."""

    def __init__(self) -> None:
        super().__init__("Stopped. ", final=False)


class Stop:
    """Ends the sending of a list when it is set: by another thread, or by a signal handler.

    Nothing in the main thread waits for it: a signal handler that interrupts such a wait could not set it.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Let no more messages leave."""
        self._event.set()

    def check(self) -> None:
        """Do nothing, unless it is set.

        :raises Stopped: when it is.
        """
        if self._event.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Sleep. Every wait of the messages under way is one of these.

        :raises Stopped: as soon as it is set.
        """
        if self._event.wait(seconds):
            raise Stopped


# Before it ends so, a message has gone through all the sender's own tries, and they take their time.
UNSENT_IN_A_ROW = 3
# A person has to look each of these up.
IN_DOUBT_IN_A_ROW = 10
# Some numbers of a list may simply be wrong.
REFUSED_IN_A_ROW = 20


class GivenUp(ListFailed):
    """The list was stopped early: the rest of it is not tried.

    :param reason: why.
    :param last: what became of the last message.
    """

    def __init__(self, reason: str, last: DialogTechError) -> None:
        message = f"Stopped early: {reason}. The last one: {last}\n"
        super().__init__(message, final=isinstance(last, BadCredentials))
        self.last = last


class FailurePolicy:
    """Decides whether a list goes on, after each message, and whether it has failed, at its end.

    :param max_failures: so many failures are expected: that many refusals are no reason to give up.
    :param skip_invalid: whether rows that cannot be sent are no failures.
    """

    def __init__(self, max_failures: int = 0, *, skip_invalid: bool = False) -> None:
        self._max_failures = max_failures
        self._skip_invalid = skip_invalid
        self._limits = {
            "refused": max(REFUSED_IN_A_ROW, max_failures + 1),
            "in doubt": IN_DOUBT_IN_A_ROW,
            "not sent": UNSENT_IN_A_ROW,
        }
        self._in_a_row: Counter[str] = Counter()

    def check_next(self, outcome: SendResult | DialogTechError) -> None:
        """Take the outcome of the next message.

        :raises GivenUp: when the rest is not to be tried.
        """
        if isinstance(outcome, SendResult):
            if outcome.status == "sent":
                self._in_a_row.clear()
        elif isinstance(outcome, BadCredentials):
            raise GivenUp("DialogTech does not accept the access keys", outcome)
        elif not (isinstance(outcome, WaitTooLong) or (isinstance(outcome, InDoubt) and outcome.earlier)):
            self._count(outcome)

    def check_end(self, report: Report) -> None:
        """Take the outcomes of all texts.

        :raises ListFailed: when too many failed, or were not tried.
        """
        # Also rows that were good when they were checked, and turned out to be bad when they were to be sent.
        skipped = report.count("invalid") if self._skip_invalid else 0
        if len(report.failures) - skipped > self._max_failures or report.not_tried:
            raise ListFailed(final=not report.retry_helps)

    def _count(self, error: DialogTechError) -> None:
        kind = "refused" if isinstance(error, Refused) else "in doubt" if isinstance(error, InDoubt) else "not sent"
        self._in_a_row[kind] += 1
        if self._in_a_row[kind] >= self._limits[kind]:
            raise GivenUp(f"{plural(self._in_a_row.total(), 'message')} in a row failed", error)
