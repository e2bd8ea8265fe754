"""Measures how long the steps of a message take here, so that slots are reserved far enough ahead."""

from __future__ import annotations

import threading

from airflow_provider_dialogtech.clock import SYSTEM_CLOCK, Clock

# As TCP's retransmission timer (RFC 6298): mean plus four deviations, which no step should exceed by chance.
_MEAN_GAIN = 1 / 8
_DEVIATION_GAIN = 1 / 4
_DEVIATIONS = 4
# What a busy machine may add at any time; no estimate is finer than this.
GRANULARITY = 0.010
# A step that takes longer does not predict the next one, and head starts must stay bounded.
LONGEST = 10.0

# A sample beyond the bound counts for at most this many bounds: a journal that stalls once does not delay the messages
# of the next minutes, and one that stays slow is learned within a few samples.
_MOST_BOUNDS = 2

# The longest of the recent steps is forgotten this slowly: by half in 34 steps.
_FORGOTTEN = 0.98

# When a message is to be started, a file may be locked by a process that commits, and then by one that waited before
# this one.
_COMMITS_IN_THE_WAY = 3

# A message that waits for its slot anyway is started early enough that one slow commit does not matter.
_LEAST_LEAD = 0.075

# A missed slot lengthens the next head starts; each slot that was met takes some of it back.
_LONGER = 1.5
_SHORTER = 0.9
_LONGEST_STRETCH = 8.0


class StepTime:
    """The time that one step takes: its mean and its deviation.

    :param guess: the estimate before the first sample, in seconds.
    :param clock: the clock by which a sample ends.
    """

    def __init__(self, guess: float | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._guess = guess
        self._mean: float | None = None
        self._deviation = 0.0
        self._longest = 0.0
        self._exceeded_at = 0.0

    @property
    def mean(self) -> float:
        """The usual time, in seconds; 0 if unknown."""
        return self._mean if self._mean is not None else self._guess or 0.0

    @property
    def bound(self) -> float:
        """The time that is hardly ever exceeded, in seconds."""
        if self._mean is None:
            return self.mean + GRANULARITY
        return min(self._mean + max(GRANULARITY, _DEVIATIONS * self._deviation), LONGEST)

    @property
    def longest(self) -> float:
        """The time that the longest of the recent steps took, or the bound where that is more, in seconds.

        A file that several processes write is free at one moment and locked by all of them at another; a mean and its
        deviation forget that in between.
        """
        return max(self.bound, min(self._longest + GRANULARITY, LONGEST))

    def guess(self, seconds: float, *, longest: float = 0.0) -> None:
        """Use this estimate, or the guess if it is larger, until there is a sample.

        :param longest: what to take for the longest of the recent steps, until it is forgotten.
        """
        self._guess = max(seconds, self._guess or 0.0)
        self._longest = max(longest, self._longest)

    def note(self, seconds: float) -> None:
        """Learn from one more step."""
        seconds = min(max(seconds, 0.0), LONGEST)
        if self._mean is not None and seconds > self.bound:
            ended = self._clock.monotonic()
            if ended - seconds < self._exceeded_at:
                return  # what stalled at the same time in many threads is one stall
            self._exceeded_at = ended
            seconds = min(seconds, _MOST_BOUNDS * self.bound)
        self._longest = max(seconds, _FORGOTTEN * self._longest)
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
        else:
            self._deviation += _DEVIATION_GAIN * (abs(seconds - self._mean) - self._deviation)
            self._mean += _MEAN_GAIN * (seconds - self._mean)


class Timing:
    """The steps between finding a slot and sending the request in it.

    The threads of a process that use one journal share it.

    :param clock: the clock by which steps end and slots are missed.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self.commit = StepTime(clock=clock)
        """From the moment at which `reserve` read the clock until it returned."""
        self.start = StepTime(clock=clock)
        self._stretch = 1.0
        self._stretched_at = 0.0
        self._lock = threading.Lock()

    def first_answer(self, seconds: float) -> None:
        """Use the time of one answer of the journal as the first estimate of its steps."""
        with self._lock:
            # The time of an answer runs from its question; half of it is over when the clock is read.
            self.commit.guess(2.5 * seconds)
            self.start.guess(2 * seconds)

    def first_commit(self, seconds: float) -> None:
        """Use the time of a commit to a file, which is all that takes time there, as the first estimate."""
        with self._lock:
            self.commit.guess(seconds)
            self.start.guess(seconds, longest=_COMMITS_IN_THE_WAY * seconds)

    def committed(self, seconds: float) -> None:
        with self._lock:
            self.commit.note(seconds)
            self.start.guess(seconds)  # one commit takes about as long as the other

    def started(self, seconds: float) -> None:
        with self._lock:
            self.start.note(seconds)

    def missed(self, reserved: float) -> None:
        """Note that a slot was missed.

        :param reserved: when it began to be reserved, on the monotonic clock. Slots that were reserved before the last
            miss had the shorter head start, so they do not lengthen it further.
        """
        with self._lock:
            if reserved > self._stretched_at:
                self._stretched_at = self._clock.monotonic()
                self._stretch = min(self._stretch * _LONGER, _LONGEST_STRETCH)

    def met(self) -> None:
        """Note that a request left in its slot."""
        with self._lock:
            self._stretch = max(self._stretch * _SHORTER, 1.0)

    def head_start(self, connect: float) -> float:
        """Return the shortest time to the next slot, in seconds.

        :param connect: how long connecting to the API may take.
        """
        return min(self._stretch * (self.commit.bound + self.start.bound) + connect, LONGEST)

    @property
    def start_lead(self) -> float:
        """How many seconds before its slot a message is started; at once if less is left."""
        return min(max(self._stretch * self.start.longest, _LEAST_LEAD), LONGEST)

    def __str__(self) -> str:
        return f"reserving a slot takes {self.commit.mean:.2f} s, starting a message {self.start.mean:.2f} s"
