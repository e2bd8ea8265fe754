import logging
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.delivery import attempts as tries
from airflow_provider_dialogtech.delivery import sender as sender_module
from airflow_provider_dialogtech.exceptions import (
    BadCredentials,
    InDoubt,
    InvalidMessage,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
    WaitTooLong,
)
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import encodings_of
from tests.delivery.delivering import (
    GRACE,
    RECIPIENT,
    TIMEOUT,
    a_client,
    a_message,
    a_sender,
    assert_limits_kept,
    kill_here,
    run,
    started,
)
from tests.journal.looking import rows


def wait_for_arrival(sandbox, count=1):
    for _ in range(3000):
        if len(sandbox.messages()) >= count:
            return
        time.sleep(0.02)
    pytest.fail("nothing arrived")


def test_a_message_arrives_once_and_the_result_tells_all_of_it(sandbox, store_url):
    result = a_sender(sandbox, store_url).send(a_message(sandbox), key="k")
    (arrived,) = sandbox.messages()
    assert (arrived["to"], arrived["message"]) == (RECIPIENT, "Hello")
    assert result.as_xcom() == {
        "status": "sent",
        "result": "success",
        "result_description": "[1] Message Sent",
        "xml": result.xml,
        "to": "…7777",
        "from": f"…{arrived['from'][-4:]}",
        "segments": 1,
        "encoding": "GSM-7",
        "sent_at": result.sent_at,
        "waited_seconds": result.waited_seconds,
        "attempts": 1,
    }
    assert result.xml.startswith("<?xml")


def test_the_same_key_gives_back_the_recorded_result_without_a_request(sandbox, store_url):
    first = a_sender(sandbox, store_url).send(a_message(sandbox), key="k")
    again = a_sender(sandbox, store_url).send(a_message(sandbox), key="k")
    assert again.as_xcom() == {**first.as_xcom(), "status": "already_sent"}
    assert len(sandbox.messages()) == 1


def test_the_same_key_with_another_message_sends_nothing_and_says_so(sandbox, sqlite_url, caplog):
    a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k")
    result = a_sender(sandbox, sqlite_url).send(a_message(sandbox, "Try 2 at 12:00"), key="k")
    assert result.status == "already_sent"
    assert len(sandbox.messages()) == 1
    assert "Another message to …7777 was sent under this idempotency key, so nothing is sent now" in caplog.text


def test_a_message_with_the_secret_of_its_own_connection_is_refused_before_anything_is_reserved(sandbox, sqlite_url):
    sender = a_sender(sandbox, sqlite_url)
    Store(sqlite_url).open()
    forms = [form for form in encodings_of(sandbox.secret_access_key) if len(form) <= 200]
    assert len(forms) > 5
    for form in forms:
        with pytest.raises(InvalidMessage, match="contains the secret access key") as raised:
            sender.send(a_message(sandbox, f"Your code is {form}."), key=form)
        assert sandbox.secret_access_key not in str(raised.value)
    assert rows(sqlite_url) == []
    assert sandbox.messages() == []


def test_messages_arrive_no_faster_than_the_limits_allow(sandbox, store_url):
    sender = a_sender(sandbox, store_url)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: sender.send(a_message(sandbox), key=f"k{n}"), range(12)))
    assert_limits_kept(sandbox, 12)


@pytest.mark.parametrize(
    "fault",
    [
        "reset_after_accept",
        "error_after_accept",
        "garbage_after_accept",
        "truncated_after_accept",
        "hang_after_accept",
        "zero_count",
    ],
)
def test_what_may_be_out_is_in_doubt_and_is_not_sent_again(sandbox, sqlite_url, fault):
    sandbox.fault(fault, times=1)
    with pytest.raises(InDoubt) as raised:
        a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k")
    assert raised.value.key == "k"
    assert raised.value.since is not None
    with pytest.raises(InDoubt, match=r"may have been sent: its request left at .* Nothing was sent now.*resend"):
        a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k")
    assert len(sandbox.messages()) == 1


def test_what_is_in_doubt_goes_again_when_a_person_says_so(sandbox, store_url):
    sandbox.fault("reset_after_accept", times=1)
    with pytest.raises(InDoubt):
        a_sender(sandbox, store_url).send(a_message(sandbox), key="k")
    assert a_sender(sandbox, store_url).send(a_message(sandbox), key="k", in_doubt="resend").status == "sent"
    assert len(sandbox.messages()) == 2


