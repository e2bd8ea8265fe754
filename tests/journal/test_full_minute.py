"""The slot that a row-by-row model finds is the one that `reserve` finds in what it reads of a full minute."""

import random
import uuid

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.journal import schema, statements
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import ABANDONED, SlotRequest, number_name
from airflow_provider_dialogtech.journal.states import WITHOUT_SLOT, State
from airflow_provider_dialogtech.journal.store import Store
from tests.clocks import FakeClock
from tests.journal.looking import database

NUMBERS = ("5554332111", "5554332112", "5554332113")
LINES = 10
SEEDS = range(0, 100, LINES)


def a_line(chance, account, now):
    """Return the rows of an account that has been busy for a minute and has messages waiting."""
    at, apart = now - chance.choice((15, 62)), chance.choice((0.26, 1.04, 3.0))
    for _ in range(chance.choice((5, 40, 120))):
        at += apart * chance.uniform(0.9, 1.1)
        passed = now - at
        old = [State.SENT] * 9 + [State.SENDING, State.IN_DOUBT, State.REFUSED, State.RELEASED, State.RESERVED]
        state = chance.choice([State.RESERVED, State.RESERVED, State.SENDING, State.RELEASED] if passed < 0 else old)
        written = min(now, at) - chance.uniform(0, 3)
        yield {
            "account": account, "number": number_name(account, chance.choice(NUMBERS)), "at": at, "state": state.value,
            "key": uuid.uuid4().hex, "owner": "o", "digest": "d", "recipient_tail": "7777", "detail": "{}",
            "deadline": at + 30, "created": written, "updated": max(written, min(now, at)),
        }  # fmt: skip


def takes_a_place(row, now):
    is_abandoned = row["state"] == State.RESERVED and row["at"] < now - ABANDONED
    return row["state"] not in WITHOUT_SLOT and not is_abandoned


def earliest(rows, numbers, limits, not_before):
    """Return the first time at which a window has room again, and all the others, too, have room."""
    windows = limits.of_account(), (*limits.of_number(), *limits.of_ordinary())
    found = []
    for number in numbers:
        all_times = sorted(row["at"] for row in rows)
        own_times = sorted(row["at"] for row in rows if row["number"] == number)
        groups = [(window, all_times) for window in windows[0]] + [(window, own_times) for window in windows[1]]
        candidates = [not_before] + [time + window.seconds for window, times in groups for time in times]
        found.append(min(at for at in candidates if at >= not_before and not any(bars(at, *each) for each in groups)))
    return min(found)


def bars(at, window, times):
    """Return whether so many of the neighbours lie with this time in less than the window that it overflows."""
    rounded = 1e-6
    return any(
        last - at < window.seconds - rounded and at - first < window.seconds - rounded
        and last - first < window.seconds - rounded
        for first, last in zip(times, times[window.messages - 1 :], strict=False)
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_reserve_finds_the_slot_that_a_plain_model_finds_in_all_rows(tmp_path, seed):
    clock = FakeClock(now=1_000_000.0)
    store = Store(f"sqlite:///{tmp_path / 'journal.db'}", clock=clock.clock)
    store.open()
    for each in range(seed, seed + LINES):
        chance = random.Random(each)
        account = f"account {each}"
        rows = list(a_line(chance, account, clock.now()))
        limits = RateLimits(chance.choice((1, 4)), chance.choice((1, 2)), chance.choice((6, 12, 40)))
        with database(store.url) as connection:
            connection.execute(
                sa.insert(schema.messages), [*rows, {**rows[0], "account": "another", "key": "k" + account}]
            )
        numbers = NUMBERS[: chance.choice((1, 2))]
        journal = MessageJournal(store, account, limits)
        head_start = store.timing.head_start(0.0)
        held = journal.reserve(SlotRequest("key", numbers, "5556667777", "Hello"))
        names = [number_name(account, number) for number in numbers]
        taken = [row for row in rows if takes_a_place(row, clock.now())]
        assert held.at == pytest.approx(earliest(taken, names, limits, clock.now() + head_start), abs=1e-4), each


def test_every_place_in_a_statement_has_the_same_time(tmp_path):
    """Between two readings, a message would be in both halves of the minute or in none."""
    times = iter(range(1_000_000, 2_000_000))
    fake = FakeClock()
    store = Store(
        f"sqlite:///{tmp_path / 'journal.db'}", clock=type(fake.clock)(lambda: float(next(times)), fake.monotonic)
    )
    columns = [schema.now().label(name) for name in ("first", "second")]
    both = sa.select(*columns, sa.select(schema.now()).scalar_subquery().label("third"))
    earlier, later = (store.ask(Statement(both, {}))[0] for _ in range(2))
    assert len(set(earlier)) == len(set(later)) == 1
    assert later.first > earlier.first


def test_no_reading_is_longer_than_the_last_seconds_hold():
    widest = max(window.seconds for window in RateLimits().of_account(statements.WIDEST))
    assert widest < statements.LAST_SECONDS
    assert statements.LAST_SECONDS > ABANDONED
