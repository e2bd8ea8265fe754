"""Random histories of a journal: processes that die, freeze and come back, clocks that are set, commits that are lost.

Several processes share one file and one clock, which may be set at any step; true time never is. Each message goes the
way that `SmsSender` goes, in steps between which anything else may happen. Whatever happens:

- under one key no second request leaves, unless the first was certainly not accepted, or a person said so, or asked for
  it to be sent again;
- by true time, no window of the limits is over;
- nobody waits for longer than the limits explain, and a minute.
"""

from __future__ import annotations

import heapq
import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.exceptions import WaitTooLong
from airflow_provider_dialogtech.journal import backend, sqlite, statements
from airflow_provider_dialogtech.journal.backend import Reading, Statement
from airflow_provider_dialogtech.journal.errors import StoreAway
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import LONGEST_WINDOW, RateLimits
from airflow_provider_dialogtech.journal.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.schema import messages
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store
from tests.clocks import FakeClock
from tests.hostile.conftest import IS_FUZZ, PROFILE
from tests.journal.looking import change, rows

# Few messages fill a window, so that a short history sees what happens then.
LIMITS = RateLimits(account_per_second=2, number_per_second=1, number_per_minute=5, alert_reserve=1)
NUMBERS = {"one account": ("5554332111", "5554332112"), "another account": ("5554332113",)}
ACCOUNTS = tuple(NUMBERS)
KEYS = 6
REQUEST_TIMEOUT = 2.0
# As the sender has them.
LEAD, LATE, MOST_SLOTS = 0.075, 0.012, 12
# Whoever has never read the clock cannot know that it was set.
A_MINUTE = LONGEST_WINDOW + 0.5
LONGEST_PAUSE = 5.0
# The margins of the limits absorb shorter steps.
STEPS = (-3600.0, -61.0, -30.0, -1.5, -0.9, -0.3, -0.06, 0.06, 0.3, 0.9, 1.5, 30.0, 55.0, 61.0, 3600.0)
FAILING = Statement(sa.text("SELECT this_function_does_not_exist()"), {})


@dataclass(eq=False)
class Request:
    """A request that left.

    :param left: when, by true time.
    :param outcome: what the owner learns of it.
    :param recorded: what the journal was told of it.
    :param said_unsent: whether a person said that it was not sent.
    :param is_resent: whether an attempt has begun that a person told to send it again; another may take that over.
    :param is_lost: whether the journal has lost that it started, and was not told since.
    """

    left: float
    number: str
    outcome: str
    held: Reservation
    recorded: str = ""
    said_unsent: bool = False
    is_resent: bool = False
    is_lost: bool = False
    was_lost: bool = False


@dataclass(eq=False)
class Message:
    key: str
    account: str
    is_alert: bool = False
    requests: list[Request] = field(default_factory=list)