def test_a_refused_message_is_not_tried_again_by_itself_but_may_be(sandbox, store_url):
    sandbox.fault("refused", times=1)
    with pytest.raises(Refused):
        a_sender(sandbox, store_url).send(a_message(sandbox), key="k")
    assert len(sandbox.messages()) == 1
    assert a_sender(sandbox, store_url).send(a_message(sandbox), key="k").status == "sent"


def test_wrong_keys_are_not_tried_again(sandbox, sqlite_url):
    sender = a_sender(sandbox, sqlite_url, client=a_client(sandbox, secret="wrong"))
    with pytest.raises(BadCredentials):
        sender.send(a_message(sandbox), key="k")
    assert len(sandbox.messages()) == 1


def test_a_throttled_message_goes_again_in_a_new_slot(sandbox, store_url):
    sandbox.fault("throttled", times=1)
    result = a_sender(sandbox, store_url).send(a_message(sandbox), key="k")
    first, second = sandbox.messages()
    assert result.attempts == 2
    assert second["at"] - first["at"] >= sender_module.PAUSE


def test_a_throttled_message_waits_as_long_as_it_is_told(sandbox, sqlite_url):
    sandbox.fault("throttled", times=1, status=429, retry_after=3)
    a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k")
    first, second = sandbox.messages()
    assert second["at"] - first["at"] >= 3


def test_throttled_without_end_ends_after_five_tries(sandbox, sqlite_url):
    sandbox.fault("throttled")
    with pytest.raises(Throttled):
        a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k")
    assert len(sandbox.messages()) == 5


def test_failing_without_end_ends_after_its_time(sandbox, sqlite_url, monkeypatch):
    monkeypatch.setattr(tries, "TRY_FOR", 0.1)
    sandbox.fault("throttled")
    with pytest.raises(Throttled):
        a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k")
    assert len(sandbox.messages()) == 2


def test_a_told_wait_is_capped(sandbox, sqlite_url, monkeypatch):
    monkeypatch.setattr(sender_module, "LONGEST_PAUSE", 1.0)
    sandbox.fault("throttled", times=1, status=429, retry_after=3000)
    assert a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k").waited_seconds < 60


def test_one_throttled_message_pauses_the_account_for_all(sandbox, sqlite_url):
    sandbox.fault("throttled", times=1, status=429, retry_after=5)
    with ThreadPoolExecutor(4) as pool:
        sender = a_sender(sandbox, sqlite_url)
        list(pool.map(lambda n: sender.send(a_message(sandbox), key=f"k{n}"), range(4)))
    arrivals = sandbox.messages()
    told = next(index for index, message in enumerate(arrivals) if message["fault"] == "throttled")
    # Requests that were out already when it was told may still arrive; nothing leaves after that.
    later = [message["at"] - arrivals[told]["at"] for message in arrivals[told + 1 :]]
    assert all(seconds < 4 or seconds >= 5 for seconds in later)
    assert len(sandbox.accepted()) == 4


def test_what_cannot_be_reached_is_tried_again_and_ends_as_unreachable(sandbox, sqlite_url, unused_port):
    nowhere = a_client(sandbox, url=f"http://127.0.0.1:{unused_port}/ibp_api.php")
    sender = a_sender(
        sandbox, sqlite_url, client=nowhere, clock=Clock(sleep=lambda seconds: time.sleep(min(seconds, 0.1)))
    )
    with pytest.raises(Unreachable):
        sender.send(a_message(sandbox), key="k")
    reason = MessageJournal(Store(sqlite_url), "any", RateLimits()).find("k").reason
    assert reason.startswith("not sent: DialogTech could not be reached at 127.0.0.1")
    assert a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k").status == "sent"


def test_a_slot_beyond_max_wait_is_not_taken(sandbox, store_url):
    sender = a_sender(sandbox, store_url)
    numbers = sandbox.numbers[:1]
    sender.send(a_message(sandbox, numbers=numbers), key="1")
    with pytest.raises(WaitTooLong) as raised:
        sender.send(a_message(sandbox, numbers=numbers), key="2", max_wait=0.1)
    assert raised.value.sendable_at is not None
    assert len(sandbox.messages()) == 1


def test_a_journal_that_is_gone_sends_nothing(sandbox, tmp_path):
    with pytest.raises(JournalUnavailable):
        a_sender(sandbox, f"sqlite:///{tmp_path}/nowhere/journal.db").send(a_message(sandbox), key="k")
    assert sandbox.messages() == []


def test_a_journal_that_goes_while_the_message_is_out_does_not_hide_that_it_was_sent(
    sandbox, sqlite_url, caplog, monkeypatch
):
    monkeypatch.setattr(MessageJournal, "settle", side_effect_of(JournalUnavailable()))
    assert a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k").status == "sent"
    assert (
        "was sent, but that could not be written into the journal, so a retry will report the message as in doubt"
        in caplog.text
    )


