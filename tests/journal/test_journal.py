import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.exceptions import InvalidMessage, WaitTooLong
from airflow_provider_dialogtech.journal import journal as journal_module
from airflow_provider_dialogtech.journal import planner, records
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import LONG_MARGIN, LONGEST_WINDOW, SHORT_MARGIN, RateLimits
from airflow_provider_dialogtech.journal.records import ABANDONED, GRACE, Origin, Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.schema import accounts
from airflow_provider_dialogtech.journal.statements import LONGEST_PAUSE, WIDENING
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from tests.journal.looking import edit, rows

pytestmark = pytest.mark.usefixtures("no_slot_is_missed")

ACCOUNT = digest("account", "a key")
NUMBER = "5554332111"
OTHER_NUMBER = "5554332112"
EIGHT_NUMBERS = tuple(f"55543321{n:02}" for n in range(8))
SECOND = 1 + SHORT_MARGIN
# As near as a slot may be, on a busy machine.
SOON = 0.9


def a_request(key="key", *, numbers=(NUMBER,), to="5556667777", text="Hello", **options) -> SlotRequest:
    return SlotRequest(key, tuple(numbers), to, text, **options)


@pytest.fixture
def store_url(journal_url):
    return journal_url


@pytest.fixture
def journal(store):
    return MessageJournal(store, ACCOUNT, RateLimits())


@pytest.fixture
def unhurried(monkeypatch):
    """Let reservations that nobody starts count as long as the test takes."""
    monkeypatch.setattr(records, "ABANDONED", 3600)


def start(journal, held, timeout=30):
    """Start a message as a sender does: shortly before its slot."""
    time.sleep(max(0.0, held.due - time.monotonic() - 0.02))
    return journal.start(held, request_timeout=timeout)


def send(journal, request=None, outcome="sent", detail=None, **options):
    """Do with a message what a sender does."""
    held = journal.reserve(request or a_request())
    for _ in range(3):
        if start(journal, held):
            break
        # On a busy machine its slot may have passed.
        assert time.monotonic() > held.due
        journal.release(held)
        held = journal.reserve(request or a_request())
    else:
        pytest.fail("it did not start")
    journal.settle(held, outcome, detail or {}, **options)
    return held


def slots(journal, store_url, count, **request):
    """Reserve some messages and return their slots, in seconds after the first."""
    for index in range(count):
        journal.reserve(a_request(f"key {index}", **request))
    at = sorted(row.at for row in rows(store_url))  # a later message with less head start may be the first
    return [time - at[0] for time in at]


def test_of_many_messages_those_are_found_that_were_sent(journal):
    held = send(journal, a_request("sent"), detail={"sms_id": "1"})
    journal.reserve(a_request("reserved"))
    found = journal.find_sent(["sent", "reserved", "unknown"])
    assert {key: (record.id, record.outcome) for key, record in found.items()} == {"sent": (held.id, {"sms_id": "1"})}


def test_one_number_gets_a_slot_a_second(journal, store_url, unhurried):
    assert slots(journal, store_url, 4) == pytest.approx([0, SECOND, 2 * SECOND, 3 * SECOND], abs=1e-3)


def test_ordinary_messages_leave_a_tenth_of_a_numbers_minute_to_alerts(journal, store_url, unhurried):
    at = slots(journal, store_url, 37)
    assert at[35] - at[0] < 60
    assert at[36] - at[0] == pytest.approx(60 + LONG_MARGIN, abs=1e-3)


def test_without_a_reserve_the_forty_first_message_of_a_number_waits_for_the_minute_to_end(store, store_url, unhurried):
    journal = MessageJournal(store, ACCOUNT, RateLimits(alert_reserve=0))
    at = slots(journal, store_url, 41)
    assert at[39] - at[0] < 60
    assert at[40] - at[0] == pytest.approx(60 + LONG_MARGIN, abs=1e-3)


def test_an_account_gets_four_slots_a_second_whatever_its_numbers(journal, store_url, unhurried):
    at = slots(journal, store_url, 5, numbers=EIGHT_NUMBERS)
    assert at[4] >= SECOND - 1e-3


def test_a_message_takes_the_number_whose_slot_comes_first(journal):
    first = journal.reserve(a_request("1", numbers=(NUMBER, OTHER_NUMBER)))
    second = journal.reserve(a_request("2", numbers=(NUMBER, OTHER_NUMBER)))
    assert (first.number, second.number) == (NUMBER, OTHER_NUMBER)


