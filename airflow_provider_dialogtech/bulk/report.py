"""What became of a list of texts: in numbers, in words, and by row. Phone numbers are shortened."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech.exceptions import DialogTechError, InDoubt, InvalidMessage, Refused

if TYPE_CHECKING:
    from airflow_provider_dialogtech.bulk.rows import RecipientList
    from airflow_provider_dialogtech.delivery.result import SendResult

SHOWN = 100
NAMED = 20
_COUNTED = ("sent", "already_sent", "refused", "in_doubt", "not_sent")
_IN_WORDS = ("sent", "already_sent", "duplicates", "invalid", "refused", "in_doubt", "not_sent", "not_tried")
# One number may send 40 texts and then rests until the minute is over, so the pace is that of a whole minute.
_PACE_SECONDS = 60.0


class Tally:
    """Counts what became of each row.

    :param recipients: the rows, checked.
    :param detailed: remember what became of every row, too.
    """

    def __init__(self, recipients: RecipientList, *, detailed: bool = False) -> None:
        self._recipients = recipients
        self._counts: Counter[str] = Counter()
        self._rows: dict[int, dict[str, Any]] | None = {} if detailed else None
        self._segments = 0
        self._begun = time.monotonic()
        self._points = deque([(self._begun, 0)])
        self.failures: list[dict[str, Any]] = []

    def note(self, index: int, outcome: SendResult | DialogTechError) -> None:
        """Count what became of a row."""
        if isinstance(outcome, DialogTechError):
            name, reason = _name_of(outcome), outcome.reason
            self.failures.append({**self._row(index), "outcome": name, "reason": reason})
            self._remember(index, name, reason=reason)
        else:
            name = outcome.status
            self._segments += outcome.segments if name == "sent" else 0
            self._remember(index, name, **{"from": outcome.from_, "sent_at": outcome.sent_at})
        self._counts[name] += 1

    def summary(self) -> dict[str, Any]:
        """Return the outcomes as plain JSON: counts, and a bounded list of the rows that were not sent."""
        bad = [
            {"row": row.index, "to": row.to, "outcome": "invalid", "reason": row.problem}
            for row in self._recipients.bad
        ]
        failures = sorted(self.failures + bad, key=lambda failure: failure["row"])
        summary = {
            "recipients": len(self._recipients.rows),
            **{name: self._counts[name] for name in _COUNTED},
            "duplicates": self._recipients.duplicates,
            "invalid": len(bad) + self._counts["invalid"],
            "not_tried": self.not_tried,
            "segments": self._segments,
            "seconds": round(time.monotonic() - self._begun, 3),
            "failures": failures[:SHOWN],
            "failures_left_out": max(0, len(failures) - SHOWN),
        }
        return summary if self._rows is None else {**summary, "rows": self._all_rows(failures)}

    def progress(self) -> str:
        """Tell how far it is, and how long the rest will take at the pace of the last minute."""
        now = time.monotonic()
        # Those who got their text in an earlier try are done in no time, so they are no pace.
        done_now = self._done - self._counts["already_sent"]
        self._points.append((now, done_now))
        while now - self._points[0][0] > _PACE_SECONDS:
            self._points.popleft()
        since, before = self._points[0]
        pace = (done_now - before) / (now - since) if now > since else 0.0
        rest = f"; about {_duration(self.not_tried / pace)} left at {pace:.2f} per second" if pace else ""
        refused, in_doubt = self._counts["refused"], self._counts["in_doubt"]
        return f"{self._done} of {self._recipients.count} done, {refused} refused, {in_doubt} in doubt{rest}."

    def in_words(self) -> str:
        """Tell all outcomes in a sentence."""
        summary = self.summary()
        counted = ", ".join(f"{summary[name]} {name.replace('_', ' ')}" for name in _IN_WORDS if summary[name])
        return f"Of {summary['recipients']} recipients: {counted or 'nothing to send'}, in {summary['seconds']:.1f} s."

    def who_failed(self) -> str:
        """Tell whose texts failed, and why; of many the first ones."""
        failures = sorted(self.failures, key=lambda failure: int(failure["row"]))
        named = [f"row {each['row']} (to {each['to']}): {each['reason']}" for each in failures[:NAMED]]
        more = [f"and {len(failures) - NAMED} more"] if len(failures) > NAMED else []
        return "\n".join([self.in_words(), *named, *more, self._advice()])

    def in_one_line(self) -> str:
        """Tell all outcomes, one of the failures, and what to do."""
        first = min(self.failures, key=lambda failure: int(failure["row"]), default=None)
        named = [f"Row {first['row']} (to {first['to']}): {first['reason']}."] if first else []
        return " ".join([self.in_words(), *named, self._advice()]).replace("\n", " ")

    def _advice(self) -> str:
        advice = "Retried or cleared, the task goes on with those who have not got their text."
        if not self._counts["in_doubt"]:
            return advice
        look_up = "Look those in doubt up in DialogTech's message log"
        return f'{advice} {look_up}; in_doubt="resend" texts them again in any case.'

    @property
    def not_tried(self) -> int:
        """How many texts have no outcome yet."""
        return self._recipients.count - self._done

    @property
    def all_final(self) -> bool:
        """Whether a retry by Airflow could send none of what failed."""
        return self.not_tried == 0 and self._counts["not_sent"] == 0

    @property
    def _done(self) -> int:
        return sum(self._counts.values())

    def _row(self, index: int) -> dict[str, Any]:
        return {"row": index, "to": self._recipients.masked(index)}

    def _remember(self, index: int, outcome: str, **more: str) -> None:
        if self._rows is not None:
            self._rows[index] = {**self._row(index), "outcome": outcome, **more}

    def _all_rows(self, failures: list[dict[str, Any]]) -> list[dict[str, Any]]:
        known = {failure["row"]: failure for failure in failures} | (self._rows or {})
        return [known.get(index) or self._row_unsent(index) for index in range(len(self._recipients.rows))]

    def _row_unsent(self, index: int) -> dict[str, Any]:
        outcome = "duplicate" if self._recipients.is_duplicate(index) else "not_tried"
        return {**self._row(index), "outcome": outcome}


def _name_of(error: DialogTechError) -> str:
    names = {InDoubt: "in_doubt", Refused: "refused", InvalidMessage: "invalid"}
    return next((name for kind, name in names.items() if isinstance(error, kind)), "not_sent")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
