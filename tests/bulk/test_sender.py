import itertools
import sqlite3
import threading
import time
from contextlib import closing, suppress
from unittest.mock import create_autospec

import pytest

from airflow_provider_dialogtech.bulk import sender as bulk_module
from airflow_provider_dialogtech.bulk.sender import BulkSender, RowMessage, Stop, Stopped
from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.exceptions import (
    InDoubt,
    InvalidMessage,
    JournalUnavailable,
    NotSent,
    Refused,
    WaitTooLong,
)
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import stored_key
from airflow_provider_dialogtech.journal.schema import messages as messages_table
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.delivery.attacking import EIGHT_NUMBERS, FAST, FAST_SANDBOX
from tests.delivery.delivering import TIMEOUT, a_journal, a_message, a_sender, assert_limits_kept, emptied, run, started
from tests.journal.looking import change
from tests.proxies.sqlite import locked
from tests.results import a_result

PLENTY = 30.0


@pytest.fixture(scope="module")
def shared_sandbox():
    with running_sandbox(arguments=FAST_SANDBOX) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox, monkeypatch):
    """An empty local DialogTech with ten times the limits, which the tests of this file share."""
    return emptied(shared_sandbox, monkeypatch)


def messages(sandbox, count):
    """Yield messages to different numbers."""
    return (RowMessage(n, a_message(sandbox, to=f"55566{n:05}"), f"key {n}") for n in range(count))


def send(sandbox, store_url, count, *, stop=None, timeout=TIMEOUT, until=None, limits=FAST, **options):
    """Send a list, and return the reported outcome of each row, however it ends."""
    stop = stop or Stop()
    sender = a_sender(sandbox, store_url, clock=Clock(sleep=stop.sleep), timeout=timeout, limits=limits)
    bulk = BulkSender(sender, stop, threads=12, until=until)
    reported = {}
    with suppress(Stopped, KeyboardInterrupt):
        send_all(bulk, messages(sandbox, count), reported, **options)
    return reported


def send_all(bulk, messages, reported, *, check=lambda outcome: None, **options):
    """Send messages as the operator does."""
    try:
        for row, outcome in bulk.outcomes(messages, **options):
            reported[row] = outcome
            check(outcome)
    finally:
        for row, outcome in bulk.last_outcomes():
            assert reported.setdefault(row, outcome) is outcome


def send_in_process(sandbox, store_url, count):
    send(sandbox, store_url, count)


def arrivals(sandbox):
    return [int(sms["to"][5:]) for sms in sandbox.accepted()]


def states(sandbox, store_url, count):
    """Return each row's state in the journal, None where nothing was reserved."""
    journal = a_journal(sandbox, store_url)
    return {n: record and record.state for n, record in ((n, journal.find(f"key {n}")) for n in range(count))}


def slots_held(sqlite_url):
    """Return the slots of the messages that wait for one, in seconds since 1970; one that was given back has passed."""
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as journal:
        return [at for (at,) in journal.execute("SELECT at FROM dialogtech_messages WHERE state = 'reserved'")]


def wait_for_arrivals(sandbox, count):
    end = time.monotonic() + PLENTY
    while len(sandbox.accepted()) < count:
        assert time.monotonic() < end, "nothing arrived"
        time.sleep(0.05)


def test_every_message_arrives_once_and_is_recorded(sandbox, store_url):
    outcomes = send(sandbox, store_url, 12)
    assert {row: outcome.status for row, outcome in outcomes.items()} == dict.fromkeys(range(12), "sent")
    assert sorted(arrivals(sandbox)) == list(range(12))


def test_side_by_side_they_keep_the_limits(sqlite_url):
    """As many numbers as the account may send messages in a second: both limits count."""
    limits = RateLimits()
    with running_sandbox(numbers=EIGHT_NUMBERS[: limits.account_per_second]) as sandbox:
        outcomes = send(sandbox, sqlite_url, 16, limits=limits)
        assert {outcome.status for outcome in outcomes.values()} == {"sent"}
        assert_limits_kept(sandbox, 16)