def test_a_number_that_is_blocked_for_a_minute_holds_back_no_other(journal, unhurried):
    for index in range(37):
        blocked = journal.reserve(a_request(str(index)))
    free = journal.reserve(a_request("free", numbers=(OTHER_NUMBER,)))
    assert blocked.at - free.at > 50


def test_accounts_do_not_share_limits(journal, store, store_url):
    journal.reserve(a_request("1"))
    MessageJournal(store, digest("account", "another key"), RateLimits()).reserve(a_request("2"))
    first, second = rows(store_url)
    assert second.at - first.at < SECOND


def test_a_key_is_one_message_whatever_account_uses_it(journal, store):
    send(journal)
    found = MessageJournal(store, digest("account", "another key"), RateLimits()).reserve(a_request())
    assert found.state == "sent"


def test_of_two_accounts_with_one_key_exactly_one_may_start(journal, store):
    ours = journal.reserve(a_request())
    other = MessageJournal(store, digest("account", "a rotated key"), RateLimits())
    theirs = other.reserve(a_request())
    assert [start(journal, ours), start(other, theirs)] == [False, True]


def test_a_key_that_another_account_has_just_started_is_not_taken_over(journal, store, store_url):
    ours = journal.reserve(a_request())
    assert start(journal, ours)
    assert (
        MessageJournal(store, digest("account", "a rotated key"), RateLimits()).reserve(a_request()).state == "sending"
    )
    assert len(rows(store_url)) == 1


def test_nothing_is_reserved_when_the_slot_is_too_far_away(journal, store_url):
    journal.reserve(a_request("1"))
    with pytest.raises(WaitTooLong, match=r"later than max_wait allows \(0\.2 s left\)") as raised:
        journal.reserve(a_request("2"), max_wait=0.2)
    assert len(rows(store_url)) == 1
    assert raised.value.sendable_at.timestamp() == pytest.approx(rows(store_url)[0].at + SECOND, abs=1e-3)


@pytest.fixture
def at_most_three_wait(monkeypatch):
    monkeypatch.setattr(planner, "MOST_WAITING", 3)


def test_no_more_messages_wait_than_a_reservation_can_read(journal, store, store_url, unhurried, at_most_three_wait):
    """Seen: 40,000 that waited made each reservation of their account take seconds, all within its lock."""
    held = [journal.reserve(a_request(f"key {n}")) for n in range(3)]
    with pytest.raises(WaitTooLong, match="3 messages of the account are already waiting") as failure:
        journal.reserve(a_request("one too many"))
    # Earlier, a deferred task would resume again and again.
    assert failure.value.sendable_at.timestamp() == pytest.approx(held[2].at, abs=1e-3)
    assert len(rows(store_url)) == 3
    journal.reserve(a_request("key 1"))  # a retry takes the place of what it replaces
    journal.reserve(a_request("key 2"), after=held[2])
    MessageJournal(store, digest("account", "another key"), RateLimits()).reserve(a_request("another account"))


def test_an_alert_waits_for_no_list_that_is_full_and_alerts_are_bounded_too(journal, unhurried, at_most_three_wait):
    for n in range(3):
        journal.reserve(a_request(f"key {n}"))
    for n in range(3):
        journal.reserve(a_request(f"alert {n}", is_alert=True))
    with pytest.raises(WaitTooLong, match="already waiting"):
        journal.reserve(a_request("one too many", is_alert=True))


def test_an_alert_reads_no_message_that_was_given_back(journal, store_url, unhurried, monkeypatch):
    """They are not bounded: who reserves and releases again and again leaves as many as it likes."""
    for n in range(3):
        journal.release(journal.reserve(a_request(f"key {n}")))
    edit(store_url, at=time.time() + 60)
    read = []
    changing = planner._changing
    monkeypatch.setattr(planner, "_changing", lambda row: read.append(changing(row)) or read[-1])
    journal.reserve(a_request("alert", is_alert=True))
    assert read == [[]]


def test_a_sent_message_gives_back_what_was_recorded(journal):
    send(journal, detail={"segments": 1})
    found = journal.reserve(a_request())
    assert (found.state, found.outcome) == ("sent", {"segments": 1})


@pytest.mark.usefixtures("no_garbage_is_collected")
@pytest.mark.parametrize("detail", ["", "not JSON", "[1, 2]", "[" * 100_000, '{"segments": "many"}'])
def test_a_row_that_somebody_tampered_with_still_counts_as_sent(journal, store_url, detail):
    send(journal)
    edit(store_url, detail=detail)
    assert journal.reserve(a_request()).state == "sent"