class StoresClock:
    """What a store says that the time is: with PostgreSQL, when a statement reached it.

    :param world: how late it is.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._lag = self._waited = 0.0

    def now(self) -> float:
        return self._world.time.now() - self._lag

    @contextmanager
    def waiting(self, seconds: float) -> Iterator[None]:
        """Let a statement reach the store, and wait there for a lock before it reads and writes."""
        time = self._world.time
        reached, asked = time.now(), time.monotonic()
        if seconds:
            self._world.sleep(seconds)
        self._lag, self._waited = time.now() - reached, time.monotonic() - asked
        try:
            yield
        finally:
            self._lag = self._waited = 0.0

    def reading(self, now: float, answered: float) -> Reading:
        row = SimpleNamespace(now=now, answered_at=now + self._lag)
        return Reading.of(row, answered - self._waited, answered)


class LosingStore(Store):
    """A store whose commits may fail, whose answers may be lost, and whose statements may wait before they read."""

    lost_answers = 0
    failed_commits = 0
    waits = 0.0

    def __init__(self, url: str, clock: Clock, stores_clock: StoresClock) -> None:
        super().__init__(url, clock=clock)
        self._stores_clock = stores_clock

    def _try_once(self, work: Any, until: float) -> Any:
        waits, self.waits = self.waits, 0.0
        with self._stores_clock.waiting(waits):
            answer = super()._try_once(work, until)
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreAway("the answer to its commit was lost")
        return answer

    def locked(self, lock: str, question: Statement, plan: Any, **options: Any) -> Any:
        def plan_and_fail(row: Any, reading: Any) -> Any:
            answer, writes = plan(row, self._stores_clock.reading(reading.now, reading.at))
            if self.failed_commits:
                self.failed_commits -= 1
                return answer, [*writes, FAILING]
            return answer, writes

        return super().locked(lock, question, plan_and_fail, **options)


class Process:
    """A process: its own view of the clock, its own estimates, its own memory of when it last read the clock."""

    def __init__(self, world: World) -> None:
        self.is_alive, self.is_frozen = True, False
        self.postponed: list[Callable[[], None]] = []
        # A function of its own makes a clock of its own, by which nothing is shared with another process.
        stores_clock = StoresClock(world)
        self.clock = Clock(stores_clock.now, partial(world.time.monotonic), world.sleep)
        self.store = LosingStore(world.url, self.clock, stores_clock)
        world.processes.append(self)
        self.journals = {account: MessageJournal(self.store, account, LIMITS) for account in ACCOUNTS}

    def read_clock(self, key: str) -> None:
        """Reserve nothing, as a message does that is held back."""
        self.journals[ACCOUNTS[0]].reserve(
            SlotRequest(key, NUMBERS[ACCOUNTS[0]], "5556667777", "Hello", is_held_back=True)
        )


class Attempt:
    """One call of `send`, step by step."""

    def __init__(
        self,
        world: World,
        process: Process,
        message: Message,
        outcome: str,
        latency: float,
        *,
        resend: bool = False,
        max_wait: float | None = None,
    ) -> None:
        self.world, self.process, self.message = world, process, message
        self.outcome, self.latency = outcome, latency
        self.resend, self.max_wait = resend, max_wait
        self.journal = process.journals[message.account]
        self.slots = 0
        self.unsent: Reservation | None = None
        self.excused: set[Request] = set()
        self.is_over = False
        self.due = 0.0

    @property
    def request(self) -> SlotRequest:
        message = self.message
        return SlotRequest(message.key, NUMBERS[message.account], "5556667777", "Hello", is_alert=message.is_alert)

    def reserve(self) -> None:
        self.excused = {request for request in self.message.requests if self._is_excused(request)}
        begun, after = self.world.time.monotonic(), self.world.last_due(self.message.account)
        try:
            found = self.journal.reserve(
                self.request, resend=self.resend, max_wait=self.max_wait, after=self.unsent, longest_pause=LONGEST_PAUSE
            )
        except WaitTooLong:
            self._give_back()
            return
        if isinstance(found, Record):
            self.unsent = None
            self._answer(found)
            return
        self.unsent, self.due = found, found.due
        for request in self.excused if self.resend else ():
            request.is_resent = True
        # The limits may let it wait for a minute after all others, and a clock for another one.
        latest = max(begun, after, self.world.time.monotonic()) + 2 * A_MINUTE + LONGEST_PAUSE
        assert found.due <= latest, f"waits {found.due - latest:.1f} s too long"
        if self.world.time.monotonic() > found.due:
            self._lose_slot()
        else:
            self._at(found.due - LEAD, self.start)

    def _is_excused(self, request: Request) -> bool:
        is_wanted = request.is_resent or (self.resend and request.recorded != "sent")
        return request.outcome in {"refused", "throttled"} or request.said_unsent or request.is_lost or is_wanted

    def _answer(self, found: Record) -> None:
        if found.state in {State.RESERVED, State.SENDING}:
            self._at(self.world.time.monotonic() + found.undecided_for + 0.01, lambda: self._await(found))
        else:
            self.is_over = True

    def _await(self, record: Record) -> None:
        found = self.journal.find(self.message.key)
        if found is not None and found.id == record.id and found.state is State.SENDING:
            self.journal.give_up(found)
        self.reserve()

    def start(self) -> None:
        held = self.unsent
        assert held is not None
        if self.world.time.monotonic() > held.due or not self.journal.start(held, request_timeout=REQUEST_TIMEOUT):
            self._lose_slot()
        else:
            self._at(held.due, self.leave)

    def leave(self) -> None:
        held = self.unsent
        assert held is not None
        if self.world.time.monotonic() - held.due > LATE:
            self._lose_slot()
        elif self.outcome == "unreachable":
            self.outcome = "sent"
            self._at(self.world.time.monotonic() + 1.0, self.reserve)
        else:
            self.unsent = None
            request = Request(self.world.time.monotonic(), held.number, self.outcome, held)
            twice = [earlier for earlier in self.message.requests if earlier not in self.excused]
            assert not twice, f"sent twice: {twice}, {request}"
            self.message.requests.append(request)
            self.world.note(self.message.account, request)
            self._at(self.world.time.monotonic() + self.latency, lambda: self.settle(request))

    def settle(self, request: Request) -> None:
        outcome: Any = request.outcome
        pause = 1.0 if outcome == "throttled" else 0.0
        if not self.journal.settle(request.held, outcome, {}, took=self.latency, pause=pause):
            self.journal.bring_back(self.request, request.held, outcome, {})
            assert request.was_lost, "the journal is said to have lost what it knows"
        request.recorded, request.is_lost = outcome, False
        if outcome == "sent":
            request.said_unsent = False
        if outcome == "throttled":
            self.outcome = "sent"
            self.reserve()
        else:
            self.is_over = True

    def _lose_slot(self) -> None:
        self.slots += 1
        if self.slots >= MOST_SLOTS:
            self._give_back()
        else:
            self.reserve()

    def _give_back(self) -> None:
        self.is_over = True
        if self.unsent is not None:
            self.journal.release(self.unsent)

    def _at(self, moment: float, happen: Callable[[], None]) -> None:
        self.world.at(moment, self.process, happen)


class World:
    """True time, the clock that all processes read, and what is to happen."""

    def __init__(self) -> None:
        self.time = FakeClock()
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{Path(self.folder.name) / 'journal.db'}"
        self.left: dict[str, list[Request]] = {account: [] for account in ACCOUNTS}
        self.attempts: list[Attempt] = []
        self.messages: dict[str, Message] = {}
        self.processes: list[Process] = []
        self.set_at = -A_MINUTE
        self.sets: list[tuple[int, float]] = []
        self.count = itertools.count()
        self._events: list[tuple[float, int, Process, Callable[[], None]]] = []

    def set(self, by: float) -> None:
        self.time.set(by)
        self.set_at = self.time.monotonic()

    def at(self, moment: float, process: Process, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(moment, self.time.monotonic()), next(self.count), process, happen))

    def sleep(self, seconds: float) -> None:
        """Let others go on while somebody sleeps between two tries."""
        self.run(self.time.monotonic() + seconds)

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            moment, _, process, happen = heapq.heappop(self._events)
            if not process.is_alive:
                continue
            if process.is_frozen:
                process.postponed.append(happen)
                continue
            self.time.go_on(max(0.0, moment - self.time.monotonic()))
            self._set_in_between()
            happen()
        self.time.go_on(max(0.0, until - self.time.monotonic()))

    def _set_in_between(self) -> None:
        self.sets = [(events - 1, by) for events, by in self.sets]
        for _, by in [each for each in self.sets if each[0] <= 0]:
            self.set(by)
        self.sets = [each for each in self.sets if each[0] > 0]

    def last_due(self, account: str) -> float:
        waiting = (each.due for each in self.attempts if each.message.account == account)
        return max(waiting, default=0.0)

    def note(self, account: str, request: Request) -> None:
        """Note that a request leaves, and hold the limits against all that left."""
        self.left[account].append(request)
        # What the journal had lost it could not count.
        times = [each for each in self.left[account] if not each.was_lost]
        of_number = [each.left for each in times if each.number == request.number]
        assert not overfull([each.left for each in times], LIMITS.account_per_second, 1.0), "an account's second"
        assert not overfull(of_number, LIMITS.number_per_second, 1.0), "a number's second"
        assert not overfull(of_number, LIMITS.number_per_minute, 60.0), "a number's minute"

    @property
    def is_idle(self) -> bool:
        return not self._events


def overfull(times: list[float], most: int, seconds: float) -> list[tuple[float, float]]:
    ordered = sorted(times)
    return [(first, last) for first, last in zip(ordered, ordered[most:], strict=False) if last - first < seconds]


which = st.integers(0, 1)
seconds_to_wait = st.sampled_from((0.01, 0.05, 0.2, 1.0, 1.5, 5.0, 20.0, 61.0))
outcomes = st.sampled_from(("sent", "sent", "sent", "in_doubt", "refused", "throttled", "unreachable"))
latencies = st.sampled_from((0.05, 0.3, 1.5, 8.0))
soon = st.sampled_from((0.01, 0.2, 0.6, 2.0))
waits = st.sampled_from((0.0, 0.2, 1.0, 3.0))


class Histories(RuleBasedStateMachine):
    """What may happen to a journal."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.processes = [Process(self.world) for _ in range(2)]
        for process in self.processes:
            process.read_clock(f"clock {next(self.world.count)}")

    def teardown(self) -> None:
        try:
            for process in self.world.processes:
                self._thaw(process)
            self.world.run(self.world.time.monotonic() + 3600.0)
            assert self.world.is_idle
            waiting = [each for each in self.world.attempts if each.process.is_alive and not each.is_over]
            assert waiting == [], "somebody waits for ever"
        finally:
            self.world.folder.cleanup()

    def _send(self, process: int, key: str, account: str, outcome: str, latency: float, **options: Any) -> None:
        sender = self.processes[process]
        if sender.is_frozen:
            return
        is_alert = options.pop("is_alert", False)
        message = self.world.messages.setdefault(key, Message(key, account, is_alert))
        attempt = Attempt(self.world, sender, message, outcome, latency, **options)
        self.world.attempts.append(attempt)
        attempt.reserve()

    @rule(process=which, key=st.integers(0, KEYS - 1), outcome=outcomes, latency=latencies, resend=st.booleans())
    def send(self, process: int, key: int, outcome: str, latency: float, resend: bool) -> None:
        self._send(process, f"key {key}", ACCOUNTS[key % 2], outcome, latency, resend=resend)

    @rule(process=which, account=st.sampled_from(ACCOUNTS), count=st.integers(2, 6))
    def send_list(self, process: int, account: str, count: int) -> None:
        for _ in range(count):
            self._send(process, f"of a list {next(self.world.count)}", account, "sent", 0.1)

    @rule(account=st.sampled_from(ACCOUNTS), count=st.integers(2, 6), seconds=soon, waits=waits)
    def send_beside_a_list(self, account: str, count: int, seconds: float, waits: float) -> None:
        self.send_list(0, account, count)
        self.wait(seconds)
        self.processes[1].store.waits = waits
        self.send_list(1, account, 1)

    @rule(process=which, account=st.sampled_from(ACCOUNTS), latency=latencies)
    def send_alert(self, process: int, account: str, latency: float) -> None:
        self._send(process, f"alert {next(self.world.count)}", account, "sent", latency, is_alert=True)

    @rule(process=which, key=st.integers(0, KEYS - 1))
    def send_at_once_or_never(self, process: int, key: int) -> None:
        self._send(process, f"key {key}", ACCOUNTS[key % 2], "sent", 0.1, max_wait=0.0)

    @rule(process=which)
    def hold_back(self, process: int) -> None:
        if not self.processes[process].is_frozen:
            self.processes[process].read_clock(f"held back {next(self.world.count)}")

    @rule(seconds=seconds_to_wait)
    def wait(self, seconds: float) -> None:
        self.world.run(self.world.time.monotonic() + seconds)

    @rule(by=st.sampled_from(STEPS))
    def set_clock(self, by: float) -> None:
        self.world.set(by)

    @rule(by=st.sampled_from(STEPS), events=st.integers(1, 6))
    def set_clock_between_two_steps(self, by: float, events: int) -> None:
        self.world.sets.append((events, by))

    @rule(process=which)
    def freeze(self, process: int) -> None:
        self.processes[process].is_frozen = True

    @rule(process=which)
    def thaw(self, process: int) -> None:
        self._thaw(self.processes[process])

    def _thaw(self, process: Process) -> None:
        process.is_frozen = False
        postponed, process.postponed = process.postponed, []
        for happen in postponed:
            self.world.at(self.world.time.monotonic(), process, happen)

    @precondition(lambda self: self.world.time.monotonic() - self.world.set_at >= A_MINUTE)
    @rule(process=which, is_killed=st.booleans())
    def put_a_new_one_in_its_place(self, process: int, is_killed: bool) -> None:
        """It was killed; or it has forked, and finishes what it has begun beside its child, which remembers nothing."""
        self.processes[process].is_alive = not is_killed
        self.processes[process] = Process(self.world)
        self.processes[process].read_clock(f"clock {next(self.world.count)}")

    @rule(process=which, count=st.integers(1, 2))
    def lose_answers(self, process: int, count: int) -> None:
        self.processes[process].store.lost_answers = count

    @rule(process=which, waits=waits)
    def let_the_next_statement_wait_before_it_reads(self, process: int, waits: float) -> None:
        self.processes[process].store.waits = waits

    @rule(process=which)
    def fail_commit(self, process: int) -> None:
        self.processes[process].store.failed_commits = 1

    def _requests(self, *states: str) -> Iterator[tuple[Request, Any]]:
        found = {(row.id, row.owner): row for row in rows(self.world.url) if row.state in states}
        for message in self.world.messages.values():
            for request in message.requests:
                with suppress(KeyError):
                    yield request, found[request.held.id, request.held.owner]

    @rule(state=st.sampled_from(("sent", "unsent")))
    def let_a_person_resolve(self, state: str) -> None:
        store = self.processes[0].store
        for request, row in list(self._requests("in_doubt"))[:1]:
            values = {"of_id": row.id, "new_state": state, "new_detail": '{"settled_by": "somebody"}'}
            if store.do(Statement(statements.RESOLVE, values)):
                request.said_unsent = state == "unsent"

    @rule()
    def lose_start(self) -> None:
        for request, row in list(self._requests("sending"))[:1]:
            change(self.world.url, messages.update().where(messages.c.id == row.id).values(state="reserved"))
            request.is_lost = request.was_lost = True

    @rule()
    def lose_row(self) -> None:
        for request, row in list(self._requests("sending"))[:1]:
            change(self.world.url, messages.delete().where(messages.c.id == row.id))
            request.is_lost = request.was_lost = True