def test_answers_overlap(sandbox, sqlite_url):
    """Each answer takes a second, and all come in the time of a few."""
    sandbox.fault("late", seconds=1)
    under_way = set()
    most = 0
    lock = threading.Lock()
    stop = Stop()
    sender = a_sender(sandbox, sqlite_url, clock=Clock(sleep=stop.sleep), timeout=10, limits=FAST)
    whole_way = sender.send

    def watched(message, **options):
        nonlocal most
        with lock:
            under_way.add(message.to)
            most = max(most, len(under_way))
        try:
            return whole_way(message, **options)
        finally:
            with lock:
                under_way.discard(message.to)

    sender.send = watched
    send_all(BulkSender(sender, stop, threads=6), messages(sandbox, 8), {})
    assert most == 6


def test_as_many_messages_wait_for_slots_whatever_the_replies_take(sandbox, sqlite_url):
    """Those whose request is out are not counted, so that slow replies leave no slot unused."""
    sandbox.fault("late", seconds=3)
    stop = Stop()
    sender = a_sender(sandbox, sqlite_url, clock=Clock(sleep=stop.sleep), timeout=15, limits=FAST)
    waiting, out = [], []
    reserve = sender._journal.reserve

    def watched(request, **options):
        with lock:
            out.append(sender.requests_out)
            waiting.append(len(under_way) - out[-1])
        return reserve(request, **options)

    whole_way, lock, under_way = sender.send, threading.Lock(), set()

    def counted(message, **options):
        with lock:
            under_way.add(message.to)
        try:
            return whole_way(message, **options)
        finally:
            with lock:
                under_way.discard(message.to)

    sender._journal.reserve, sender.send = watched, counted
    reported = {}
    send_all(BulkSender(sender, stop, threads=30, waiting=3), messages(sandbox, 12), reported)
    assert {outcome.status for outcome in reported.values()} == {"sent"}
    assert max(waiting) <= 3
    assert max(out) > 3


def test_messages_are_made_only_when_they_are_needed():
    """The messages of a long list are never in memory together."""
    made = reported = furthest = 0

    def source():
        nonlocal made, furthest
        message = a_message(None, numbers=["5554332111"])
        for row in range(10_000):
            made += 1
            furthest = max(furthest, made - reported)
            yield RowMessage(row, message, f"key {row}")

    sender = create_autospec(SmsSender, instance=True, requests_out=0)
    sender.send = lambda *_args, **_options: RESULT  # a mock's own would remember each call
    for _ in BulkSender(sender, Stop(), threads=4).outcomes(source()):
        reported += 1
    assert (made, reported) == (10_000, 10_000)
    assert furthest <= 4


def test_a_list_that_is_retried_asks_for_many_messages_at_once_and_sends_only_the_rest(
    sandbox, sqlite_url, monkeypatch
):
    """One by one, it would take minutes to get past 90,000 messages that were sent."""
    send(sandbox, sqlite_url, 60)
    asked, one_by_one = [], []
    find_sent, reserve = MessageJournal.find_sent, MessageJournal.reserve
    monkeypatch.setattr(
        MessageJournal,
        "find_sent",
        lambda self, keys, **options: asked.append(len(keys)) or find_sent(self, keys, **options),
    )
    monkeypatch.setattr(
        MessageJournal,
        "reserve",
        lambda self, request, **options: one_by_one.append(request.key) or reserve(self, request, **options),
    )
    change(
        sqlite_url, messages_table.update().where(messages_table.c.key == stored_key("key 40")).values(state="unsent")
    )
    emptied(sandbox, monkeypatch)
    reported = send(sandbox, sqlite_url, 64)
    assert sorted(arrivals(sandbox)) == [40, 60, 61, 62, 63]
    assert {row for row, outcome in reported.items() if outcome.status == "sent"} == {40, 60, 61, 62, 63}
    assert {outcome.status for outcome in reported.values()} == {"sent", "already_sent"}
    assert len(reported) == 64
    assert len(set(one_by_one)) < 50
    assert max(asked) > 10


def test_a_list_that_is_retried_without_a_journal_says_so_of_each_message(sandbox, sqlite_url, monkeypatch):
    send(sandbox, sqlite_url, 20)

    def away(*_args, **_options):
        raise JournalUnavailable

    monkeypatch.setattr(MessageJournal, "find_sent", away)
    reported = send(sandbox, sqlite_url, 20)
    assert [outcome.status for outcome in reported.values()] == ["already_sent"] * 20