@pytest.mark.parametrize("outcome", ["sent", "in_doubt"])
def test_a_key_of_a_message_to_somebody_else_is_an_error(journal, outcome):
    send(journal, outcome=outcome)
    with pytest.raises(InvalidMessage, match=r"not sent: its idempotency_key belongs to a message to …7777.*to …8888"):
        journal.reserve(a_request(to="5556668888"))


def test_a_key_of_a_refused_message_to_somebody_else_may_be_used(journal):
    send(journal, outcome="refused")
    assert isinstance(journal.reserve(a_request(to="5556668888")), Reservation)


@pytest.mark.parametrize("outcome", ["refused", "throttled"])
def test_a_message_that_was_not_sent_goes_again_in_a_new_row_and_the_old_one_stays_in_the_windows(
    journal, store_url, outcome
):
    send(journal, outcome=outcome)
    again = journal.reserve(a_request())
    old, new = rows(store_url)
    assert isinstance(again, Reservation)
    assert (old.state, old.key) == (outcome, None)
    assert new.at - old.at >= 1


def test_a_message_in_doubt_goes_again_only_when_a_person_says_so(journal, store_url):
    send(journal, outcome="in_doubt")
    assert journal.reserve(a_request()).state == "in_doubt"
    assert isinstance(journal.reserve(a_request(), resend=True), Reservation)
    assert [row.state for row in rows(store_url)] == ["in_doubt", "reserved"]


@pytest.mark.parametrize("is_given_back", [False, True])
def test_a_resend_that_ended_before_it_sent_lets_the_next_attempt_send(journal, store_url, is_given_back):
    """A limit that docs/guarantees.md names."""
    send(journal, outcome="in_doubt")
    resent = journal.reserve(a_request(), resend=True)
    if is_given_back:
        journal.release(resent)
    assert isinstance(journal.reserve(a_request()), Reservation)
    assert [row.state for row in rows(store_url)] == ["in_doubt", "released", "reserved"]


def test_a_message_being_sent_is_waited_for_even_when_it_may_be_resent(journal):
    assert start(journal, journal.reserve(a_request()))
    assert journal.reserve(a_request(), resend=True).state == "sending"


def test_a_request_that_outlived_its_deadline_is_in_doubt(journal, store_url):
    assert start(journal, journal.reserve(a_request()))
    edit(store_url, deadline=time.time() - GRACE - 1)
    assert journal.reserve(a_request()).state == "in_doubt"
    assert journal.find("key").state == "in_doubt"


def test_what_the_sender_knows_in_the_end_is_better_than_doubt(journal, store_url):
    held = journal.reserve(a_request())
    assert start(journal, held)
    edit(store_url, deadline=time.time() - GRACE - 1)
    journal.find("key")
    journal.settle(held, "sent", {})
    assert journal.find("key").state == "sent"


def test_who_is_new_takes_over_a_reserved_message_and_the_old_owner_leaves_it_there(journal):
    old = journal.reserve(a_request())
    new = journal.reserve(a_request())
    assert not start(journal, old)
    assert journal.reserve(a_request(), after=old).state == "reserved"
    assert start(journal, new)
    assert journal.reserve(a_request(), after=old).state == "sending"


def test_of_many_at_once_with_one_key_exactly_one_may_start(store_url):
    gate = threading.Barrier(8)

    def claim(_) -> bool:
        mine = MessageJournal(Store(store_url), ACCOUNT, RateLimits())
        gate.wait()
        held = mine.reserve(a_request())
        gate.wait()
        return isinstance(held, Reservation) and start(mine, held)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1


def test_many_at_once_get_slots_that_overflow_no_window(store_url, unhurried):
    def claim(index: int) -> None:
        MessageJournal(Store(store_url), ACCOUNT, RateLimits()).reserve(a_request(str(index), numbers=EIGHT_NUMBERS))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(claim, range(40)))
    at = sorted(row.at for row in rows(store_url))
    assert len(at) == 40
    assert min(later - earlier for earlier, later in zip(at, at[4:], strict=False)) >= SECOND - 1e-3


def test_starting_twice_is_starting_once_so_that_a_lost_answer_does_no_harm(journal, store_url):
    held = journal.reserve(a_request())
    assert start(journal, held)
    assert journal.start(held, request_timeout=30)
    assert [row.state for row in rows(store_url)] == ["sending"]


def test_a_message_is_not_started_after_its_slot(journal, store_url, monkeypatch):
    monkeypatch.undo()
    held = journal.reserve(a_request())
    time.sleep(max(0.0, held.due - time.monotonic()) + journal_module.LATEST_START + 0.02)
    assert not journal.start(held, request_timeout=30)
    assert [row.state for row in rows(store_url)] == ["reserved"]


