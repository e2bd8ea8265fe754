import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dialogtech.journal.limits import (
    LONG_MARGIN,
    SHORT_MARGIN,
    RateLimits,
    Window,
    closed_spans,
    first_open,
)

# Whole numbers, so that "exactly a window apart" is exact.
times = st.lists(st.integers(0, 60), max_size=25).map(sorted)
windows = st.builds(Window, messages=st.integers(1, 5), seconds=st.integers(1, 12))


def earliest(not_before, occupied):
    return first_open(not_before, closed_spans(occupied, not_before))


def overflows(window: Window, times: list[float]) -> bool:
    """Return whether any `seconds` (one end excluded) hold more than `texts`, by looking at each."""
    return any(sum(start <= time < start + window.seconds for time in times) > window.messages for start in times)


def first_that_fits(not_before: int, window: Window, times: list[float]) -> int:
    return next(
        time
        for time in range(not_before, 200)
        if not any(
            sum(start <= other < start + window.seconds for other in [*times, time]) > window.messages
            for start in [*times, time]
            if start <= time < start + window.seconds
        )
    )


@given(st.integers(0, 60), windows, times)
def test_the_slot_is_the_first_at_which_no_window_overflows(not_before, window, times):
    assert earliest(not_before, [([window], times)]) == first_that_fits(not_before, window, times)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=40), st.lists(windows, min_size=1, max_size=3))
def test_reserving_one_after_the_other_never_overflows_any_window(wanted, windows):
    reserved: list[float] = []
    for not_before in wanted:
        reserved.append(earliest(not_before, [(windows, reserved)]))
        reserved.sort()
    assert not any(overflows(window, reserved) for window in windows)


def test_a_message_fits_into_a_gap_before_one_reserved_for_later():
    assert earliest(0, [([Window(1, 1)], [5.0])]) == 0


def test_a_message_does_not_crowd_one_reserved_for_later():
    assert earliest(4.5, [([Window(1, 1)], [5.0])]) == 6.0


def test_messages_that_nobody_waits_for_leave_at_once():
    assert earliest(7.0, []) == 7.0


def test_the_windows_are_the_vendors_with_a_margin_for_the_way():
    limits = RateLimits()
    assert limits.of_account() == (Window(4, 1 + SHORT_MARGIN),)
    assert limits.of_number() == (Window(1, 1 + SHORT_MARGIN), Window(40, 60 + LONG_MARGIN))


def test_a_throttled_account_widens_its_short_windows_only():
    assert RateLimits().of_account(0.25)[0].seconds == pytest.approx(1 + SHORT_MARGIN + 0.25)
    assert RateLimits().of_number(0.25)[0].seconds == pytest.approx(1 + SHORT_MARGIN + 0.25)
    assert RateLimits().of_number(0.25)[1] == RateLimits().of_number()[1]


def test_lists_leave_a_tenth_of_a_numbers_minute_to_alerts_unless_told_otherwise():
    for per_minute, reserve, left in ((40, None, 36), (9, None, 9), (40, 0, 40), (40, 39, 1), (1, 0, 1)):
        limits = RateLimits(number_per_minute=per_minute, alert_reserve=reserve)
        assert limits.of_ordinary() == (Window(left, 60 + LONG_MARGIN),)


@pytest.mark.parametrize("wrong", [-1, 40, True])
def test_a_reserve_for_alerts_that_leaves_nothing_is_refused_by_its_name(wrong):
    with pytest.raises(ValueError, match="alert_reserve must be a whole number from 0 to 39"):
        RateLimits(alert_reserve=wrong)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "4", None, True])
@pytest.mark.parametrize("name", ["account_per_second", "number_per_second", "number_per_minute"])
def test_a_limit_that_is_no_whole_positive_number_is_refused_by_its_name(name, wrong):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1"):
        RateLimits(**{name: wrong})