def test_a_key_of_a_message_to_somebody_else_is_named_also_beside_many_that_were_sent(sandbox, sqlite_url):
    send(sandbox, sqlite_url, 40)
    change(
        sqlite_url,
        messages_table.update().where(messages_table.c.key == stored_key("key 30")).values(recipient="other"),
    )
    reported = send(sandbox, sqlite_url, 40)
    assert {row for row, outcome in reported.items() if isinstance(outcome, InvalidMessage)} == {30}


RESULT = a_result(sent_at="")


def test_stopped_it_starts_no_more_messages_and_releases_their_slots(sandbox, sqlite_url):
    stop = Stop()
    stopper = threading.Thread(target=lambda: (wait_for_arrivals(sandbox, 3), stop.set()))
    stopper.start()
    outcomes = send(sandbox, sqlite_url, 100, stop=stop)
    stopper.join()
    arrived = arrivals(sandbox)
    assert sorted(outcomes) == sorted(arrived)
    assert {outcome.status for outcome in outcomes.values()} == {"sent"}
    found = states(sandbox, sqlite_url, 100)
    assert {row for row, state in found.items() if state == "sent"} == set(arrived)
    assert set(found.values()) <= {"sent", "released", "throttled", None}
    assert all(at < time.time() for at in slots_held(sqlite_url))


def test_what_is_out_when_it_is_stopped_is_cut_and_in_doubt(sandbox, sqlite_url):
    sandbox.fault("hang_after_accept", times=1)
    stop = Stop()
    stopper = threading.Thread(target=lambda: (wait_for_arrivals(sandbox, 3), stop.set()))
    stopper.start()
    begun = time.monotonic()
    outcomes = send(sandbox, sqlite_url, 50, stop=stop, timeout=600.0)
    stopper.join()
    assert time.monotonic() - begun < 300  # the request's own deadline is ten minutes away
    in_doubt = [row for row, outcome in outcomes.items() if isinstance(outcome, InDoubt)]
    assert len(in_doubt) == 1
    found = states(sandbox, sqlite_url, 50)
    assert found[in_doubt[0]] == "in_doubt"
    assert {row for row, state in found.items() if state in {"sent", "in_doubt"}} == set(arrivals(sandbox))
    assert "sending" not in found.values()


def test_stopped_while_the_journal_hangs_each_message_has_the_right_outcome(sandbox, sqlite_url):
    """A regression: unsent messages were in doubt, because threads that waited for the journal ignored the stop."""
    stop = Stop()
    release = threading.Event()

    def hang_and_stop():
        wait_for_arrivals(sandbox, 3)
        with locked(sqlite_url.removeprefix("sqlite:///")):
            stop.set()
            release.wait(60)

    stopper = threading.Thread(target=hang_and_stop)
    stopper.start()
    outcomes = send(sandbox, sqlite_url, 50, stop=stop)
    release.set()
    stopper.join()
    arrived = set(arrivals(sandbox))
    assert {row for row, outcome in outcomes.items() if isinstance(outcome, SendResult)} == arrived
    others = [outcome for row, outcome in outcomes.items() if row not in arrived]
    assert all(type(outcome) is NotSent for outcome in others)


def test_an_answer_that_comes_right_after_the_stop_still_counts(sandbox, sqlite_url, monkeypatch):
    monkeypatch.setattr(bulk_module, "LAST_REPLIES", PLENTY)
    sandbox.fault("late", seconds=1, times=1)
    stop = Stop()
    stopper = threading.Thread(target=lambda: (wait_for_arrivals(sandbox, 1), stop.set()))
    stopper.start()
    outcomes = send(sandbox, sqlite_url, 50, stop=stop, timeout=60.0)
    stopper.join()
    assert {outcome.status for outcome in outcomes.values()} == {"sent"}
    assert sorted(outcomes) == sorted(arrivals(sandbox))


