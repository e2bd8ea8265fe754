import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.api.errors import WaitTooLong
from airflow_provider_dialogtech.delivery import journal as journal_module
from airflow_provider_dialogtech.delivery.journal import (
    ABANDONED,
    GRACE,
    HEAD_START,
    WIDENING,
    Record,
    Reservation,
    SendJournal,
    SlotMoved,
    Wish,
    digest,
)
from airflow_provider_dialogtech.delivery.limits import LONG_MARGIN, SHORT_MARGIN, RateLimits
from airflow_provider_dialogtech.delivery.store import Store, accounts, sends

ACCOUNT = digest("account", "a key")
NUMBER = "5554332111"
OTHER_NUMBER = "5554332112"
SECOND = 1 + SHORT_MARGIN


def a_wish(key="key", *, owner="me", numbers=(NUMBER,), text="Hello") -> Wish:
    return Wish(key, tuple(numbers), "5556667777", text, owner)


@pytest.fixture
def store(store_url):
    return Store(store_url)


@pytest.fixture
def journal(store):
    return SendJournal(store, ACCOUNT, RateLimits())


@pytest.fixture
def unhurried(monkeypatch):
    """Let reservations that nobody starts count as long as the test takes."""
    monkeypatch.setattr(journal_module, "ABANDONED", 3600)


def rows(store):
    return store.run("test", lambda connection, _: connection.execute(sa.select(sends).order_by(sends.c.id)).all())


def edit(store, **values):
    store.run("test", lambda connection, _: connection.execute(sends.update().values(**values)))


def slots(journal, store, count, **wish):
    """Reserve some texts and tell their slots, seconds after the first."""
    for index in range(count):
        journal.reserve(a_wish(f"key {index}", **wish))
    at = [row.at for row in rows(store)]
    return [time - at[0] for time in at]


def test_one_number_gets_a_slot_a_second(journal, store, unhurried):
    assert slots(journal, store, 4) == pytest.approx([0, SECOND, 2 * SECOND, 3 * SECOND], abs=1e-3)


def test_the_forty_first_text_of_a_number_waits_for_the_minute_to_end(journal, store, unhurried):
    at = slots(journal, store, 41)
    assert at[40] - at[0] == pytest.approx(60 + LONG_MARGIN, abs=1e-3)


def test_an_account_gets_four_slots_a_second_whatever_its_numbers(journal, store, unhurried):
    at = slots(journal, store, 5, numbers=[f"55543321{n:02}" for n in range(8)])
    assert at[3] < 1
    assert at[4] == pytest.approx(SECOND, abs=1e-3)


def test_a_text_takes_the_number_whose_slot_comes_first(journal):
    first = journal.reserve(a_wish("1", numbers=(NUMBER, OTHER_NUMBER)))
    second = journal.reserve(a_wish("2", numbers=(NUMBER, OTHER_NUMBER)))
    assert (first.number, second.number) == (NUMBER, OTHER_NUMBER)


def test_numbers_that_may_send_at_once_are_used_evenly(journal, store, unhurried):
    numbers = [f"55543321{index:02}" for index in range(5)]
    at = slots(journal, store, 200, numbers=numbers)
    assert max(at) < 50 * SECOND


def test_a_number_that_is_blocked_for_a_minute_holds_back_no_other(journal, unhurried):
    for index in range(41):
        blocked = journal.reserve(a_wish(str(index)))
    free = journal.reserve(a_wish("free", numbers=(OTHER_NUMBER,)))
    assert blocked.due - free.due > 59


def test_accounts_do_not_share_limits(journal, store):
    journal.reserve(a_wish("1"))
    other = SendJournal(store, digest("account", "another key"), RateLimits()).reserve(a_wish("2"))
    assert other.due <= time.monotonic() + HEAD_START


def test_a_key_is_one_text_whatever_account_uses_it(journal, store):
    held = journal.reserve(a_wish())
    journal.start(held, timeout=30)
    journal.settle(held, "sent", {})
    found = SendJournal(store, digest("account", "another key"), RateLimits()).reserve(a_wish(owner="other"))
    assert found.state == "sent"


def test_nothing_is_reserved_when_the_slot_is_too_far_away(journal, store):
    journal.reserve(a_wish("1"))
    with pytest.raises(WaitTooLong) as raised:
        journal.reserve(a_wish("2"), max_wait=0.5)
    assert len(rows(store)) == 1
    assert raised.value.sendable_at.timestamp() == pytest.approx(rows(store)[0].at + SECOND, abs=1e-3)


def test_a_sent_text_gives_back_what_was_recorded(journal):
    held = journal.reserve(a_wish())
    assert journal.start(held, timeout=30)
    journal.settle(held, "sent", {"segments": 1})
    found = journal.reserve(a_wish(owner="other"))
    assert (found.state, found.detail) == ("sent", {"segments": 1})


