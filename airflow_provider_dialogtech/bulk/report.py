"""The outcome of a list: counts, sentences, details by row, and its progress. Phone numbers are shortened."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import asdict
from typing import Any

from airflow_provider_dialogtech.bulk.rows import CheckedRows, FailedRow, Row, Rows, lines_by_reason
from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.exceptions import DialogTechError, how_to_settle, plural

log = logging.getLogger(__name__)

SHOWN = 100
NAMED = 20
NAMED_IN_ONE_LINE = 3
_COUNTED = ("sent", "already_sent", "held_back", "refused", "in_doubt", "not_sent")
_IN_WORDS = {
    "sent": "sent",
    "already_sent": "already sent",
    "held_back": "held back",
    "duplicates": "left out as duplicates",
    "invalid": "invalid",
    "refused": "refused",
    "in_doubt": "in doubt",
    "not_sent": "not sent",
    "not_tried": "not tried",
}


class Report:
    """Counts the outcomes of a list's rows.

    :param detailed: whether to keep the outcome of every row.
    """

    def __init__(self, rows: Rows, *, detailed: bool = False, clock: Clock = SYSTEM_CLOCK) -> None:
        self._rows = rows
        self._checked = CheckedRows(rows)
        self._noted = bytearray(len(rows))
        self._counts: Counter[str] = Counter()
        self._sent: dict[int, dict[str, Any]] | None = {} if detailed else None
        self._segments = 0
        self._clock = clock
        self._begun = clock.monotonic()
        self.failures: list[FailedRow] = []

    def note_check(self, checked: CheckedRows) -> None:
        """Note the result of the check of all rows."""
        self._checked = checked

    def note(self, index: int, outcome: SendResult | DialogTechError) -> None:
        """Note the outcome of a row's message, unless it is known already.

        :param index: the row's index in the list, from 0.
        """
        if self._noted[index]:
            return
        self._noted[index] = True
        row = self._rows[index]
        if isinstance(outcome, DialogTechError):
            failed = FailedRow.of(row, outcome)
            name = failed.outcome
            self.failures.append(failed)
        else:
            name = outcome.status
            self._segments += outcome.segments if name == "sent" else 0
            if self._sent is not None:
                self._sent[row.number] = _detail(row, name) | {"from": outcome.from_, "sent_at": outcome.sent_at}
        self._counts[name] += 1

    def summary(self) -> dict[str, Any]:
        """Return the outcomes as plain JSON: counts, and the first `SHOWN` rows that were not sent."""
        bad = self._checked.bad
        failures = [asdict(failed) for failed in sorted([*self.failures, *bad])]
        summary = {
            "recipients": len(self._rows),
            **{name: self._counts[name] for name in _COUNTED},
            "duplicates": len(self._checked.duplicates),
            "invalid": len(bad) + self._counts["invalid"],
            "not_tried": self.not_tried,
            "segments": self._segments,
            "seconds": round(self._clock.monotonic() - self._begun, 3),
            "failures": failures[:SHOWN],
            "failures_left_out": max(0, len(failures) - SHOWN),
        }
        if self._sent is None:
            return summary
        known = {failure["row"]: failure for failure in failures} | self._sent
        return {**summary, "rows": [known.get(row.number) or self._unsent(row) for row in self._rows]}

    def in_words(self) -> str:
        """Return the counts as a sentence."""
        summary = self.summary()
        counted = ", ".join(f"{summary[name]:,} {words}" for name, words in _IN_WORDS.items() if summary[name])
        recipients = plural(summary["recipients"], "recipient")
        return f"Of {recipients}: {counted or 'nothing to send'}, in {summary['seconds']:.1f} s."

    def in_lines(self) -> str:
        """Return the counts, each reason with the first rows that failed for it, and what to do."""
        return "\n".join([self.in_words(), *lines_by_reason(sorted(self.failures), NAMED), self._advice()])

    def in_one_line(self) -> str:
        """Return the counts, the first reason with its rows, and what to do."""
        lines = lines_by_reason(sorted(self.failures), NAMED_IN_ONE_LINE)
        first = f"{lines[0][0].upper()}{lines[0][1:]}." if lines else ""
        return " ".join(" ".join([self.in_words(), first, self._advice()]).split())

    def _advice(self) -> str:
        advice = "When the task is retried or cleared, it sends only the messages that were not sent."
        if not self._counts["in_doubt"]:
            return advice
        return f"{advice} {how_to_settle('those in doubt', 'them', 'them')} Then clear the task."

    def count(self, outcome: str) -> int:
        """Return the number of messages with an outcome.

        :param outcome: the outcome's name in the summary.
        """
        return self._counts[outcome]

    @property
    def to_send(self) -> int:
        """The number of messages to send, including those already sent."""
        return self._checked.count

    @property
    def not_tried(self) -> int:
        """The number of messages without an outcome."""
        return self.to_send - self._counts.total()

    @property
    def retry_helps(self) -> bool:
        """Whether a retry may send some of the messages that were not sent."""
        return self.not_tried > 0 or self._counts["not_sent"] > 0

    def _unsent(self, row: Row) -> dict[str, Any]:
        return _detail(row, "duplicate" if row.number in self._checked.duplicates else "not_tried")


def _detail(row: Row, outcome: str) -> dict[str, Any]:
    return {"row": row.number, "to": row.to, "outcome": outcome}


# A number may send 40 messages at once and then wait for the minute to end, so the rate is measured over a minute.
PACE_SECONDS = 60.0
# After this number of lines, the next ones come at growing intervals.
LINES = 50


class Progress:
    """Measures and logs the rate of a list.

    :param every: the time between two log lines, in seconds. After some minutes it grows with the list's duration, so
        that the log of a list of days stays readable.
    """

    def __init__(self, report: Report, *, every: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._report = report
        self._every = every
        self._clock = clock
        self._begun = self._logged = clock.monotonic()
        self._points = deque([(self._logged, 0)])

    def log_when_due(self) -> None:
        """Log the progress, if the last log line is old enough."""
        now = self._clock.monotonic()
        if now - self._logged >= max(self._every, (now - self._begun) / LINES):
            self._logged = now
            log.info("%s", self.in_words())

    def in_words(self) -> str:
        """Return the progress, and the remaining time at the rate of the last minute, or since the last line."""
        report, now = self._report, self._clock.monotonic()
        done = report.to_send - report.not_tried
        # Messages that were sent in an earlier try or are held back take no time, so they do not count for the rate.
        done_now = done - report.count("already_sent") - report.count("held_back")
        self._points.append((now, done_now))
        while now - self._points[1][0] >= PACE_SECONDS:
            self._points.popleft()
        since, before = self._points[0]
        pace = (done_now - before) / (now - since) if now > since else 0.0
        rest = f"; about {_duration(report.not_tried / pace)} left at {pace:.2f} per second" if pace else ""
        refused, in_doubt = report.count("refused"), report.count("in_doubt")
        return f"{done} of {report.to_send} done, {refused} refused, {in_doubt} in doubt{rest}."


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