def test_a_missed_slot_is_given_back_and_another_one_taken(journal, store_url):
    held = journal.reserve(a_request())
    assert start(journal, held)
    again = journal.reserve(a_request(), after=held)
    assert [(row.state, row.key is None) for row in rows(store_url)] == [("released", True), ("reserved", False)]
    assert start(journal, again)


def test_a_missed_slot_is_given_back_also_after_others_took_the_message_for_in_doubt(journal, store_url):
    held = journal.reserve(a_request())
    assert start(journal, held)
    edit(store_url, deadline=time.time() - GRACE - 1)
    assert journal.find("key").state == "in_doubt"
    assert isinstance(journal.reserve(a_request(), after=held), Reservation)


@pytest.mark.parametrize("started", [False, True])
def test_a_released_slot_delays_no_other(journal, started):
    held = journal.reserve(a_request("1"))
    if started:
        assert start(journal, held)
    journal.release(held)
    assert journal.reserve(a_request("2")).due - time.monotonic() < SOON


def test_only_its_owner_releases_a_message(journal, store_url):
    held = journal.reserve(a_request())
    journal.release(replace(held, owner="somebody else"))
    assert [row.state for row in rows(store_url)] == ["reserved"]


def test_what_was_sent_is_never_released(journal, store_url):
    journal.release(send(journal))
    assert rows(store_url)[-1].state == "sent"  # a slot that a busy machine has missed stands before it


def test_a_reservation_whose_process_is_gone_delays_no_other(store, store_url):
    journal = MessageJournal(store, ACCOUNT, RateLimits(number_per_minute=1))  # it would delay the next one by a minute
    journal.reserve(a_request("1"))
    edit(store_url, at=time.time() - ABANDONED - 0.01)
    assert journal.reserve(a_request("2")).due - time.monotonic() < SOON


def test_a_throttled_reply_pauses_the_account_and_nothing_reserved_may_start(journal):
    throttled = journal.reserve(a_request("1"))
    reserved = journal.reserve(a_request("2"))
    assert start(journal, throttled)
    journal.settle(throttled, "throttled", {}, pause=20)
    assert not start(journal, reserved)
    assert journal.reserve(a_request("3")).due - time.monotonic() > 10


def test_the_first_slot_after_a_pause_may_be_used(journal, store_url):
    """Seen: SQLite's JSON rounds times, so the slot lay some microseconds before the end of the pause."""
    send(journal, a_request("1"))
    edit(store_url, accounts, paused_until=round(time.time() + 1.2, 5) + 0.000004)
    assert start(journal, journal.reserve(a_request("2", numbers=(OTHER_NUMBER,))))


def test_a_throttled_reply_widens_the_short_windows(journal, store_url):
    send(journal, a_request("1"), "throttled")
    journal.reserve(a_request("2"))
    at = [row.at for row in rows(store_url)]
    assert at[1] - at[0] == pytest.approx(SECOND + WIDENING, abs=1e-3)


def test_settling_twice_widens_the_windows_once(journal, store_url):
    held = send(journal, outcome="throttled", pause=5)
    before = rows(store_url, accounts)
    journal.settle(held, "throttled", {}, pause=5)
    assert rows(store_url, accounts) == before
    assert before[0].extra_margin == WIDENING


def test_a_reply_that_took_markedly_longer_moves_its_message_to_when_it_came(journal, store_url):
    for index, took in enumerate([0.1, 0.1, 5.0]):
        held = send(journal, a_request(str(index), numbers=[f"55543321{index:02}"]), took=took)
        moved = rows(store_url)[-1].at - held.at
    assert moved == pytest.approx(4.9, abs=0.01)


def test_a_first_reply_that_timed_out_is_no_usual_latency(journal, store_url):
    send(journal, a_request("1"), "in_doubt", took=30)
    send(journal, a_request("2"), took=0.2)
    assert [row.usual_latency for row in rows(store_url, accounts)] == [0.2]


def test_old_rows_are_removed_a_few_at_a_time(store, store_url, monkeypatch):
    monkeypatch.setattr(journal_module, "PRUNED_EVERY", 1)
    journal = MessageJournal(store, ACCOUNT, RateLimits(), retention=timedelta(days=1))
    for index in range(5):
        journal.reserve(a_request(str(index)))
    edit(store_url, at=time.time() - 2 * 86400)
    send(journal, a_request("new"))
    assert len(rows(store_url)) == 1


