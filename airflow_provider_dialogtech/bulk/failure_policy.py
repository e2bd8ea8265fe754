"""When a list ends early, because too many messages in a row failed, and whether it failed at its end."""

from __future__ import annotations

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
    """A list ended, and not all of its messages were sent.

    :param message: how it ended, followed by the report.
    :param final: whether a retry would not help.
    """

    def __init__(self, message: str = "", *, final: bool) -> None:
        super().__init__(message)
        self.final = final


# Each of these messages has already exhausted the sender's retries, which takes long.
UNSENT_IN_A_ROW = 3
# A person must look up each of these.
IN_DOUBT_IN_A_ROW = 10
# A list may contain some wrong numbers.
REFUSED_IN_A_ROW = 20


class GivenUp(ListFailed):
    """The list ended early: the remaining messages are not tried."""

    def __init__(self, reason: str, last: DialogTechError) -> None:
        message = f"Stopped early: {reason}. The last one: {last}\n"
        super().__init__(message, final=isinstance(last, BadCredentials))
        self.last = last


class FailurePolicy:
    """Decides after each message whether a list goes on, and at its end whether it failed.

    :param max_failures: how many failures are accepted; this many refusals do not end the list early.
    :param skip_invalid: whether invalid rows are not counted as failures.
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
        """Decide whether the list goes on after a message.

        :raises GivenUp: when the remaining messages are not to be tried.
        """
        if isinstance(outcome, SendResult):
            if outcome.status == "sent":
                self._in_a_row.clear()
        elif isinstance(outcome, BadCredentials):
            raise GivenUp("DialogTech does not accept the access keys", outcome)
        elif not (isinstance(outcome, WaitTooLong) or (isinstance(outcome, InDoubt) and outcome.earlier)):
            self._count(outcome)

    def check_end(self, report: Report) -> None:
        """Decide whether the list failed.

        :raises ListFailed: when too many failed, or some were not tried.
        """
        # Includes rows that passed the check and turned out invalid when they were rendered again.
        skipped = report.count("invalid") if self._skip_invalid else 0
        if len(report.failures) - skipped > self._max_failures or report.not_tried:
            raise ListFailed(final=not report.retry_helps)

    def _count(self, error: DialogTechError) -> None:
        kind = "refused" if isinstance(error, Refused) else "in doubt" if isinstance(error, InDoubt) else "not sent"
        self._in_a_row[kind] += 1
        if self._in_a_row[kind] >= self._limits[kind]:
            raise GivenUp(f"{plural(self._in_a_row.total(), 'message')} in a row failed", error)
