"""How far a list is, and how long the rest of it will take."""

from __future__ import annotations

import logging
from collections import deque

from airflow_provider_dialogtech.bulk.report import Report
from airflow_provider_dialogtech.delivery.clock import SYSTEM_CLOCK, Clock

log = logging.getLogger(__name__)

# One number may send 40 texts and then rests until the minute is over, so the pace is that of a whole minute.
PACE_SECONDS = 60.0


class Progress:
    """Measures the pace of a list.

    :param report: counts what became of each row.
    :param every: log it after so many seconds.
    """

    def __init__(self, report: Report, *, every: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._report = report
        self._every = every
        self._clock = clock
        self._logged = clock.monotonic()
        self._points = deque([(self._logged, 0)])

    def log_when_due(self) -> None:
        """Log it, unless that was done shortly before."""
        if self._clock.monotonic() - self._logged >= self._every:
            self._logged = self._clock.monotonic()
            log.info("%s", self.in_words())

    def in_words(self) -> str:
        """Return how far it is, and how long the rest will take at the pace of the last minute."""
        report, now = self._report, self._clock.monotonic()
        done = report.to_send - report.not_tried
        # Texts that were sent in an earlier try, or are held back, are done in no time, so they are no pace.
        done_now = done - report.count("already_sent") - report.count("held_back")
        self._points.append((now, done_now))
        while now - self._points[0][0] > PACE_SECONDS:
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
