from itertools import pairwise

import pytest

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from airflow_provider_dialogtech.sandbox.vendor import Account, Limits, SlidingWindow
from tests.sandbox.calling import call, get_json

ONE, OTHER = NUMBERS = ("5554332111", "5554332112")


def an_account(**limits):
    return Account("key", "secret", NUMBERS, Limits(**limits))


def send(account, number, now):
    """Send a message as the sandbox does; return the limit that it would exceed, if any."""
    overflow = account.overflows(number, now)
    if overflow is None:
        account.note(number, now)
    return overflow


def test_a_window_accepts_a_message_exactly_when_its_oldest_leaves():
    window = SlidingWindow(2, 1)
    window.note(10.0)
    window.note(10.75)
    assert window.is_full(10.999)
    assert not window.is_full(11.0)
    window.note(11.0)
    assert window.is_full(11.749)
    assert not window.is_full(11.75)


def test_two_messages_of_one_number_are_a_second_apart():
    account = an_account()
    assert send(account, ONE, 0.0) is None
    assert send(account, ONE, 0.999) == "Rate limit: 1 sms per number per second"
    assert send(account, ONE, 1.0) is None


def test_five_numbers_share_the_four_messages_a_second_of_their_account():
    account = Account("key", "secret", tuple("abcde"))
    assert [send(account, number, 0.5) for number in "abcd"] == [None] * 4
    assert send(account, "e", 1.4) == "Rate limit: 4 sms per account per second"
    assert send(account, "e", 1.5) is None


def test_a_sliding_window_has_no_edge_at_which_eight_messages_pass():
    account = an_account(number_per_second=9)
    assert [send(account, ONE, 0.75 + n / 32) for n in range(4)] == [None] * 4
    assert send(account, ONE, 1.0) is not None
    assert send(account, ONE, 1.75) is None
    assert send(account, ONE, 1.76) is not None


def test_the_forty_first_message_of_a_number_waits_until_the_first_is_a_minute_old():
    account = an_account()
    assert [send(account, ONE, float(n)) for n in range(40)] == [None] * 40
    assert send(account, ONE, 59.999) == "Rate limit: 40 sms per number per 60 seconds"
    assert send(account, OTHER, 59.999) is None
    assert send(account, ONE, 60.0) is None
    assert send(account, ONE, 60.999) is not None
    assert send(account, ONE, 61.0) is None


def test_a_throttled_message_does_not_count():
    account = an_account()
    assert send(account, ONE, 0.0) is None
    assert all(send(account, ONE, n / 10) for n in range(1, 10))
    assert send(account, ONE, 1.0) is None


@pytest.fixture(scope="module")
def shared_sandbox():
    """At most one message per minute, so that no test depends on speed."""
    with running_sandbox(arguments=["--number-per-minute=1"]) as sandbox:
        yield sandbox


def test_throttling_names_its_limit_and_is_recorded(sandbox):
    first, second = call(sandbox), call(sandbox)
    assert (first.result, first.description) == ("success", "[1] Message Sent")
    assert (second.result, second.description) == ("failed", "Rate limit: 1 sms per number per 60 seconds")
    assert [arrival["outcome"] for arrival in sandbox.messages()] == ["accepted", "throttled"]


def test_forgetting_empties_the_windows(sandbox):
    call(sandbox)
    sandbox.forget()
    assert sandbox.messages() == []
    assert call(sandbox).result == "success"


@pytest.mark.parametrize("wrong", [{"message": "x" * 257}, {"secret_access_key": "wrong"}, {"to": "not a number"}])
def test_a_refused_message_does_not_count(sandbox, wrong):
    assert call(sandbox, **wrong).result == "failed"
    assert call(sandbox).result == "success"


def test_accepted_messages_of_a_fast_client_are_a_second_apart():
    with running_sandbox() as sandbox:
        while sum(arrival["outcome"] == "accepted" for arrival in sandbox.messages()) < 2:
            call(sandbox)
        times = [arrival["monotonic"] for arrival in sandbox.messages() if arrival["outcome"] == "accepted"]
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))


def test_the_limits_in_use_are_reported(sandbox):
    call(sandbox)
    (account,) = get_json(sandbox, "sandbox/limits")["accounts"]
    assert account["limits"] == {"account_per_second": 4, "number_per_second": 1, "number_per_minute": 1}
    assert [used["used_per_minute"] for used in account["numbers"].values()] == [1, 0]
