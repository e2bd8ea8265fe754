"""An account's line with a handed-in clock: lists that keep it full, alerts at random, processes that are killed.

It runs the real planner on rows that it keeps itself; nothing is sent, and no time passes.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from airflow_provider_dialogtech.journal import statements
from airflow_provider_dialogtech.journal.backend import Reading
from airflow_provider_dialogtech.journal.limits import LONGEST_WINDOW, RateLimits, Window
from airflow_provider_dialogtech.journal.planner import Planner
from airflow_provider_dialogtech.journal.records import COLUMNS, Reservation, SlotRequest
from airflow_provider_dialogtech.masking import digest

ACCOUNT = "account"
BEGIN = 1_000_000.0
# Times are added and subtracted.
ROUNDING = 1e-6


@dataclass
class Text:
    """A message, and what becomes of it."""

    key: str
    is_alert: bool
    called: float
    held: Reservation | None = None
    left: float | None = None
    displaced: int = 0
    dies: bool = False


@dataclass
class Schedule:
    """One random schedule.

    :param chance: chooses everything.
    :param numbers: how many numbers the account has.
    :param senders: how many messages its lists have on their way at a time.
    :param alerts: when alerts are called, in seconds from the beginning.
    :param history: whether the lists have been running for a while.
    :param killed: how many processes have just been killed, each with a reservation.
    """

    chance: random.Random
    numbers: int
    senders: int
    alerts: list[float]
    seconds: float
    history: bool = True
    killed: int = 0
    limits: RateLimits = field(default_factory=RateLimits)

    def __post_init__(self) -> None:
        self.names = tuple(f"555433{index:04}" for index in range(self.numbers))
        self.rows: dict[int, dict[str, Any]] = {}
        self.texts: list[Text] = []
        self.left: list[tuple[float, str, bool]] = []
        self._owners: dict[int, Text] = {}
        self._count = itertools.count(1)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        # How long the journal's steps take, and the API.
        self.head_start = self.chance.uniform(0.02, 0.3)
        self.lead = self.head_start * self.chance.uniform(0.1, 0.5)
        self.latency = self.chance.uniform(0.02, 0.4)

    def run(self) -> Schedule:
        if self.history:
            self._remember_a_list()
        for _ in range(self.killed):
            self._at(BEGIN, lambda now: self._reserve(self._text(now, dies=True), now))
        for _ in range(self.senders):
            self._at(BEGIN + self.chance.uniform(0, 0.5), self._next_of_a_list)
        for second in self.alerts:
            self._at(BEGIN + second, lambda now: self._reserve(self._text(now, is_alert=True), now))
        while self._events:
            now, _, happen = heapq.heappop(self._events)
            if now > BEGIN + self.seconds:
                break
            happen(now)
        return self

    def delays(self) -> list[float]:
        """Return for each alert how long after its call its slot is."""
        return [text.held.at - text.called for text in self.texts if text.is_alert and text.held is not None]

    def forgotten(self) -> list[Text]:
        """Return the alerts that got no slot."""
        return [text for text in self.texts if text.is_alert and text.held is None]

    def _remember_a_list(self) -> None:
        """Write down what lists would have sent in the last minute."""
        step = max(1.0351 / self.limits.account_per_second, 1.0351 / self.numbers)
        begun = BEGIN - self.chance.uniform(0, 60)
        times = ((begun + place * step, self.names[place % self.numbers]) for place in range(36 * self.numbers))
        for at, number in itertools.takewhile(lambda each: each[0] < BEGIN, times):
            id_ = next(self._count)
            name = digest(ACCOUNT, number)
            row = {
                "id": id_,
                "number": name,
                "at": at,
                "state": "sent",
                "priority": 0,
                "displaced": 0,
                "created": at,
                "updated": at,
            }
            self.rows[id_] = row
            self.left.append((at, name, False))

    def _at(self, moment: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._count), happen))

    def _text(self, now: float, *, is_alert: bool = False, dies: bool = False) -> Text:
        text = Text(str(next(self._count)), is_alert, now, dies=dies)
        self.texts.append(text)
        return text

    def _next_of_a_list(self, now: float) -> None:
        self._reserve(self._text(now), now)

    def _reserve(self, text: Text, now: float) -> None:
        request = SlotRequest(text.key, self.names, "5556667777", "text", is_alert=text.is_alert)
        planner = Planner(
            request.named(ACCOUNT),
            self.limits,
            owner=str(next(self._count)),
            after=None if text.held is None else text.held.owner,
        )
        answer, writes = planner.plan(self._answer(text, now), Reading(now, now, 0.0), self.head_start)
        assert isinstance(answer, Reservation)
        for statement, values in writes:
            self._write(statement, dict(values))
        text.held = answer
        self._owners[answer.id] = text
        if not text.dies:
            self._at(max(now, answer.at - self.lead), lambda then: self._start(text, then))

    def _answer(self, text: Text, now: float) -> Any:
        for id_ in [id_ for id_, row in self.rows.items() if row["at"] <= now - LONGEST_WINDOW]:
            del self.rows[id_]
        rows = self.rows.values()
        own = [row for row in rows if text.held is not None and row["id"] == text.held.id]
        return SimpleNamespace(
            now=now,
            next_id=next(self._count),
            account="[]",
            clock_set_by="[]",
            message=json.dumps([[row[name] for name in COLUMNS] for row in own]),
            changing=f"[{','.join(map(_as_json, rows))}]",
            left="[]",
        )

    def _write(self, statement: Any, values: dict[str, Any]) -> None:
        if statement is statements.INSERT:
            self.rows[values["id"]] = values
            return
        row = self.rows[values["of_id"]]
        if statement is statements.DISPLACE:
            assert row["state"] == "reserved"
            row |= {"state": "released", "displaced": row["displaced"] + 1}
            self._owners[row["id"]].displaced += 1
        else:
            assert statement is statements.RELEASE_OURS
            row["state"] = "released"

    def _start(self, text: Text, now: float) -> None:
        assert text.held is not None
        row = self.rows.get(text.held.id)
        if row is None or row["state"] != "reserved":
            self._reserve(text, now)
            return
        row["state"] = "sending"
        self._at(text.held.at, lambda then: self._leave(text, then))

    def _leave(self, text: Text, now: float) -> None:
        assert text.held is not None
        row = self.rows[text.held.id]
        row["state"] = "sent"
        text.left = now
        self.left.append((now, row["number"], text.is_alert))
        if not text.is_alert:
            self._at(now + self.latency, self._next_of_a_list)


def _as_json(row: dict[str, Any]) -> str:
    key = (row["state"], row["displaced"])
    if row.get("as_json", ("",))[0] != key:
        row["as_json"] = (key, json.dumps([row[name] for name in statements.SLOT_COLUMNS]))
    return str(row["as_json"][1])


def overruns(left: list[tuple[float, str, bool]], limits: RateLimits) -> Iterator[tuple[Window, float]]:
    """Return each window that more messages left in than it allows, and when."""
    by_number = defaultdict(list)
    ordinary = defaultdict(list)
    for at, number, is_alert in left:
        by_number[number].append(at)
        if not is_alert:
            ordinary[number].append(at)
    groups = [(limits.of_account(), [at for at, _, _ in left])]
    groups += [(limits.of_number(), times) for times in by_number.values()]
    groups += [(limits.of_ordinary(), times) for times in ordinary.values()]
    for windows, times in groups:
        times.sort()
        for window in windows:
            for first, last in zip(times, times[window.messages :], strict=False):
                if last - first < window.seconds - ROUNDING:
                    yield window, last


def random_alerts(chance: random.Random, numbers: int, seconds: float, limits: RateLimits) -> list[float]:
    """Choose when alerts are called, never more in a minute than are kept free for them."""
    free = (limits.number_per_minute - limits.ordinary_per_minute) * numbers
    # Half of what the account may send in this time: more are a burst.
    most = min(free, int(limits.account_per_second * seconds / 2))
    return sorted(chance.uniform(0, seconds) for _ in range(chance.randint(1, most)))


def random_schedule(seed: int, numbers: int) -> Schedule:
    """Return a schedule that has not run."""
    chance = random.Random(seed)
    limits, seconds = RateLimits(), 10.0
    return Schedule(
        chance,
        numbers,
        senders=chance.choice((0, 1, 4, 12, 24)),
        alerts=random_alerts(chance, numbers, seconds - 6, limits),
        seconds=seconds,
        history=chance.random() < 0.9,
        killed=chance.choice((0, 0, 4, 48)),
        limits=limits,
    )
