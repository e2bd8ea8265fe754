import time

import pytest

from airflow_provider_dialogtech.clock import SYSTEM_CLOCK
from airflow_provider_dialogtech.journal.timing import GRANULARITY, LONGEST, StepTime, Timing
from tests.clocks import FakeClock


def after(*samples, guess=None):
    step = StepTime(guess)
    for seconds in samples:
        step.note(seconds)
    return step


def test_before_the_first_sample_the_guess_counts():
    assert StepTime().mean == 0
    step = StepTime(0.3)
    assert (step.mean, step.bound) == (0.3, 0.3 + GRANULARITY)
    step.guess(0.1)
    assert step.mean == 0.3
    step.guess(0.5)
    assert step.mean == 0.5
    step.note(0.02)
    step.guess(0.5)
    assert step.mean == 0.02


def test_a_step_that_always_takes_as_long_needs_little_more():
    assert after(*[0.1] * 100).bound == pytest.approx(0.1 + GRANULARITY)


def test_a_step_that_takes_now_this_long_now_that_long_is_given_more_than_the_longest():
    assert after(*[0.05, 0.15] * 50).bound > 0.2


def test_after_one_sample_three_times_as_much_is_reckoned_with():
    """As RFC 6298 has it: the deviation is half of the first sample, and counts four times."""
    assert after(0.1).bound == pytest.approx(0.3)


def test_one_hour_of_silence_is_not_learned():
    step = after(*[3600.0] * 100)
    assert step.mean == pytest.approx(LONGEST)
    assert step.bound == LONGEST
    assert after(-5.0).mean == 0.0


def taught(commit=0.1, start=0.05):
    timing = Timing()
    for _ in range(100):
        timing.committed(commit)
        timing.started(start)
    return timing


def test_a_slot_is_as_far_away_as_reserving_starting_and_connecting_take():
    timing = taught()
    assert timing.head_start(0.3) == pytest.approx(0.1 + 0.05 + 2 * GRANULARITY + 0.3)
    assert timing.start_lead == pytest.approx(0.075)
    assert taught(start=0.1).start_lead == pytest.approx(0.1 + GRANULARITY)


def test_a_missed_slot_lengthens_the_next_head_starts_and_met_ones_take_it_back():
    timing = taught(start=0.1)
    before = timing.head_start(0.0), timing.start_lead
    timing.missed(time.monotonic())
    assert timing.head_start(0.0) == pytest.approx(1.5 * before[0])
    assert timing.start_lead == pytest.approx(1.5 * before[1])
    timing.met()
    assert before[0] < timing.head_start(0.0) < 1.5 * before[0]
    for _ in range(20):
        timing.met()
    assert (timing.head_start(0.0), timing.start_lead) == pytest.approx(before)


def test_the_time_that_connecting_takes_is_not_stretched_by_missed_slots():
    timing = taught()
    timing.missed(time.monotonic())
    assert timing.head_start(1.0) - timing.head_start(0.0) == pytest.approx(1.0)


def test_no_number_of_missed_slots_makes_a_head_start_endless():
    timing = taught(commit=5.0, start=5.0)
    for _ in range(100):
        timing.missed(time.monotonic())
    assert timing.head_start(30.0) == LONGEST
    assert timing.start_lead == LONGEST
    timing = taught(commit=0.01, start=0.01)
    for _ in range(100):
        timing.missed(time.monotonic())
    assert timing.head_start(0.0) < 0.5


def test_the_first_answer_is_a_guess_at_what_the_steps_take():
    timing = Timing()
    timing.first_answer(0.02)
    # Half of the answer's way and the commit's two; and one whole statement for the start.
    assert timing.commit.mean >= 1.5 * 0.02
    assert timing.start.mean >= 0.02
    timing.committed(0.5)
    assert timing.start.mean == 0.5


def a_step_of(*samples, clock=SYSTEM_CLOCK) -> StepTime:
    step = StepTime(clock=clock)
    for seconds in samples:
        step.note(seconds)
    return step


def test_a_stall_does_not_make_every_later_message_wait_as_long():
    step = a_step_of(*[0.01] * 20)
    usual = step.bound
    step.note(5.0)
    assert step.bound < 5 * usual


def test_a_stall_that_many_threads_saw_counts_once():
    step, other = a_step_of(*[0.01] * 20), a_step_of(*[0.01] * 20)
    step.note(5.0)
    for _ in range(12):
        other.note(5.0)
    assert other.bound == step.bound


def test_a_journal_that_stays_slow_is_learned_in_a_few_steps():
    time = FakeClock()
    step = a_step_of(*[0.01] * 20, clock=time.clock)
    for _ in range(6):
        time.go_on(0.4)  # each of them begins after the one before
        step.note(0.4)
    assert 0.4 < step.bound < LONGEST