@pytest.mark.parametrize("outcome", ["refused", "throttled"])
def test_a_text_that_was_not_sent_goes_again_in_a_new_row_and_the_old_one_stays_in_the_windows(journal, store, outcome):
    held = journal.reserve(a_wish())
    journal.start(held, timeout=30)
    journal.settle(held, outcome, {})
    again = journal.reserve(a_wish())
    old, new = rows(store)
    assert isinstance(again, Reservation)
    assert (old.state, old.key) == (outcome, None)
    assert new.at - old.at >= 1


def test_a_text_in_doubt_goes_again_only_when_a_person_says_so(journal, store):
    held = journal.reserve(a_wish())
    journal.start(held, timeout=30)
    journal.settle(held, "in_doubt", {})
    assert journal.reserve(a_wish(owner="other")).state == "in_doubt"
    assert isinstance(journal.reserve(a_wish(owner="other"), resend=True), Reservation)
    assert [row.state for row in rows(store)] == ["in_doubt", "reserved"]


def test_a_text_being_sent_is_waited_for_even_when_it_may_be_resent(journal):
    held = journal.reserve(a_wish())
    journal.start(held, timeout=30)
    assert journal.reserve(a_wish(owner="other"), resend=True).state == "sending"


def test_a_request_that_outlived_its_deadline_is_in_doubt(journal, store):
    held = journal.reserve(a_wish())
    journal.start(held, timeout=30)
    edit(store, deadline=time.time() - GRACE - 1)
    assert journal.reserve(a_wish(owner="other")).state == "in_doubt"
    assert journal.find("key").state == "in_doubt"


def test_what_the_sender_knows_in_the_end_is_better_than_doubt(journal, store):
    held = journal.reserve(a_wish())
    journal.start(held, timeout=30)
    edit(store, deadline=time.time() - GRACE - 1)
    journal.find("key")
    journal.settle(held, "sent", {})
    assert journal.find("key").state == "sent"


def test_who_takes_over_a_reserved_text_sends_it_and_the_old_owner_does_not(journal, store):
    old = journal.reserve(a_wish(owner="old"))
    new = journal.reserve(a_wish(owner="new"))
    assert len(rows(store)) == 1
    assert not journal.start(old, timeout=30)
    assert journal.reserve_again(old) is None
    assert journal.start(new, timeout=30)


def test_of_many_at_once_with_one_key_exactly_one_may_start(store):
    gate = threading.Barrier(8)

    def claim(owner: int) -> bool:
        gate.wait()
        mine = SendJournal(store, ACCOUNT, RateLimits())
        held = mine.reserve(a_wish(owner=str(owner)))
        gate.wait()
        return isinstance(held, Reservation) and mine.start(held, timeout=30)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1


def test_many_at_once_get_slots_that_overflow_no_window(store, unhurried):
    def claim(index: int) -> None:
        SendJournal(store, ACCOUNT, RateLimits()).reserve(
            a_wish(str(index), numbers=[f"55543321{n:02}" for n in range(8)])
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(claim, range(40)))
    at = sorted(row.at for row in rows(store))
    assert len(at) == 40
    assert min(later - earlier for earlier, later in zip(at, at[4:], strict=False)) >= SECOND - 1e-6


def test_starting_twice_is_starting_once_so_that_a_lost_answer_does_no_harm(journal):
    held = journal.reserve(a_wish())
    assert journal.start(held, timeout=30)
    assert journal.start(held, timeout=30)


def test_no_slot_is_so_near_that_it_would_be_missed(journal):
    held = journal.reserve(a_wish())
    assert held.due - time.monotonic() <= HEAD_START
    assert journal.reserve_again(held).due - time.monotonic() <= HEAD_START


def test_a_missed_slot_is_given_back_and_the_numbers_next_one_taken(journal, store):
    held = journal.reserve(a_wish())
    journal.start(held, timeout=30)
    again = journal.reserve_again(held)
    (row,) = rows(store)
    assert row.state == "reserved"
    assert journal.start(again, timeout=30)


def test_a_missed_slot_is_given_back_also_when_the_next_one_is_too_far_away(journal, store):
    held = journal.reserve(a_wish("1"))
    journal.reserve(a_wish("2"))
    edit(store, at=time.time() + 0.5)
    with pytest.raises(WaitTooLong):
        journal.reserve_again(held, max_wait=0)
    assert rows(store)[0].at < time.time()


def test_a_released_slot_delays_no_other(journal):
    journal.release(journal.reserve(a_wish("1")))
    assert journal.reserve(a_wish("2")).due <= time.monotonic() + HEAD_START


def test_a_reservation_whose_process_is_gone_delays_no_other(journal, store):
    journal.reserve(a_wish("1"))
    edit(store, at=time.time() - ABANDONED - 0.01)
    assert journal.reserve(a_wish("2")).due <= time.monotonic() + HEAD_START