def side_effect_of(error):
    def fail(*_args, **_kwargs):
        raise error

    return fail


def test_an_interrupt_while_the_request_is_out_leaves_it_in_doubt_and_goes_on_up(sandbox, sqlite_url):
    sandbox.fault("late", seconds=60, times=1)

    def interrupt():
        wait_for_arrival(sandbox)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: side_effect_of(KeyboardInterrupt())())
    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            a_sender(sandbox, sqlite_url, timeout=60).send(a_message(sandbox), key="k")
    finally:
        interrupting.join()
        signal.signal(signal.SIGUSR1, before)
    record = MessageJournal(Store(sqlite_url), "any", RateLimits()).find("k")
    assert record.state == "in_doubt"


def test_an_interrupt_before_the_request_gives_the_slot_back(sandbox, sqlite_url):
    sender = a_sender(sandbox, sqlite_url, clock=Clock(sleep=side_effect_of(KeyboardInterrupt())))
    a_sender(sandbox, sqlite_url).send(a_message(sandbox, numbers=sandbox.numbers[:1]), key="1")
    with pytest.raises(KeyboardInterrupt):
        sender.send(a_message(sandbox, numbers=sandbox.numbers[:1]), key="2")
    record = MessageJournal(Store(sqlite_url), "any", RateLimits()).find("2")
    assert (record.state, record.reason) == ("released", "not sent: it was stopped (KeyboardInterrupt)")


def test_of_eight_processes_with_one_key_at_once_exactly_one_sends_and_all_are_told(sandbox, store_url):
    sandbox.fault("late", seconds=0.5)
    with ThreadPoolExecutor(8) as pool:
        results = list(
            pool.map(
                lambda _: a_sender(sandbox, store_url, timeout=30).send(a_message(sandbox), key="k").status, range(8)
            )
        )
    assert sorted(results) == ["already_sent"] * 7 + ["sent"]
    assert len(sandbox.messages()) == 1


def test_a_live_twin_waits_for_the_first_ones_outcome(sandbox, store_url):
    sandbox.fault("late", seconds=1, times=1)
    with started(send_one, sandbox, store_url, "k"):
        wait_for_arrival(sandbox)
        assert a_sender(sandbox, store_url).send(a_message(sandbox), key="k").status == "already_sent"
    assert len(sandbox.messages()) == 1


def send_one(sandbox, store_url, key, text="Hello"):
    a_sender(sandbox, store_url).send(a_message(sandbox, text), key=key)


def killed_before_reserving(sandbox, store_url):
    MessageJournal.reserve = kill_here
    send_one(sandbox, store_url, "k")


def killed_while_waiting(sandbox, store_url):
    sender = a_sender(sandbox, store_url, clock=Clock(sleep=kill_here))
    numbers = sandbox.numbers[:1]
    a_sender(sandbox, store_url).send(a_message(sandbox, "another", numbers=numbers), key="another")
    sender.send(a_message(sandbox, numbers=numbers), key="k")


def killed_between_start_and_request(sandbox, store_url):
    start = MessageJournal.start

    def start_and_die(*args, **kwargs):
        if start(*args, **kwargs):  # on a busy machine an earlier slot may be lost
            kill_here()
        return False

    MessageJournal.start = start_and_die
    send_one(sandbox, store_url, "k")


def killed_before_settling(sandbox, store_url):
    MessageJournal.settle = kill_here
    send_one(sandbox, store_url, "k")


@pytest.mark.parametrize("killed", [killed_before_reserving, killed_while_waiting])
def test_killed_before_it_started_the_message_goes_out_with_the_retry(sandbox, store_url, killed):
    assert run(killed, sandbox, store_url) == -signal.SIGKILL
    assert a_sender(sandbox, store_url).send(a_message(sandbox), key="k").status == "sent"
    assert [message["message"] for message in sandbox.messages() if message["message"] != "another"] == ["Hello"]


@pytest.mark.parametrize(("killed", "arrived"), [(killed_between_start_and_request, 0), (killed_before_settling, 1)])
def test_killed_after_it_started_the_message_is_in_doubt_and_is_not_repeated(sandbox, store_url, killed, arrived):
    assert run(killed, sandbox, store_url) == -signal.SIGKILL
    assert len(sandbox.messages()) == arrived
    with pytest.raises(InDoubt):
        a_sender(sandbox, store_url).send(
            a_message(sandbox, "another message, as a template with the time in it gives"), key="k"
        )
    assert len(sandbox.messages()) == arrived


