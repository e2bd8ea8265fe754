"""What became of a list of texts."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech.api.errors import (
    BadCredentials,
    DialogTechError,
    InDoubt,
    InvalidMessage,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
)

if TYPE_CHECKING:
    from airflow_provider_dialogtech.delivery.result import SendResult
    from airflow_provider_dialogtech.sms.recipients import RecipientList

SHOWN = 50
NAMED = 10
# So many refusals without one success between them are no matter of single numbers.
REFUSALS_IN_A_ROW = 20


class Tally:
    """Counts what became of each row.

    :param recipients: the rows, checked.
    :param detailed: remember what became of every row, too.
    """

    def __init__(self, recipients: RecipientList, *, detailed: bool) -> None:
        self._recipients = recipients
        self._counts: Counter[str] = Counter()
        self._rows: list[dict[str, Any]] | None = [] if detailed else None
        self._segments = 0
        self._begun = time.monotonic()
        self._refusals = 0
        self.failures: list[dict[str, Any]] = []
        self.all_final = True
        self.hopeless: DialogTechError | None = None

    def note(self, index: int, outcome: SendResult | DialogTechError) -> None:
        """Count what became of a row."""
        if isinstance(outcome, DialogTechError):
            self._note_failure(index, outcome)
        else:
            self._refusals = 0
            self._counts[outcome.status] += 1
            self._segments += outcome.segments if outcome.status == "sent" else 0
            self._remember(index, outcome.status, **{"from": outcome.from_, "sent_at": outcome.sent_at})

    def _note_failure(self, index: int, error: DialogTechError) -> None:
        outcome = _name_of(error)
        self._counts[outcome] += 1
        self._refusals = self._refusals + 1 if isinstance(error, Refused) else 0
        self.all_final = self.all_final and outcome != "not_sent"
        self.failures.append({"row": index, "to": self._recipients.masked(index), "reason": str(error)})
        self._remember(index, outcome)
        # The sender has tried what could not leave again and again before it said so.
        given_up = isinstance(error, BadCredentials | Unreachable | Throttled | JournalUnavailable)
        if self.hopeless is None and (given_up or self._refusals >= REFUSALS_IN_A_ROW):
            self.hopeless = error

    def summary(self) -> dict[str, Any]:
        """Return the outcomes as plain JSON: counts, and a bounded list of the rows that were not sent."""
        bad = [{"row": row.index, "to": row.to, "reason": row.problem} for row in self._recipients.bad]
        not_sent = sorted(self.failures + bad, key=lambda failure: failure["row"])
        summary = {
            "recipients": len(self._recipients.rows),
            **{name: self._counts[name] for name in ("sent", "already_sent", "refused", "in_doubt", "not_sent")},
            "duplicates": self._recipients.duplicates,
            "invalid": len(bad) + self._counts["invalid"],
            "not_tried": self.not_tried,
            "segments": self._segments,
            "seconds": round(time.monotonic() - self._begun, 3),
            "failures": not_sent[:SHOWN],
            "failures_left_out": max(0, len(not_sent) - SHOWN),
        }
        return summary if self._rows is None else {**summary, "rows": sorted(self._rows, key=lambda row: row["row"])}

    def progress(self) -> str:
        """Tell how far it is, and how long the rest will take at this rate."""
        seconds = (time.monotonic() - self._begun) / self._done * self.not_tried if self._done else None
        rest = "" if seconds is None else f"; about {seconds:.0f} s left"
        refused, in_doubt = self._counts["refused"], self._counts["in_doubt"]
        return f"{self._done} of {self._recipients.count} done, {refused} refused, {in_doubt} in doubt{rest}."

    def in_words(self) -> str:
        """Tell all outcomes in a sentence."""
        summary = self.summary()
        names = ("sent", "already_sent", "duplicates", "invalid", "refused", "in_doubt", "not_sent", "not_tried")
        counted = ", ".join(f"{summary[name]} {name.replace('_', ' ')}" for name in names if summary[name])
        return f"Of {summary['recipients']} recipients: {counted or 'nothing to send'}, in {summary['seconds']:.1f} s."

    def who_failed(self) -> str:
        """Tell whose texts failed, and why; of many the first ones."""
        named = "; ".join(f"row {each['row']} (to {each['to']}): {each['reason']}" for each in self.failures[:NAMED])
        more = f"; and {len(self.failures) - NAMED} more" if len(self.failures) > NAMED else ""
        return f"{self.in_words()} Failed: {named}{more}"

    @property
    def not_tried(self) -> int:
        """How many texts have no outcome yet."""
        return self._recipients.count - self._done

    @property
    def _done(self) -> int:
        return sum(self._counts.values())

    def _remember(self, index: int, outcome: str, **more: str) -> None:
        if self._rows is not None:
            self._rows.append({"row": index, "to": self._recipients.masked(index), "outcome": outcome, **more})


def _name_of(error: DialogTechError) -> str:
    names = {InDoubt: "in_doubt", Refused: "refused", InvalidMessage: "invalid"}
    return next((name for kind, name in names.items() if isinstance(error, kind)), "not_sent")
