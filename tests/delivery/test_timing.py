import time

from airflow_provider_dialogtech.delivery.timing import LONGEST, StepTime, Timing


def a_step_of(*samples) -> StepTime:
    step = StepTime()
    for seconds in samples:
        step.note(seconds)
    return step


def test_a_stall_does_not_make_every_later_text_wait_as_long():
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
    step = a_step_of(*[0.01] * 20)
    for _ in range(6):
        time.sleep(0.4)  # each of them begins after the one before
        step.note(0.4)
    assert 0.4 < step.bound < LONGEST


def test_slots_missed_together_lengthen_the_head_start_once():
    one, many = Timing(), Timing()
    reserved = time.monotonic()
    one.missed(reserved)
    for _ in range(12):
        many.missed(reserved)
    assert 1 < many.head_start(0) / Timing().head_start(0) == one.head_start(0) / Timing().head_start(0)