def test_the_journal_holds_no_message_no_number_and_no_key(journal, store_url):
    send(journal, a_request("order 4711", text="The secret of the message"), detail={"segments": 1})
    stored = repr(rows(store_url)) + repr(rows(store_url, accounts))
    for kept_out in ("5556667777", NUMBER, "order 4711", "secret of the message", "a key"):
        assert kept_out not in stored


def test_a_row_names_the_task_that_it_belongs_to(journal, store_url):
    journal.reserve(a_request(origin=Origin("etl", "manual__1", "text_the_owner", 3)))
    (row,) = rows(store_url)
    assert (row.dag_id, row.run_id, row.task_id, row.map_index) == ("etl", "manual__1", "text_the_owner", 3)


def test_a_reservation_and_a_request_do_not_show_numbers_or_message():
    shown = repr(a_request()) + repr(Reservation(1, "me", NUMBER, 0.0, 0.0))
    for kept_out in (NUMBER, "5556667777", "Hello"):
        assert kept_out not in shown


def test_what_is_not_known_is_not_found(journal):
    assert journal.find("never used") is None


def test_a_record_tells_since_when(journal):
    assert start(journal, journal.reserve(a_request()))
    record = journal.find("key")
    assert isinstance(record, Record)
    assert record.when.timestamp() == pytest.approx(record.at, abs=1e-3)
    assert record.read_at == pytest.approx(record.at, abs=5)


class SetClock:
    """The clock of a SQLite store, which a test sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def clocked(sqlite_url, clock):
    return MessageJournal(Store(sqlite_url, clock=Clock(now=clock.now)), ACCOUNT, RateLimits())


def test_a_clock_set_back_an_hour_shifts_the_rows_with_it(journal, store_url):
    journal.reserve(a_request("1"))
    (row,) = rows(store_url)
    edit(store_url, at=row.at + 3600, created=row.created + 3600)
    held = journal.reserve(a_request("2"))
    first, second = rows(store_url)
    assert first.at < time.time() + 1
    assert second.at - first.at == pytest.approx(SECOND, abs=0.01)
    assert held.due - time.monotonic() <= SECOND + SOON


@pytest.mark.parametrize("hour", [-3600, 3600])
def test_a_process_waiting_while_the_clock_is_set_takes_a_new_slot(clocked, clock, hour):
    held = clocked.reserve(a_request())
    clock.ahead = hour
    assert not start(clocked, held)
    again = clocked.reserve(a_request(), after=held)
    assert isinstance(again, Reservation)


def test_a_killed_message_is_not_waited_for_longer_since_the_clock_was_set_back(clocked, clock):
    assert start(clocked, clocked.reserve(a_request()), timeout=30)
    clock.ahead = -3600
    assert clocked.find("key").undecided_for <= 30 + GRACE + 10
    assert clocked.reserve(a_request()).undecided_for <= 30 + GRACE + 1


def test_a_pause_does_not_last_longer_since_the_clock_was_set_back(clocked, clock, sqlite_url):
    send(clocked, a_request("1"), "throttled", pause=LONGEST_PAUSE)
    clock.ahead = -3600
    held = clocked.reserve(a_request("2", numbers=(OTHER_NUMBER,)))
    assert held.due - time.monotonic() < LONGEST_WINDOW + SOON


def test_a_clock_set_ahead_for_a_moment_opens_no_window_before_its_time(clocked, clock, sqlite_url, unhurried):
    """Seen: 81 messages of one number within 60 s."""
    for index in range(36):
        clocked.reserve(a_request(f"before {index}"))
    edit(sqlite_url, state="sent", at=time.time() - 1)
    send(clocked, a_request("last before", numbers=(OTHER_NUMBER,)))
    clock.ahead = 3600
    held = clocked.reserve(a_request("ahead"))
    assert held.due - time.monotonic() >= 60
    clock.ahead = 0
    again = clocked.reserve(a_request("back again"))
    assert again.due - time.monotonic() > 30


def test_a_message_that_is_held_back_takes_no_slot_and_frees_its_key_for_a_later_attempt(journal, store_url):
    for n in range(3):
        record = journal.reserve(a_request(f"held {n}", is_held_back=True))
        assert (type(record), record.state) == (Record, "held_back")
    again = journal.reserve(a_request("held 0", is_held_back=True))
    assert again.id != record.id
    held = journal.reserve(a_request("held 0"))
    assert isinstance(held, Reservation)
    assert held.due - time.monotonic() < SOON, "what is held back stands in nobody's way"
    assert sorted(row.state for row in rows(store_url)) == ["held_back"] * 4 + ["reserved"]