def test_interrupted_it_records_all_requests_under_way(sandbox, sqlite_url):
    """Airflow 2 raises in the main thread when a task is stopped, as its timeout and Ctrl-C do."""
    moments = itertools.count()

    def interrupt():
        if next(moments) and len(sandbox.accepted()) >= 3:
            raise KeyboardInterrupt

    outcomes = send(sandbox, sqlite_url, 50, heartbeat=interrupt)
    assert sorted(outcomes) == sorted(arrivals(sandbox))
    assert set(states(sandbox, sqlite_url, 50).values()) <= {"sent", "released", "throttled", None}


def test_a_mistake_of_ours_ends_it_and_is_not_hidden():
    sender = create_autospec(SmsSender, instance=True, requests_out=0)
    sender.send.side_effect = ZeroDivisionError("ours")
    reported = {}
    with pytest.raises(ZeroDivisionError, match="ours"):
        send_all(BulkSender(sender, Stop(), threads=1), one_message(), reported)
    assert isinstance(reported[0], InDoubt)


@pytest.mark.parametrize("known", [None, InDoubt("its request is out"), RESULT])
def test_a_message_that_hangs_in_a_step_of_the_journal_has_its_known_outcome(monkeypatch, known):
    monkeypatch.setattr(bulk_module, "LAST_REPLIES", 0.0)
    monkeypatch.setattr(bulk_module, "LAST_RECORDS", 0.0)
    release, moments, reported = threading.Event(), itertools.count(), {}
    sender = create_autospec(SmsSender, instance=True, requests_out=0)
    sender.send.side_effect = lambda *_args, **_options: release.wait(PLENTY)
    sender.under_way.return_value = known

    def interrupt_once_under_way():
        if next(moments):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send_all(BulkSender(sender, Stop(), threads=1), one_message(), reported, heartbeat=interrupt_once_under_way)
    release.set()
    if known is None:
        assert type(reported[0]) is NotSent
    else:
        assert reported[0] is known


def one_message():
    return iter([RowMessage(0, a_message(None, numbers=["5554332111"]), "key")])


def test_an_outcome_whose_taker_was_interrupted_comes_again():
    """Airflow 2 may raise right after an outcome was returned, and before it was noted."""
    sender = create_autospec(SmsSender, instance=True, requests_out=0)
    sender.send.return_value = RESULT
    sender.under_way.return_value = None
    bulk = BulkSender(sender, Stop(), threads=1)
    assert next(bulk.outcomes(one_message())) == (0, RESULT)
    assert list(bulk.last_outcomes()) == [(0, RESULT)]


def test_an_exception_of_the_consumer_ends_it(sandbox, sqlite_url):
    sandbox.fault("refused")

    class Enough(Exception):
        pass

    def check(outcome):
        assert isinstance(outcome, Refused)
        raise Enough

    with pytest.raises(Enough):
        send(sandbox, sqlite_url, 100, check=check)
    assert len(sandbox.messages()) < 100


def test_when_the_time_is_over_only_messages_with_a_slot_are_sent(sandbox, sqlite_url):
    outcomes = send(sandbox, sqlite_url, 500, until=time.monotonic() + 2)
    unsent = {row for row, outcome in outcomes.items() if isinstance(outcome, WaitTooLong)}
    sent = {row for row, outcome in outcomes.items() if isinstance(outcome, SendResult)}
    assert sent == set(arrivals(sandbox))
    assert sent | unsent == set(outcomes)
    assert len(sent) >= len(sandbox.numbers)
    assert 0 < len(unsent) <= 12
    assert len(outcomes) < 500


def test_killed_in_the_middle_the_next_try_sends_the_rest_and_no_message_twice(sandbox, store_url):
    count = 40
    with started(send_in_process, sandbox, store_url, count) as process:
        wait_for_arrivals(sandbox, 4)
        process.kill()
        process.join()
    before = arrivals(sandbox)
    outcomes = send(sandbox, store_url, count)
    arrived = arrivals(sandbox)
    assert len(before) < count
    assert len(arrived) == len(set(arrived))
    in_doubt = {row for row, outcome in outcomes.items() if isinstance(outcome, InDoubt)}
    assert set(arrived) | in_doubt == set(range(count))
    assert not in_doubt & set(arrived[len(before) :]), "what is in doubt is not sent again"
    assert run(send_in_process, sandbox, store_url, count) == 0
    assert arrivals(sandbox) == arrived
