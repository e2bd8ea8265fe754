"""What an outcome means for its account and its row, by a clock that nobody waits for."""

import json

import pytest

from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal import journal as journal_module
from airflow_provider_dialogtech.journal.errors import StoreAway, unusable
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import LONGEST_WINDOW, RateLimits
from airflow_provider_dialogtech.journal.records import Reservation, SlotRequest, stored_key
from airflow_provider_dialogtech.journal.schema import accounts, messages
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import change, edit, rows

NUMBERS = tuple(f"55543321{n:02}" for n in range(4))
A_DAY = 86400.0


@pytest.fixture
def journal(sqlite_url, time):
    return MessageJournal(Store(sqlite_url, clock=time.clock), "account", RateLimits())


@pytest.fixture
def account(sqlite_url):
    return lambda: rows(sqlite_url, accounts)[0]


def a_request(key):
    return SlotRequest(key, NUMBERS, "5556667777", "Hello")


def start(journal, time, key="key", early=0.0):
    """Reserve a message and start it so many seconds before its slot; return its reservation once that worked."""
    held = journal.reserve(a_request(key))
    time.sleep(max(0.0, held.due - time.monotonic() - early))
    return held if journal.start(held, request_timeout=30) else None


def settle(journal, time, key, outcome="sent", **options):
    held = start(journal, time, key)
    journal.settle(held, outcome, {}, **options)
    return held


def test_the_usual_latency_is_learned_from_what_was_sent_and_the_newest_counts_a_tenth(journal, time, account):
    settle(journal, time, "1", took=0.2)
    assert account().usual_latency == pytest.approx(0.2)
    settle(journal, time, "2", took=0.4)
    assert account().usual_latency == pytest.approx(0.22)
    for key, outcome in (("3", "refused"), ("4", "in_doubt"), ("5", "throttled")):
        settle(journal, time, key, outcome, took=4.0)
    assert account().usual_latency == pytest.approx(0.22)


def test_the_first_message_of_all_stays_in_its_slot_however_long_its_reply_took(journal, time, sqlite_url):
    held = settle(journal, time, "1", took=3.0)
    assert rows(sqlite_url)[0].at == pytest.approx(held.at)


def test_no_latency_is_learned_beyond_five_seconds(journal, time, account):
    settle(journal, time, "1", took=30.0)
    assert account().usual_latency == 5.0


@pytest.mark.parametrize(("took", "later"), [(0.44, 0.0), (0.46, 0.26), (3.0, 2.8)])
def test_a_message_moves_to_when_its_reply_came_where_that_took_markedly_longer(journal, time, sqlite_url, took, later):
    settle(journal, time, "1", took=0.2)
    held = settle(journal, time, "2", took=took)
    assert rows(sqlite_url)[-1].at - held.at == pytest.approx(later)


def test_each_throttled_reply_widens_the_windows_up_to_a_bound_and_a_minute_without_one_ends_that(
    journal, time, account
):
    settle(journal, time, "0")
    assert not any(account()[1:])
    for count in range(1, 13):
        settle(journal, time, str(count), "throttled")
        assert account().extra_margin == pytest.approx(min(count * 0.025, 0.25))
        assert account().widened_until == pytest.approx(time.now() + 60.0)
    settle(journal, time, "sent")
    assert account().extra_margin == pytest.approx(0.25)
    time.go_on(60.0 + 1)
    settle(journal, time, "much later", "throttled")
    assert account().extra_margin == pytest.approx(0.025)


def test_the_first_reply_of_all_may_widen_and_pause(journal, time, account):
    settle(journal, time, "1", "throttled", pause=7.0)
    assert account().extra_margin == 0.025
    assert account().widened_until == pytest.approx(time.now() + 60.0)
    assert account().paused_until == pytest.approx(time.now() + 7.0)


def test_a_shorter_pause_ends_no_longer_one(journal, time, account):
    first, second, third = (journal.reserve(a_request(key)) for key in "123")
    for held in (first, second, third):
        time.sleep(max(0.0, held.due - time.monotonic()))
        assert journal.start(held, request_timeout=30)
    journal.settle(first, "throttled", {}, pause=20.0)
    until = time.now() + 20.0
    journal.settle(second, "throttled", {}, pause=5.0)
    assert account().paused_until == pytest.approx(until)
    journal.settle(third, "throttled", {}, pause=30.0)
    assert account().paused_until == pytest.approx(until + 10.0)


@pytest.mark.parametrize(("ahead", "is_kept"), [(LONGEST_WINDOW - 1, True), (LONGEST_WINDOW + 1, False)])
def test_a_pause_that_no_reply_can_have_set_ends_with_the_next_outcome(journal, time, sqlite_url, ahead, is_kept):
    settle(journal, time, "1")
    held = start(journal, time, "2")
    edit(sqlite_url, accounts, paused_until=time.now() + ahead)
    journal.settle(held, "sent", {})
    assert (rows(sqlite_url, accounts)[0].paused_until > 0) == is_kept


@pytest.mark.parametrize("late", [0.1 - 0.01, 0.1 + 0.01])
def test_a_message_is_started_shortly_after_its_slot_at_the_latest(journal, time, late):
    assert (start(journal, time, early=-late) is not None) == (late < 0.1)


@pytest.mark.parametrize(
    ("by", "is_started"),
    [(0.03, True), (0.05, False), (-0.02, True), (-0.04, False)],
)
def test_a_message_is_not_started_where_a_clock_was_set_while_it_waited(journal, time, by, is_started):
    """Ten milliseconds more are allowed for the step itself."""
    held = journal.reserve(a_request("1"))
    time.sleep(max(0.0, held.due - time.monotonic() - 0.5))
    time.set(by)
    assert journal.start(held, request_timeout=30) == is_started
    time.set(-by)
    assert journal.start(held, request_timeout=30)


