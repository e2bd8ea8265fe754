"""What is stored of one recipient's alerts with one dedup key, and how it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

# Times further ahead were written by a clock that is right again.
CLOCK_ERROR = 1.0
# A callback that was killed while it waited suppresses others for no longer than this.
LEASE = 60.0

_SHORTEST_RETENTION = 86400.0
_MAY_BE_OUT = ("sending", "sent", "in_doubt")


@dataclass(frozen=True)
class StoredAlert:
    """What is stored of one recipient's alerts with one dedup key. A text may say that they are over.

    :param claim: the claim of the last one that became a text; None where that was given back.
    :param claimed_at: when it was claimed.
    :param cooldown_ends: until when the recipient is not texted again.
    :param reported: how many suppressed alerts its text reports.
    :param reported_since: when the first of these was due.
    :param suppressed: how many alerts were suppressed since.
    :param suppressed_since: when the first of these was due.
    :param text_key: the journal's name of its text; empty where the version before 0.1.0 made the claim.
    :param last_suppressed: the claim that the last suppressed alert would have had.
    :param failures: how many alerts there were, sent or suppressed, since the last text that they are over. A version
        that does not know this leaves it as it is.
    :param failing_since: when the first of these was due.
    :param sent_before: 1 where a text about one of these was sent before the last claim.
    :param about: a digest of what the last claim was about; empty where that is not known.
    :param resolution: the claim of the text that they are over. It counts while it is the last claim.
    """

    claim: str | None = None
    claimed_at: float = 0.0
    cooldown_ends: float = 0.0
    reported: int = 0
    reported_since: float | None = None
    suppressed: int = 0
    suppressed_since: float | None = None
    text_key: str = ""
    last_suppressed: str = ""
    failures: int = 0
    failing_since: float | None = None
    sent_before: int = 0
    about: str = ""
    resolution: str = ""

    @classmethod
    def of(cls, row: Any) -> StoredAlert | None:
        """Read the answer to `QUESTION`. A clock that was ahead may have written times that are still to come."""
        rows = json.loads(row.alert)
        if not rows:
            return None
        stored = cls(*rows[0])
        return replace(
            stored,
            reported_since=_no_later(stored.reported_since, row.now),
            suppressed_since=_no_later(stored.suppressed_since, row.now),
            failing_since=_no_later(stored.failing_since, row.now),
        )

    @property
    def is_resolution(self) -> bool:
        """Whether the last claim is that of a text that the failures are over."""
        return self.claim is not None and self.claim == self.resolution

    @property
    def known_failures(self) -> int:
        """How many failures there were. What an older version has counted is found in what is to be reported."""
        return max(self.failures, self.suppressed + self.reported + (self.claim is not None and not self.is_resolution))

    def first_failure(self, now: float) -> float:
        """Return when the first failure was due, as far as it is known."""
        if self.failing_since is not None:
            return min(self.failing_since, now)
        claimed_at = None if self.claim is None else self.claimed_at
        found = (claimed_at, self.reported_since, self.suppressed_since)
        return min([now, *(moment for moment in found if moment is not None)])

    def as_it_stands(self, row: Any) -> StoredAlert:
        """Return what holds now, where the last claim is that of a text that the failures are over.

        When that text may be out, or is about to be, nothing is left of them. When it never left, they go on.
        """
        if not self.is_resolution:
            return self
        if was_sent(self, row) or row.text_state == "held_back" or is_leased(self, row.now):
            return StoredAlert(last_suppressed=self.last_suppressed)
        return replace(
            self,
            claim=None,
            resolution="",
            cooldown_ends=0.0,
            reported=0,
            reported_since=None,
            suppressed=self.suppressed + self.reported,
            suppressed_since=self.suppressed_since if self.reported_since is None else self.reported_since,
        )


def _no_later(moment: float | None, now: float) -> float | None:
    return None if moment is None else min(moment, now)


def was_sent(alert: StoredAlert, row: Any) -> bool:
    """Return whether the text of the last claim is out, as far as the journal knows."""
    if not alert.text_key:  # the version before 0.1.0 did not write down which text it was
        return True
    # A text that has gone from the journal, for its time was over, was sent; one that never came into it was not.
    is_forgotten = row.text_state is None and alert.claimed_at < row.now - _SHORTEST_RETENTION
    return row.text_state in _MAY_BE_OUT or is_forgotten


def is_leased(alert: StoredAlert, now: float) -> bool:
    """Return whether whoever made the last claim may still be about to send its text."""
    return alert.claim is not None and alert.claimed_at <= now + CLOCK_ERROR and now < alert.claimed_at + LEASE


def is_cooling_down(alert: StoredAlert, now: float, *, sent: bool) -> bool:
    """Return whether its recipient was texted a short time ago, or is about to be."""
    if alert.claimed_at > now + CLOCK_ERROR:
        return False  # by a clock that was ahead; better one text too many
    counts = alert.claim is not None and (now < alert.claimed_at + LEASE or sent)
    return now < alert.cooldown_ends and counts


def unsent(alert: StoredAlert, now: float, *, sent: bool) -> tuple[int, float | None]:
    """Return how many alerts no text has reported, and since when."""
    if alert.claim is None or sent:
        return alert.suppressed, alert.suppressed_since
    since = alert.reported_since or min(alert.claimed_at, now)
    return alert.suppressed + alert.reported + 1, since
