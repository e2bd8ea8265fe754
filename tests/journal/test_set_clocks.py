"""A clock that is set ahead is noted by whoever reads it first, and stays noted until a commit: on both stores."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.exceptions import JournalUnavailable, WaitTooLong
from airflow_provider_dialogtech.journal import journal as journal_module
from airflow_provider_dialogtech.journal import timing
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.dedup import AlertGate
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.schema import alerts, messages, now
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import change, database, rows
from tests.journal.test_clock_readings import wait_until_one_waits

pytestmark = pytest.mark.usefixtures("no_slot_is_missed")

NUMBERS = ("5554332111", "5554332112", "5554332113", "5554332114")
LIMITS = RateLimits()
A_MINUTE = 55.0  # less what a busy machine takes
# PostgreSQL finds a function of this name here before its own, once the path says so.
_SET = """
CREATE OR REPLACE FUNCTION public.{name}() RETURNS timestamptz LANGUAGE sql AS
$$ SELECT pg_catalog.{name}() + interval '{ahead:.6f} seconds' $$
"""


class StoresClock:
    """The clock of a store, which a test may set; and the processes that use the store."""

    def __init__(self, url):
        self._url = url
        self._is_file = url.startswith("sqlite")
        self._ahead = self._passed = 0.0
        if not self._is_file:
            self.set(0)
            with database(url) as connection:
                name = connection.exec_driver_sql("SELECT current_database()").scalar()
                connection.exec_driver_sql(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")

    def set(self, ahead):
        self._ahead = ahead
        if not self._is_file:
            with database(self._url) as connection:
                for name in ("statement_timestamp", "clock_timestamp"):
                    connection.exec_driver_sql(_SET.format(name=name, ahead=ahead + self._passed))

    def go_on(self, seconds):
        """Let time pass for the store and for all processes."""
        self._passed += seconds
        self.set(self._ahead)

    def now(self):
        return time.time() + self._ahead + self._passed

    def monotonic(self):
        return time.monotonic() + self._passed

    def process(self, account="account", store=Store):
        """A process of its own: it remembers for itself when it last read the clock."""
        own = store(self._url, clock=Clock(partial(self.now), partial(self.monotonic)), patience=10.0)
        return MessageJournal(own, account, LIMITS)


@pytest.fixture
def clock(store_url):
    return StoresClock(store_url)


def a_request(key, *, one_number=False, **options):
    return SlotRequest(key, NUMBERS[: 1 if one_number else None], "5556667777", "Hello", **options)


def send(journal, key):
    held = journal.reserve(a_request(key))
    time.sleep(max(0.0, held.due - time.monotonic() - 0.02))
    assert journal.start(held, request_timeout=30)
    journal.settle(held, "sent", {})
    return held


def find_already_sent(journal, _store):
    assert isinstance(journal.reserve(a_request("sent before")), Record)


def hold_back(journal, _store):
    assert journal.reserve(a_request("held back", is_held_back=True)).state == "held_back"


def wait_too_long(journal, _store):
    with pytest.raises(WaitTooLong):
        journal.reserve(a_request("too long"), max_wait=0.0)


class FailingStore(Store):
    fails = False

    def locked(self, lock, question, plan, **options):
        def plan_and_fail(row, reading):
            answer, writes = plan(row, reading)
            missing = Statement(sa.text("INSERT INTO this_table_does_not_exist VALUES (1)"), {})
            return answer, [*writes, missing] if self.fails else writes

        return super().locked(lock, question, plan_and_fail, **options)


def fail_to_commit(journal, store):
    store.fails = True
    with pytest.raises(JournalUnavailable):
        journal.reserve(a_request("failed"))
    store.fails = False


def record_what_was_lost(journal, _store):
    held = Reservation(999, "ours", NUMBERS[0], time.time(), time.monotonic())
    journal.bring_back(a_request("lost"), held, "sent", {})


READERS = [find_already_sent, hold_back, wait_too_long, fail_to_commit, record_what_was_lost]


@pytest.mark.parametrize("is_alert", [False, True], ids=["message", "alert"])
@pytest.mark.parametrize("read", READERS)
def test_a_clock_that_was_set_ahead_is_noted_also_where_nothing_is_reserved_by_it(clock, read, is_alert):
    """Seen: 59 messages of one number within 60 s."""
    journal = clock.process(store=FailingStore)
    send(journal, "sent before")
    clock.set(3600)
    read(journal, journal._store)
    held = clock.process().reserve(a_request("next", is_alert=is_alert)) if read is not fail_to_commit else None
    held = held or journal.reserve(a_request("next", is_alert=is_alert))
    assert (held.due - time.monotonic() > A_MINUTE) != is_alert


def fill_the_minute(journal, alerts):
    """Let the last ten seconds have filled the minute of the only number, but for alerts."""
    held = journal.reserve(a_request("first", one_number=True))
    journal.start(held, request_timeout=30)
    journal.settle(held, "sent", {})
    row = rows(journal._store.url)[-1]
    ordinary = LIMITS.ordinary_per_minute
    for n in range(1, ordinary + alerts):
        own = {"id": 1000 + n, "key": f"key {n}", "owner": f"owner {n}", "at": row.at - 5 - n / 10}
        values = {**row._mapping, **own, "created": row.created - 60, "priority": int(n >= ordinary)}
        change(journal._store.url, messages.insert().values(**values))


@pytest.mark.parametrize("by", [-3600, 3, 30, 3600])
def test_an_alert_after_a_clock_was_set_leaves_at_once_where_the_last_minute_has_left_room_for_it(clock, by):
    """Seen: it waited for a minute, like a message, and was not sent at all."""
    noticing, other = clock.process(), clock.process()
    hold_back(other, other._store)
    fill_the_minute(noticing, alerts=LIMITS.number_per_minute - LIMITS.ordinary_per_minute - 2)
    clock.set(by)
    for n, journal in enumerate((noticing, other)):
        held = journal.reserve(a_request(f"alert {n}", is_alert=True, one_number=True))
        assert held.due - clock.monotonic() < 10
        assert journal.start(held, request_timeout=30)
        journal.settle(held, "sent", {})
    assert (other.reserve(a_request("a message")).due - clock.monotonic() > A_MINUTE) == (by > 0)
    held = other.reserve(a_request("third alert", is_alert=True, one_number=True))
    assert A_MINUTE - 20 < held.due - clock.monotonic() < A_MINUTE + 6


def test_an_alert_that_was_reserved_before_others_noticed_that_the_clock_was_set_is_not_started(clock):
    noticing = clock.process()
    fill_the_minute(noticing, alerts=LIMITS.number_per_minute - LIMITS.ordinary_per_minute)
    clock.set(3600)
    ignorant = clock.process()
    held = ignorant.reserve(a_request("alert", is_alert=True, one_number=True))
    hold_back(noticing, noticing._store)
    assert not ignorant.start(held, request_timeout=30)
    assert ignorant.reserve(a_request("alert", is_alert=True, one_number=True), after=held).due > held.due + 30


def test_a_clock_that_was_set_ahead_is_noted_for_each_account(clock):
    journal = clock.process()
    other = MessageJournal(journal._store, "another account", RateLimits())
    send(other, "before")
    send(journal, "also before")
    clock.set(3600)
    for each in (journal, other):
        assert each.reserve(a_request(f"next {each is other}")).due - time.monotonic() > A_MINUTE


def test_a_clock_that_is_set_ahead_and_a_little_back_is_still_noted(clock):
    journal = clock.process()
    send(journal, "before")
    clock.set(3600)
    journal.reserve(a_request("ahead"))
    clock.set(3597)
    assert clock.process().reserve(a_request("next")).due - time.monotonic() > A_MINUTE - 3


def test_a_clock_that_is_set_back_makes_nobody_wait(clock):
    journal = clock.process()
    for n in range(2):
        send(journal, f"before {n}")
    clock.set(-3600)
    assert journal.reserve(a_request("next")).due - time.monotonic() < 10


def seconds_until_the_next(clock, processes):
    """Return when each of the processes may send next, in seconds from now, where one asks 25 s after the other."""
    begun, found = clock.monotonic(), []
    for process in processes:
        found.append(process.reserve(a_request(f"next at {clock.monotonic()}")).due - begun)
        clock.go_on(25)
    return found


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("steps", [(3600,), (3600, 7200), (-3600, 0), (-3600,), (3600, 0)])
def test_a_clock_that_was_set_makes_all_processes_wait_once_and_for_no_longer_than_a_minute(clock, steps, count):
    """Seen: three processes waited for 60, 116 and 171 s."""
    processes = [clock.process() for _ in range(count)]
    for n, process in enumerate(processes):
        send(process, f"before {n}")
    for ahead in steps:
        clock.set(ahead)
        begun = clock.monotonic()
        processes[0].reserve(a_request(f"at {ahead}", is_held_back=True))
    assert clock.monotonic() - begun < 2
    found = seconds_until_the_next(clock, processes)
    if steps == (-3600,):
        assert found == pytest.approx([25 * n for n in range(count)], abs=10)
    else:
        assert found == pytest.approx([60] * count, abs=6)


@pytest.mark.parametrize("count", [1, 3])
def test_a_clock_that_was_set_back_and_then_ahead_is_noticed_also_where_only_another_process_saw_it_back(clock, count):
    """Seen: it had moved the messages of the last minute back, and they were taken for older than they were."""
    processes = [clock.process() for _ in range(count)]
    for n, process in enumerate(processes):
        send(process, f"before {n}")
    clock.set(-3600)
    another = clock.process()
    send(another, "back")
    clock.set(0)
    assert seconds_until_the_next(clock, [*processes, another][:3]) == pytest.approx([60] * min(count + 1, 3), abs=6)


@pytest.mark.parametrize("later", [3630, 7200])
def test_a_step_is_not_noted_twice_by_a_process_that_is_new_to_the_account_and_hides_no_later_one(clock, later):
    """Seen: two messages of one number within a second. A random history had found it."""
    one, two = clock.process(), clock.process()
    other_of_two = MessageJournal(two._store, "another account", LIMITS)
    hold_back(one, one._store)
    send(other_of_two, "before")
    clock.set(3600)
    other_of_two.reserve(a_request("noted", is_held_back=True))
    MessageJournal(one._store, "another account", LIMITS).reserve(a_request("not noted twice", is_held_back=True))
    clock.set(later)
    assert other_of_two.reserve(a_request("next")).due - clock.monotonic() > A_MINUTE


def test_an_alert_that_was_sent_while_another_ones_question_waits_to_read_was_not_sent_by_a_wrong_clock(postgres_url):
    clock = StoresClock(postgres_url)
    gate = AlertGate(clock.process()._store, "account")
    with database(postgres_url) as connection:  # from here on, questions reached the store 3 s before they are answered
        connection.exec_driver_sql(_SET.format(name="statement_timestamp", ahead=-3))
        connection.commit()
        claim = gate.decide("late", "5556667777", timedelta(minutes=10)).claim
        change(postgres_url, alerts.update().values(claimed_at=time.time()))
    assert claim is not None
    assert gate.decide("late", "5556667777", timedelta(minutes=10)).claim is None


def test_a_message_that_is_started_while_another_question_waits_to_read_is_no_sign_of_a_set_clock(postgres_url):
    first, waiting, other = (MessageJournal(Store(postgres_url), "account", LIMITS) for _ in range(3))
    started, reserved = first.reserve(a_request("started")), waiting.reserve(a_request("waiting", one_number=True))
    with ThreadPoolExecutor() as pool, database(postgres_url) as connection:
        other.reserve(a_request("so that it is open"))
        connection.execute(sa.text("LOCK TABLE dialogtech_messages IN ACCESS EXCLUSIVE MODE"))
        asked = pool.submit(other.reserve, a_request("other"))
        wait_until_one_waits(connection)
        time.sleep(0.05)
        is_started = messages.update().where(messages.c.id == started.id)
        connection.execute(is_started.values(state=State.SENDING.value, updated=now()))
        connection.commit()
        asked.result(10)
    (row,) = (row for row in rows(postgres_url) if row.id == reserved.id)
    assert row.at == reserved.at


SHORT_STEPS = [0.06, 0.3, 0.9, -0.06, -0.3, -0.9]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("by", SHORT_STEPS)
def test_after_a_clock_was_set_by_less_than_a_second_the_next_message_leaves_a_second_later(clock, by, count):
    """Seen: two messages of one number left within 0.1 s."""
    processes = [clock.process() for _ in range(count)]
    for n, process in enumerate(processes):
        hold_back(process, None) if n else None
    first = processes[0].reserve(a_request("first", one_number=True))
    clock.go_on(first.due - clock.monotonic() - 0.02)
    assert processes[0].start(first, request_timeout=30)
    processes[0].settle(first, "sent", {})
    clock.set(by)
    found = [processes[-1].reserve(a_request(f"next {n}", one_number=True)).due - first.due for n in range(2)]
    assert 1.0 <= found[0] < 3.0
    assert found[1] - found[0] >= 1.0


@pytest.mark.parametrize("is_new", [False, True], ids=["noticed", "by a process that starts later"])
@pytest.mark.parametrize("by", [0.03, *SHORT_STEPS])
def test_a_message_that_waits_while_the_clock_is_set_by_less_than_a_second_keeps_its_distance(
    clock, by, is_new, monkeypatch
):
    # Also on a busy machine, whose slow answers hide short steps.
    monkeypatch.setattr(timing, "LONGEST", 0.02)
    monkeypatch.setattr(journal_module, "CLOCK_TOLERANCE", 0.03)
    waiting, other = clock.process(), clock.process()
    hold_back(other, None)
    held = waiting.reserve(a_request("waits", one_number=True))
    clock.set(by)
    if is_new:
        other = clock.process()
    next_one = other.reserve(a_request("next", one_number=True))
    clock.go_on(max(0.0, held.due - clock.monotonic() - 0.05))
    is_started = waiting.start(held, request_timeout=30)
    assert not is_started or abs(next_one.due - held.due) >= 1.0
