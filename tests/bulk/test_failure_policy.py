from contextlib import nullcontext

import pytest

from airflow_provider_dialogtech.bulk.failure_policy import FailurePolicy, GivenUp, ListFailed
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    InDoubt,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
    WaitTooLong,
)
from tests.bulk.test_report import a_report, numbers
from tests.results import a_result

SENT = a_result(sent_at="")
ALREADY_SENT = a_result("already_sent", sent_at="")


def goes_on(policy: FailurePolicy, *outcomes: object) -> bool:
    """Return whether the list goes on after all of these."""
    try:
        for outcome in outcomes:
            policy.check_next(outcome)
    except GivenUp:
        return False
    return True


def test_wrong_keys_end_a_list_at_once():
    error = BadCredentials()
    with pytest.raises(GivenUp) as raised:
        FailurePolicy(max_failures=1000).check_next(error)
    assert raised.value.last is error


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (Refused(), 20),
        (InDoubt(), 10),
        (Unreachable(), 3),
        (Throttled(), 3),
        (JournalUnavailable(), 3),
    ],
)
def test_so_many_in_a_row_end_a_list_and_a_message_that_gets_through_begins_anew(error, limit):
    almost = [error] * (limit - 1)
    assert not goes_on(FailurePolicy(), *almost, error)
    assert goes_on(FailurePolicy(), *almost, SENT, *almost)
    assert not goes_on(FailurePolicy(), *almost, ALREADY_SENT, error), "what was sent before proves nothing of now"


def test_different_failures_are_counted_apart():
    assert goes_on(FailurePolicy(), *[Refused()] * 19, *[Unreachable()] * 2)


def test_expected_refusals_do_not_end_the_list():
    assert goes_on(FailurePolicy(max_failures=50), *[Refused()] * 50)
    assert not goes_on(FailurePolicy(max_failures=50), *[Refused()] * 51)


@pytest.mark.parametrize("error", [InDoubt(earlier=True), WaitTooLong()])
def test_failures_without_a_request_do_not_end_the_list(error):
    assert goes_on(FailurePolicy(), *[error] * 1000)


@pytest.mark.parametrize(
    ("options", "failures", "has_failed"),
    [
        ({}, 0, False),
        ({}, 1, True),
        ({"max_failures": 2}, 2, False),
        ({"max_failures": 2}, 3, True),
    ],
)
def test_a_list_with_more_failures_than_are_expected_has_failed(options, failures, has_failed):
    report = a_report(numbers(4))
    for row in range(4):
        report.note(row, Refused() if row < failures else SENT)
    with pytest.raises(ListFailed) if has_failed else nullcontext():
        FailurePolicy(**options).check_end(report)
