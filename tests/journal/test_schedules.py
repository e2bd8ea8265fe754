"""Where messages fit in, and who must go for an alert: by example, by brute force, and in thousands of random
schedules.

DIALOGTECH_SCHEDULES=10000 pytest tests/journal/test_schedules.py
"""

import itertools
import os
import random
from collections import Counter

import pytest

from airflow_provider_dialogtech.journal.limits import RateLimits, overflows
from airflow_provider_dialogtech.journal.slots import MOST_DISPLACED, AccountSlots, TakenSlot
from tests.journal.simulation import BEGIN, Schedule, overruns, random_schedule

SCHEDULES = int(os.environ.get("DIALOGTECH_SCHEDULES", "90"))
WITHIN, SLOWEST, APART = 2.0, 4.0, 1.1
SHARE = 0.95
LIMITS = RateLimits()

pytestmark = pytest.mark.timeout(60 + SCHEDULES)


def waiting(id_, at, number="a"):
    return TakenSlot(id_, number, at, may_move=True)


def test_an_alert_goes_before_a_message_that_waits():
    found = AccountSlots([TakenSlot(1, "a", 0.0), waiting(2, 1.5), waiting(3, 3.0)], LIMITS).slot_for_alert(["a"], 0.5)
    assert found.at == pytest.approx(1.035)
    assert found.displaced == (2,)


def test_an_alert_waits_for_a_message_that_is_being_sent():
    found = AccountSlots([TakenSlot(1, "a", 0.0), TakenSlot(2, "a", 1.2)], LIMITS).slot_for_alert(["a"], 0.5)
    assert found.at == pytest.approx(2.235)
    assert found.displaced == ()


def test_an_alert_takes_the_number_for_which_fewer_messages_must_go():
    places = [TakenSlot(1, "b", -5.0), waiting(2, 0.0, "a"), waiting(3, 2.0, "b")]
    found = AccountSlots(places, LIMITS).slot_for_alert(["a", "b"], 0.5)
    assert (found.number, found.displaced) == (1, ())


def test_where_the_account_is_full_the_nearest_message_of_any_number_goes():
    places = [waiting(index, index * 0.26, f"number {index}") for index in range(8)]
    found = AccountSlots(places, LIMITS).slot_for_alert(["another"], 1.04)
    assert found.at == 1.04
    assert found.displaced == (4,)


def test_an_alert_between_two_messages_takes_the_slot_of_the_later_one_rather_than_both():
    found = AccountSlots([waiting(1, 0.1), waiting(2, 1.135), waiting(3, 2.17)], LIMITS).slot_for_alert(["a"], 0.3)
    assert (found.at, found.displaced) == (1.135, (2,))


def test_an_alert_waits_no_longer_than_a_second_to_spare_a_message():
    found = AccountSlots([waiting(1, 0.1), waiting(2, 1.31)], LIMITS).slot_for_alert(["a"], 0.3)
    assert (found.at, set(found.displaced)) == (0.3, {1, 2})


def test_lists_leave_the_alerts_their_reserve_of_each_minute():
    line = [TakenSlot(index, "a", float(index) * 1.1) for index in range(36)]
    assert AccountSlots(line, LIMITS).slot(["a"], 40.0).at == pytest.approx(60.5)
    assert AccountSlots(line, LIMITS).slot_for_alert(["a"], 40.0).at == 40.0


def test_lists_pay_for_alerts_so_that_the_reserve_stays_whole():
    taken = [TakenSlot(index, "a", float(index) * 1.1) for index in range(39)]
    assert AccountSlots(taken, LIMITS).slot(["a"], 43.0).at == pytest.approx(3 * 1.1 + 60.5)
    assert AccountSlots(taken, LIMITS).slot_for_alert(["a"], 43.0).at == 43.0


def test_more_alerts_than_the_reserve_never_overrun_a_minute():
    line = [TakenSlot(index, "a", index * 1.1) for index in range(40)]
    assert AccountSlots(line, LIMITS).slot_for_alert(["a"], 45.0).at == pytest.approx(60.5)


def random_line(chance):
    """Lists have filled a small account's line, and some alerts came; not all of its messages may move."""
    numbers = [f"number {index}" for index in range(chance.choice((1, 2, 3)))]
    limits = RateLimits(
        account_per_second=chance.choice((2, 3, 4)),
        number_per_second=chance.choice((1, 1, 2)),
        number_per_minute=chance.choice((3, 6, 40)),
        alert_reserve=1,
    )
    places: list[TakenSlot] = []
    for id_ in range(chance.randint(0, 10)):
        line, not_before = AccountSlots(places, limits), chance.uniform(0, 6)
        slot = line.slot_for_alert(numbers, not_before) if chance.random() < 0.3 else line.slot(numbers, not_before)
        places = [place for place in places if place.id not in slot.displaced]
        places.append(TakenSlot(id_, numbers[slot.number], slot.at, may_move=chance.random() < 0.7))
    # Once DialogTech has refused a message for its rate, the windows are wider than when the line was filled.
    return places, limits, chance.choice((0.0, 0.0, 0.025, 0.1)), numbers


