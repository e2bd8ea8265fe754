"""When to give a list up: nothing gets through, so going on would only burn through it."""

from __future__ import annotations

from collections import Counter

from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.exceptions import BadCredentials, DialogTechError, InDoubt, Refused, WaitTooLong

# Before it ends so, a text has gone through all the sender's own tries, and they take their time.
UNSENT_IN_A_ROW = 3
# A person has to look each of these up.
IN_DOUBT_IN_A_ROW = 10
# Some numbers of a list may simply be wrong.
REFUSED_IN_A_ROW = 20


class GivenUp(Exception):
    """The rest of a list is not tried.

    :param message: why.
    :param last: what became of the last text.
    """

    def __init__(self, message: str, last: DialogTechError) -> None:
        super().__init__(message)
        self.last = last


class Patience:
    """Judges the texts of a list one after the other.

    :param max_failures: so many failures are expected: that many refusals are no reason to give up.
    """

    def __init__(self, max_failures: int = 0) -> None:
        self._limits = {
            "refused": max(REFUSED_IN_A_ROW, max_failures + 1),
            "in doubt": IN_DOUBT_IN_A_ROW,
            "not sent": UNSENT_IN_A_ROW,
        }
        self._in_a_row: Counter[str] = Counter()

    def judge(self, outcome: SendResult | DialogTechError) -> None:
        """Take what became of the next text.

        :raises GivenUp: when it is time to.
        """
        if isinstance(outcome, SendResult):
            if outcome.status == "sent":
                self._in_a_row.clear()
        elif isinstance(outcome, BadCredentials):
            raise GivenUp("DialogTech does not accept the access keys.", outcome)
        elif not (isinstance(outcome, WaitTooLong) or (isinstance(outcome, InDoubt) and outcome.earlier)):
            self._count(outcome)

    def _count(self, error: DialogTechError) -> None:
        kind = "refused" if isinstance(error, Refused) else "in doubt" if isinstance(error, InDoubt) else "not sent"
        self._in_a_row[kind] += 1
        if self._in_a_row[kind] >= self._limits[kind]:
            raise GivenUp(f"{self._in_a_row[kind]} texts were {kind}, and not one got through between them.", error)
