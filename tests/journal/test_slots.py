from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_dialogtech.journal.limits import SHORT_MARGIN, RateLimits
from airflow_provider_dialogtech.journal.slots import AccountSlots, TakenSlot

SECOND = 1 + SHORT_MARGIN
A, B = "number a", "number b"


def waiting(*times, number=A, first_id=1):
    return [TakenSlot(id_, number, at, may_move=True) for id_, at in enumerate(times, first_id)]


def left(*times, number=A, first_id=100):
    return [TakenSlot(id_, number, at) for id_, at in enumerate(times, first_id)]


def fits(places, limits):
    """Return whether no window holds more than it may, by looking at each."""

    def most(times, seconds):
        return max((sum(start <= time < start + seconds for time in times) for start in times), default=0)

    numbers = {place.number for place in places}
    return most([place.at for place in places], 1) <= limits.account_per_second and all(
        most([place.at for place in places if place.number == number], 1) <= limits.number_per_second
        and most([place.at for place in places if place.number == number], 60) <= limits.number_per_minute
        for number in numbers
    )


def test_of_two_numbers_with_equally_near_slots_the_less_used_one_is_taken():
    line = AccountSlots(left(-30.0, -20.0), RateLimits())
    assert line.slot([A, B], 0.0).number == 1
    assert line.slot([B, A], 0.0).number == 0


def test_of_two_numbers_the_one_with_the_nearer_slot_is_taken():
    assert AccountSlots([*left(0.0, number=B), *left(-30.0)], RateLimits()).slot([A, B], 0.0).number == 0


def test_an_alert_displaces_nobody_where_there_is_room():
    assert AccountSlots(waiting(5.0, 7.0), RateLimits()).slot_for_alert([A], 0.1).displaced == ()
    assert AccountSlots(waiting(0.1, number=B), RateLimits()).slot_for_alert([A], 0.1).displaced == ()


def test_a_full_second_of_the_account_loses_one_message_to_an_alert_of_another_number():
    places = [place for index in range(4) for place in waiting(0.1, number=f"number {index}", first_id=index)]
    found = AccountSlots(places, RateLimits()).slot_for_alert(["another number"], 0.1)
    assert found.at == 0.1
    assert len(found.displaced) == 1


def test_a_message_between_two_others_goes_alone_where_that_is_enough():
    """The nearest ones go first; whoever turns out to fit in again stays."""
    places = waiting(0.0, SECOND, 2 * SECOND)
    found = AccountSlots(places, RateLimits()).slot_for_alert([A], SECOND)
    assert found.displaced == (2,)
    far = [*left(*(-59.0 + index * SECOND for index in range(37))), *waiting(-10.0, -5.0, 1.0, first_id=1)]
    assert len(AccountSlots(far, RateLimits()).slot_for_alert([A], 3.0).displaced) <= 1


def test_wider_windows_keep_the_messages_of_a_number_further_apart():
    assert AccountSlots(left(0.0), RateLimits(), extra_margin=0.25).slot([A], 0.0).at == SECOND + 0.25


times_of_texts = st.lists(st.integers(-70, 70).map(lambda tenths: tenths / 2), max_size=30)


@settings(max_examples=150, deadline=None)
@given(times_of_texts, st.lists(st.booleans(), min_size=8, max_size=8))
@example([0.0] * 14 + [-24.5, -24.5, 35.0, 0.0, 0.5, 0.0], [False] * 8)
def test_whatever_waits_an_alert_overfills_no_window_and_displaces_nobody_in_vain(starts, alerts):
    limits = RateLimits(2, 1, 10)
    places: list[TakenSlot] = []
    for id_, start in enumerate(starts):
        found = AccountSlots(places, limits).slot([A, B], start)
        places.append(TakenSlot(id_, (A, B)[found.number], found.at, may_move=start > 0))
    for id_, is_first in enumerate(alerts, 100):
        found = AccountSlots(places, limits).slot_for_alert([A, B] if is_first else [B], 0.0)
        gone = [place for place in places if place.id in found.displaced]
        assert all(place.may_move for place in gone)
        places = [place for place in places if place.id not in found.displaced]
        number = ([A, B] if is_first else [B])[found.number]
        alert = TakenSlot(id_, number, found.at)
        places.append(alert)
        assert fits(places, limits)
        # None of them fits in beside the alert: each had to go.
        assert not any(fits_with_margins([*places, place], limits) for place in gone)


def fits_with_margins(places, limits):
    # 36.035 - 35 is less than 1.035 in floating point: what fits in by less than that does not.
    line = AccountSlots(places[:-1], limits, extra_margin=1e-9)
    last = places[-1]
    return (
        line.slot_for_alert([last.number], last.at).at == last.at
        and not line.slot_for_alert([last.number], last.at).displaced
    )


@settings(max_examples=150, deadline=None)
@given(times_of_texts, st.lists(st.sampled_from([A, B]), min_size=30, max_size=30), st.booleans())
def test_what_has_left_may_be_given_as_times_alone(times, numbers, is_alert):
    """A full minute is read like this: the slots are the same."""
    places = [
        TakenSlot(id_, number, time, may_move=time > 0)
        for id_, (number, time) in enumerate(zip(numbers, times, strict=False))
    ]
    left_at = {number: sorted(p.at for p in places if p.number == number and not p.may_move) for number in (A, B)}
    whole = AccountSlots(places, RateLimits(1, 1, 10))
    apart = AccountSlots([place for place in places if place.may_move], RateLimits(1, 1, 10), left=left_at)
    for asked in ([A], [A, B]):
        if is_alert:
            assert apart.slot_for_alert(asked, 0.0) == whole.slot_for_alert(asked, 0.0)
        else:
            assert apart.slot(asked, 0.0) == whole.slot(asked, 0.0)