def fits(at, number, places, limits, margin):
    of_account = sorted(place.at for place in places)
    of_number = sorted(place.at for place in places if place.number == number)
    return not overflows(at, [(limits.of_account(margin), of_account), (limits.of_number(margin), of_number)])


@pytest.mark.parametrize("seed", range(0, 1000, 100))
def test_never_must_more_messages_go_than_any_choice_needs(seed):
    for each in range(seed, seed + 100):
        chance = random.Random(each)
        places, limits, margin, numbers = random_line(chance)
        found = AccountSlots(places, limits, margin).slot_for_alert(numbers, chance.uniform(0, 7))
        movable = [place for place in places if place.may_move]
        staying = [place for place in places if place.id not in found.displaced]
        assert fits(found.at, numbers[found.number], staying, limits, margin)
        for fewer in range(len(found.displaced)):
            for gone, number in itertools.product(itertools.combinations(movable, fewer), numbers):
                staying = [place for place in places if place not in gone]
                assert not fits(found.at, number, staying, limits, margin), (each, found)


@pytest.mark.parametrize("numbers", [1, 3, 8])
def test_in_random_schedules_alerts_come_in_time_and_no_window_is_overrun(numbers):
    in_time, most_displaced, slowest = Counter(), 0, 0.0
    for seed in range(SCHEDULES // 3):
        schedule = random_schedule(seed, numbers).run()
        assert list(overruns(schedule.left, schedule.limits)) == [], seed
        assert schedule.forgotten() == [], seed
        most_displaced = max([most_displaced, *(text.displaced for text in schedule.texts)])
        alerts = sorted((text for text in schedule.texts if text.is_alert), key=lambda text: text.held.at)
        before = -APART
        for alert in alerts:
            delay = alert.held.at - alert.called
            in_time[delay <= WITHIN or alert.held.at - before <= APART] += 1
            slowest, before = max(slowest, delay), alert.held.at
    assert most_displaced <= MOST_DISPLACED
    assert slowest <= SLOWEST
    assert in_time[True] >= 0.95 * in_time.total()


@pytest.mark.parametrize("numbers", [1, 3])
@pytest.mark.parametrize("alerts", [2, 4])
def test_several_alerts_at_once_follow_each_other_closely(numbers, alerts):
    for seed in range(20):
        chance = random.Random(seed)
        senders, killed = chance.choice((4, 12, 24)), chance.choice((0, 48))
        moment = chance.uniform(0, 3)
        schedule = Schedule(chance, numbers, senders, [moment] * alerts, seconds=10, killed=killed).run()
        delays = sorted(schedule.delays())
        assert delays[0] <= WITHIN
        assert max(later - earlier for earlier, later in itertools.pairwise(delays)) <= APART


@pytest.mark.parametrize("numbers", [1, 3, 8])
def test_lists_keep_their_share_beside_alerts(numbers):
    chance = random.Random(numbers)
    times = list(alerts_within_the_reserve(chance, numbers, seconds=185))
    schedule = Schedule(chance, numbers, senders=24, alerts=times, seconds=190, history=False).run()
    two_minutes = [left for left in schedule.left if BEGIN + 60.5 <= left[0] < BEGIN + 181.5]
    told = Counter(is_alert for _, _, is_alert in two_minutes)
    # Lists and alerts together use what lists alone would.
    allowed = min(2 * LIMITS.ordinary_per_minute * numbers, LIMITS.account_per_second * 121 / 1.035)
    assert told.total() >= SHARE * allowed
    assert max(schedule.delays()) <= SLOWEST


@pytest.mark.parametrize(("history", "slowest"), [(False, 2.5), (True, 5.0)])
def test_beside_a_full_list_on_one_number_an_alert_every_five_seconds_is_out_within_moments(history, slowest):
    """Seen: each alert ate from the reserve, and the slowest waited 12.3 s.

    Where a list has just used all that it may, the reserve has to last until the first of its messages is a minute old.
    """
    for seed in range(4):
        times = [1.0 + 5.0 * n for n in range(36)]
        schedule = Schedule(random.Random(seed), 1, senders=24, alerts=times, seconds=185, history=history).run()
        assert schedule.forgotten() == []
        assert len(schedule.delays()) == 36
        assert max(schedule.delays()) <= slowest
        assert list(overruns(schedule.left, schedule.limits)) == []
        for begin in (BEGIN + 60.5, BEGIN + 121):
            left = [is_alert for at, _, is_alert in schedule.left if begin <= at < begin + 60.5]
            assert len(left) >= SHARE * LIMITS.ordinary_per_minute
            assert sum(left) == 12


def alerts_within_the_reserve(chance, numbers, seconds):
    """Call alerts as often as the reserve allows in each minute, but not more than one in 4 s."""
    recent = [-100.0] * 4 * numbers
    now = 1.0
    while now < seconds:
        yield now
        recent = [*recent[1:], now]
        now = max(now + chance.uniform(3, 12) / min(numbers, 3) + 1, recent[0] + 63)