def test_a_throttled_reply_pauses_the_account_and_moves_what_was_reserved(journal):
    throttled = journal.reserve(a_wish("1"))
    reserved = journal.reserve(a_wish("2"))
    journal.start(throttled, timeout=30)
    journal.settle(throttled, "throttled", {}, pause=20)
    with pytest.raises(SlotMoved):
        journal.start(reserved, timeout=30)
    assert journal.reserve(a_wish("3")).due - time.monotonic() > 18


def test_a_throttled_reply_widens_the_short_windows(journal, store):
    held = journal.reserve(a_wish("1"))
    journal.start(held, timeout=30)
    journal.settle(held, "throttled", {})
    journal.reserve(a_wish("2"))
    at = [row.at for row in rows(store)]
    assert at[1] - at[0] == pytest.approx(SECOND + WIDENING, abs=1e-3)


def test_a_reply_that_took_markedly_longer_moves_its_text_to_when_it_came(journal, store):
    for index, took in enumerate([0.1, 0.1, 5.0]):
        held = journal.reserve(a_wish(str(index), numbers=[f"55543321{index:02}"]))
        journal.start(held, timeout=30)
        before = rows(store)[-1].at
        journal.settle(held, "sent", {}, took=took)
        moved = rows(store)[-1].at - before
    assert moved == pytest.approx(4.9, abs=0.01)


def test_a_clock_set_back_an_hour_shifts_the_rows_with_it(journal, store):
    journal.reserve(a_wish("1"))
    (row,) = rows(store)
    hour = {"at": row.at + 3600, "created": row.created + 3600}
    edit(store, **hour)
    held = journal.reserve(a_wish("2"))
    first, second = rows(store)
    assert first.at < time.time() + 1
    assert second.at - first.at == pytest.approx(SECOND, abs=1e-3)
    assert held.due - time.monotonic() <= HEAD_START + SECOND


def test_a_process_waiting_while_the_clock_is_set_forward_takes_a_new_slot(sqlite_url):
    ahead = [0.0]
    journal = SendJournal(Store(sqlite_url, clock=lambda: time.time() + ahead[0]), ACCOUNT, RateLimits())
    held = journal.reserve(a_wish())
    ahead[0] = 3600
    with pytest.raises(SlotMoved):
        journal.start(held, timeout=30)
    assert journal.start(journal.reserve_again(held), timeout=30)


def test_a_process_waiting_while_the_clock_is_set_back_keeps_its_slot_once_the_rows_are_shifted(sqlite_url):
    ahead = [0.0]
    journal = SendJournal(Store(sqlite_url, clock=lambda: time.time() + ahead[0]), ACCOUNT, RateLimits())
    held = journal.reserve(a_wish("1"))
    ahead[0] = -3600
    journal.reserve(a_wish("2"))
    assert journal.start(held, timeout=30)


def test_old_rows_are_removed_a_few_at_a_time(store, monkeypatch):
    monkeypatch.setattr(journal_module, "_PRUNED_AT_ONCE", 2)
    monkeypatch.setattr(journal_module, "_PRUNED_EVERY", 1)
    journal = SendJournal(store, ACCOUNT, RateLimits(), retention=timedelta(days=1))
    for index in range(5):
        journal.reserve(a_wish(str(index)))
    edit(store, at=time.time() - 2 * 86400)
    held = journal.reserve(a_wish("new"))
    journal.start(held, timeout=30)
    journal.settle(held, "sent", {})
    assert len(rows(store)) == 4


def test_the_journal_holds_no_text_no_number_and_no_key(journal, store):
    held = journal.reserve(a_wish("order 4711", text="The secret of the text"))
    journal.start(held, timeout=30)
    journal.settle(held, "sent", {"segments": 1})
    stored = repr(rows(store)) + repr(
        store.run("test", lambda connection, _: connection.execute(sa.select(accounts)).all())
    )
    for kept_out in ("5556667777", NUMBER, "order 4711", "secret of the text", "a key"):
        assert kept_out not in stored


def test_a_reservation_and_a_wish_do_not_show_numbers_or_text():
    shown = repr(a_wish()) + repr(Reservation(1, "me", NUMBER, 0.0))
    assert NUMBER not in replace(a_wish(), numbers=()).__repr__() + repr(Reservation(1, "me", NUMBER, 0.0))
    assert "5556667777" not in shown
    assert "Hello" not in shown


def test_what_is_not_known_is_not_found(journal):
    assert journal.find("never used") is None


def test_a_record_tells_since_when(journal):
    held = journal.reserve(a_wish())
    journal.start(held, timeout=30)
    record = journal.find("key")
    assert isinstance(record, Record)
    assert record.since.timestamp() == pytest.approx(record.at, abs=1e-3)
    assert record.age == pytest.approx(0, abs=5)