def test_killed_while_the_request_is_out_the_message_is_in_doubt_and_is_not_repeated(sandbox, store_url):
    sandbox.fault("hang_after_accept", times=1)
    with started(send_one, sandbox, store_url, "k") as process:
        wait_for_arrival(sandbox)
        process.kill()
    with pytest.raises(InDoubt):
        a_sender(sandbox, store_url).send(a_message(sandbox), key="k")
    assert len(sandbox.messages()) == 1


def test_killed_at_twenty_random_moments_and_retried_nothing_is_twice_and_nothing_is_lost(sandbox, sqlite_url):
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    for n in range(20):
        with started(send_one, sandbox, sqlite_url, f"k{n}", f"message {n}") as process:
            process.join(moments.uniform(0, 0.4))
            if process.is_alive():
                process.kill()
        arrived = [message["message"] for message in sandbox.accepted()].count(f"message {n}")
        try:
            outcome = a_sender(sandbox, sqlite_url).send(a_message(sandbox, f"message {n}"), key=f"k{n}").status
        except InDoubt:
            outcome = "in_doubt"
        after = [message["message"] for message in sandbox.accepted()].count(f"message {n}")
        assert after <= 1, f"twice, with seed {seed}"
        assert after == 1 or outcome == "in_doubt", f"lost, with seed {seed}"
        assert not arrived or after == arrived


STEPS = ["reserve", "start", "settle"]


@pytest.mark.parametrize("step", STEPS)
def test_frozen_for_a_moment_a_message_still_goes_out_and_no_window_overflows(sandbox, sqlite_url, step):
    frozen_and_woken(sandbox, sqlite_url, step, 0.3)
    assert len(sandbox.messages()) == 3


@pytest.mark.parametrize("step", STEPS)
def test_frozen_past_its_deadline_and_woken_nothing_is_twice_and_no_window_overflows(sandbox, store_url, step):
    frozen_and_woken(sandbox, store_url, step, TIMEOUT + GRACE + 1)
    assert len(sandbox.messages()) <= 3


def frozen_and_woken(sandbox, store_url, step, frozen_for):
    with started(frozen_after, step, sandbox, store_url) as process:
        wait_until_stopped(process.pid)
        time.sleep(frozen_for)
        if frozen_for > TIMEOUT:
            with suppress(InDoubt):
                a_sender(sandbox, store_url).send(a_message(sandbox), key="k")
        os.kill(process.pid, signal.SIGCONT)
        process.join(30)
        assert not process.is_alive()
    others = [a_sender(sandbox, store_url).send(a_message(sandbox), key=f"other {n}").status for n in range(2)]
    assert others == ["sent", "sent"]
    assert {message["outcome"] for message in sandbox.messages()} == {"accepted"}


def frozen_after(step, sandbox, store_url):
    original = getattr(MessageJournal, step)
    frozen = []

    def freeze_once(*args, **kwargs):
        result = original(*args, **kwargs)
        if not frozen:
            frozen.append(True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return result

    setattr(MessageJournal, step, freeze_once)
    with suppress(InDoubt):
        send_one(sandbox, store_url, "k")


def wait_until_stopped(pid):
    for _ in range(1000):
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T":
            return
        time.sleep(0.02)
    pytest.fail("it was not frozen")


NOT_SENT = 3


def send_or_give_up(sandbox, store_url, n):
    try:
        a_sender(sandbox, store_url).send(a_message(sandbox), key=f"k{n}", max_wait=4)
    except (WaitTooLong, JournalUnavailable):
        sys.exit(NOT_SENT)


def test_of_many_processes_at_once_each_knows_whether_it_sent_and_no_window_overflows(sandbox, sqlite_url):
    """Their slots take 15 s and more, so only the first are waited for; the others give their place back."""
    with ExitStack() as stack:
        processes = [stack.enter_context(started(send_or_give_up, sandbox, sqlite_url, n)) for n in range(32)]
        for process in processes:
            process.join()
    ends = Counter(process.exitcode for process in processes)
    assert set(ends) <= {0, NOT_SENT}
    assert ends[0] >= 1
    assert_limits_kept(sandbox, ends[0])


def test_no_number_and_no_key_is_logged(sandbox, sqlite_url, caplog):
    caplog.set_level(logging.DEBUG)
    sandbox.fault("throttled", times=1)
    sandbox.fault("refused", times=1)
    for _ in range(2):
        with suppress(Refused):
            a_sender(sandbox, sqlite_url).send(a_message(sandbox), key="k")
    for kept_out in (RECIPIENT, sandbox.secret_access_key, *sandbox.numbers):
        assert kept_out not in caplog.text