def test_a_message_whose_slot_was_moved_meanwhile_is_not_started(journal, time, sqlite_url):
    held = journal.reserve(a_request("1"))
    edit(sqlite_url, at=held.at + 0.05)
    time.sleep(held.due - time.monotonic())
    assert not journal.start(held, request_timeout=30)
    edit(sqlite_url, at=held.at)
    assert journal.start(held, request_timeout=30)


def test_a_started_message_may_take_as_long_as_its_request(journal, time, sqlite_url):
    held = start(journal, time)
    (row,) = rows(sqlite_url)
    assert row.deadline == pytest.approx(held.at + 30)
    assert row.updated == pytest.approx(time.now())


def test_messages_are_forgotten_once_their_retention_is_over(journal, time, sqlite_url, monkeypatch):
    monkeypatch.setattr(journal_module, "PRUNED_EVERY", 1)
    settle(journal, time, "old")
    time.go_on(90 * A_DAY - 60)
    settle(journal, time, "new")
    assert len(rows(sqlite_url)) == 2
    time.go_on(120)
    settle(journal, time, "newer")
    assert len(rows(sqlite_url)) == 2
    assert journal.find("old") is None


def test_only_each_sixteenth_message_looks_for_what_is_to_be_forgotten(journal, time, sqlite_url):
    settle(journal, time, "old")
    time.go_on(91 * A_DAY)
    counts = []
    for index in range(2, 17):
        settle(journal, time, str(index))
        counts.append(len(rows(sqlite_url)))
    assert counts == [*range(2, 16), 15]


class Recorder:
    def __init__(self):
        self.counted, self.timed = [], []

    def count(self, name, by=1):
        self.counted.append((name, by))

    def time(self, name, seconds):
        self.timed.append((name, seconds))


def test_the_steps_are_timed_and_throttled_replies_counted(journal, time):
    journal.recorder = recorder = Recorder()
    settle(journal, time, "1", "throttled")
    settle(journal, time, "2")
    assert recorder.counted == [("throttled_replies", 1)]
    assert recorder.timed == [(f"journal.{step}", 0.0) for step in ("reserve", "start", "settle")] * 2


def test_a_slot_is_no_nearer_than_the_steps_take_and_connecting(journal, time):
    begun = time.monotonic()
    assert journal.reserve(a_request("1")).due - begun == pytest.approx(0.02)
    assert journal.reserve(a_request("2"), connect=0.3).due - begun == pytest.approx(0.32)


def test_an_outcome_keeps_its_detail(journal, time, sqlite_url):
    journal.settle(start(journal, time), "refused", {"result_description": "No credit"})
    (row,) = rows(sqlite_url)
    assert (row.state, json.loads(row.detail)) == ("refused", {"result_description": "No credit"})


def test_messages_that_are_held_back_are_forgotten_as_well(journal, time, sqlite_url, monkeypatch):
    monkeypatch.setattr(journal_module, "PRUNED_EVERY", 1)
    for key in "123":
        journal.reserve(SlotRequest(key, NUMBERS, "5556667777", "Hello", is_held_back=True))
    time.go_on(91 * A_DAY)
    journal.reserve(SlotRequest("4", NUMBERS, "5556667777", "Hello", is_held_back=True))
    assert [row.state for row in rows(sqlite_url)] == ["held_back"]


class FailingStore(Store):
    """Fails each step until it has been tried for so many seconds."""

    fault: Exception = StoreAway("it is slow")
    seconds = 15.0
    answers_at = 0.0

    def _try(self, work, **options):
        self.answers_at = self.clock.monotonic() + self.seconds
        return super()._try(work, **options)

    def _try_once(self, work, until):
        if self.clock.monotonic() < self.answers_at:
            raise self.fault
        return super()._try_once(work, until)


@pytest.fixture
def failing(sqlite_url, time):
    return FailingStore(sqlite_url, clock=time.clock)


@pytest.mark.parametrize("step", ["settle", "bring_back"])
def test_the_time_for_an_outcome_bounds_all_of_its_steps_together(failing, time, step):
    """Seen: a step that found no row was followed by others, each with that much time."""
    journal = MessageJournal(failing, "account", RateLimits())
    held = Reservation(1, "ours", NUMBERS[0], time.now(), time.monotonic())
    request = [a_request("key")] if step == "bring_back" else []
    with pytest.raises(JournalUnavailable):
        getattr(journal, step)(*request, held, "sent", {}, timeout=20.0)
    assert 15.0 <= sum(time.sleeps) <= 20.0


@pytest.mark.parametrize("lost", [None, "the row", "the start"])
def test_each_step_of_recording_an_outcome_is_tried_again_whatever_the_fault(failing, journal, time, sqlite_url, lost):
    """Seen: the disk was full when a lost row was to be written anew, and the retry sent the message twice."""
    failing.seconds = 5.0
    failing.fault = unusable("the file cannot be written", "Make room on its disk")
    held = start(journal, time)
    if lost == "the row":
        change(sqlite_url, messages.delete())
    elif lost:
        change(sqlite_url, messages.update().values(state="released", key=None))
    journal = MessageJournal(failing, "account", RateLimits())
    assert journal.settle(held, "sent", {}) == (lost is None)
    if lost:
        assert journal.bring_back(a_request("key"), held, "sent", {}) == lost
    assert [(row.state, row.key) for row in rows(sqlite_url)] == [("sent", stored_key("key"))]