@pytest.fixture(autouse=True)
def _quick_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written to the disk, a thread that has nothing to do ends at once, and clocks do not drift."""
    make = sqlite._engine

    def quick(url: Any, clock: Any) -> Any:
        engine = make(url, clock)
        sa.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF").fetchall())
        return engine

    monkeypatch.setattr(sqlite, "_engine", quick)
    monkeypatch.setattr(sqlite, "_IDLE_SECONDS", 0.2)
    monkeypatch.setattr(backend, "DRIFT", 0.0)


def test_no_history_sends_twice_overfills_a_window_or_makes_anybody_wait() -> None:
    # A history takes longer than an example of the other tests.
    most = 1500 if IS_FUZZ else 20
    run_state_machine_as_test(Histories, settings=settings(PROFILE, max_examples=most, stateful_step_count=30))


@pytest.mark.parametrize("by", [0.3, 1.5])
def test_a_clock_set_back_and_ahead_while_only_another_process_sends_is_noticed(by: float) -> None:
    """Nothing was there to be moved back, so nothing told the first process of what the second one had sent."""
    history = Histories()
    history.set_clock(by=-3600.0)
    history.send_alert(process=1, account="another account", latency=0.05)
    history.wait(seconds=0.2)
    history.set_clock(by=by)
    history.send(process=0, key=1, outcome="sent", latency=0.05, resend=False)
    history.teardown()