def test_a_message_that_waits_anyway_is_started_as_early_as_the_longest_of_the_recent_starts_took():
    """A file that several processes write is free now and locked by all of them then."""
    timing = taught(start=0.06)
    timing.started(0.12)
    for _ in range(8):
        timing.started(0.06)
    assert timing.start.bound < 0.1 < timing.start_lead
    for _ in range(100):
        timing.started(0.06)
    assert timing.start_lead == pytest.approx(0.075)
    assert taught(start=3600.0).start_lead == LONGEST


def test_a_file_may_be_locked_by_two_other_processes_when_a_message_is_to_be_started():
    timing = Timing()
    timing.first_commit(0.05)
    assert timing.start_lead == pytest.approx(3 * 0.05 + GRANULARITY)
    assert timing.head_start(0.0) == pytest.approx(2 * (0.05 + GRANULARITY)), "the first slot is no further away"


def test_slots_missed_together_lengthen_the_head_start_once():
    one, many = Timing(), Timing()
    reserved = time.monotonic()
    one.missed(reserved)
    for _ in range(12):
        many.missed(reserved)
    assert 1 < many.head_start(0) / Timing().head_start(0) == one.head_start(0) / Timing().head_start(0)


def test_mean_and_deviation_follow_the_samples_as_those_of_tcp_do():
    """RFC 6298: the mean moves by an eighth of the difference, the deviation by a quarter."""
    step = after(0.1, 0.2)
    assert step.mean == pytest.approx(0.1125)
    assert step.bound == pytest.approx(0.1125 + 4 * 0.0625)
    step.note(0.1)
    assert step.mean == pytest.approx(0.1125 - 0.0125 / 8)
    assert step.bound == pytest.approx(step.mean + 4 * (0.0625 + (0.0125 - 0.0625) / 4))


def test_a_sample_beyond_the_bound_counts_for_two_bounds():
    step = after(0.1, 5.0)
    assert step.mean == pytest.approx(0.1 + (0.6 - 0.1) / 8)
    assert step.bound == pytest.approx(step.mean + 4 * (0.05 + (0.5 - 0.05) / 4))


@pytest.mark.parametrize(("later", "counts"), [(5.0, True), (4.9, False)])
def test_a_stall_counts_anew_where_it_began_after_the_one_before_had_ended(later, counts):
    time = FakeClock()
    step = a_step_of(*[0.01] * 20, clock=time.clock)
    step.note(4.0)
    before = step.mean
    time.go_on(later)
    step.note(5.0)
    assert (step.mean > before) == counts


def test_a_first_answer_and_a_first_commit_are_guesses_that_only_grow_until_a_step_was_seen():
    timing = Timing()
    timing.first_commit(0.02)
    assert (timing.commit.mean, timing.start.mean) == (0.02, 0.02)
    timing.first_answer(0.1)
    assert (timing.commit.mean, timing.start.mean) == (0.25, 0.2)
    timing.first_answer(0.01)
    timing.committed(0.3)
    assert (timing.commit.mean, timing.start.mean) == (0.3, 0.3)
    timing.committed(0.1)
    timing.started(0.05)
    timing.committed(0.1)
    assert timing.start.mean == 0.05


def test_each_miss_lengthens_the_head_start_by_half_up_to_eight_times_and_each_slot_met_takes_a_tenth_back():
    time = FakeClock()
    timing = Timing(time.clock)
    for _ in range(100):
        timing.committed(0.1)
        timing.started(0.1)
    plain = timing.head_start(0.0)

    def miss():
        time.go_on(1.0)
        timing.missed(time.monotonic())

    for times in (1.5, 2.25):
        miss()
        assert timing.head_start(0.0) == pytest.approx(times * plain)
    timing.met()
    assert timing.head_start(0.0) == pytest.approx(0.9 * 2.25 * plain)
    for _ in range(10):
        miss()
    assert timing.head_start(0.0) == pytest.approx(8 * plain)
    for _ in range(50):
        timing.met()
    assert timing.head_start(0.0) == pytest.approx(plain)


@pytest.mark.parametrize(("after_miss", "times"), [(0.0, 1.5), (0.1, 2.25)])
def test_a_slot_that_was_reserved_before_the_last_miss_lengthens_nothing(after_miss, times):
    time = FakeClock()
    timing = Timing(time.clock)
    timing.committed(0.1)
    timing.started(0.1)
    plain = timing.head_start(0.0)
    timing.missed(time.monotonic() - 1)
    timing.missed(time.monotonic() + after_miss)
    assert timing.head_start(0.0) == pytest.approx(times * plain)


def test_it_says_how_long_the_steps_take():
    timing = Timing()
    timing.committed(0.123)
    timing.started(0.2)
    assert str(timing) == "reserving a slot takes 0.12 s, starting a message 0.20 s"
