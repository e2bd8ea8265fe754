import pytest

from airflow_provider_dialogtech.bulk.failure_policy import (
    IN_DOUBT_IN_A_ROW,
    REFUSED_IN_A_ROW,
    UNSENT_IN_A_ROW,
    FailurePolicy,
    GivenUp,
)
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    InDoubt,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
    WaitTooLong,
)

SENT = SendResult("sent", "success", "[1] Message Sent", "<xml/>", "…7777", "…2111", 1, "GSM-7", "", 0.0, 1)
ALREADY_SENT = SendResult.from_xcom({**SENT.as_xcom(), "status": "already_sent"})


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
        (Refused(), REFUSED_IN_A_ROW),
        (InDoubt(), IN_DOUBT_IN_A_ROW),
        (Unreachable(), UNSENT_IN_A_ROW),
        (Throttled(), UNSENT_IN_A_ROW),
        (JournalUnavailable(), UNSENT_IN_A_ROW),
    ],
)
def test_so_many_in_a_row_end_a_list_and_a_text_that_gets_through_begins_anew(error, limit):
    almost = [error] * (limit - 1)
    assert not goes_on(FailurePolicy(), *almost, error)
    assert goes_on(FailurePolicy(), *almost, SENT, *almost)
    assert not goes_on(FailurePolicy(), *almost, ALREADY_SENT, error), "what was sent before proves nothing of now"


def test_different_failures_are_counted_apart():
    assert goes_on(FailurePolicy(), *[Refused()] * (REFUSED_IN_A_ROW - 1), *[Unreachable()] * (UNSENT_IN_A_ROW - 1))


def test_expected_refusals_are_no_reason_to_give_up():
    assert goes_on(FailurePolicy(max_failures=50), *[Refused()] * 50)
    assert not goes_on(FailurePolicy(max_failures=50), *[Refused()] * 51)


@pytest.mark.parametrize("error", [InDoubt(earlier=True), WaitTooLong()])
def test_what_no_request_was_made_for_says_nothing_of_the_api(error):
    assert goes_on(FailurePolicy(), *[error] * 1000)
