"""The way of one message, step by step, by a clock that nobody waits for: so a stand-in takes the place of the API."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_provider_dialogtech.api.reply import ApiReply
from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.exceptions import (
    InDoubt,
    JournalUnavailable,
    Refused,
    Throttled,
    Unreachable,
    WaitTooLong,
)
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import SHORT_MARGIN, RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import accounts
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.sms.message import SmsMessage
from tests.journal.looking import rows

MESSAGE = SmsMessage.create(to="5556667777", message="Hello", from_numbers=["5554332111"])
SUCCESS = ApiReply("success", "[1] Message Sent")
SECOND = 1 + SHORT_MARGIN


class Api:
    """Answers each request with the next of its answers, and any other with a success.

    :param connecting: how many seconds connecting takes, each time.
    """

    timeout = 30.0

    def __init__(self, time, *answers, connecting=(), host="any.example"):
        self.host = host
        self.connected: list[float] = []
        self.requests: list[float] = []
        self.while_out = lambda: None
        self._time = time
        self._answers = list(answers)
        self._connecting = list(connecting)

    def refuse_own_secret(self, message):
        pass

    def connect(self):
        self.connected.append(self._time.monotonic())
        self._time.go_on(self._connecting.pop(0) if self._connecting else 0.0)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def send(self, *, to, from_, message):
        assert (to, from_, message) == ("5556667777", "5554332111", "Hello")
        self.requests.append(self._time.monotonic())
        self.while_out()
        answer = self._answers.pop(0) if self._answers else SUCCESS
        self._time.go_on(0.2)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def journal(sqlite_url, time):
    return MessageJournal(Store(sqlite_url, clock=time.clock), "account", RateLimits())


@pytest.fixture
def sender(journal, time):
    def make(*answers, connecting=(), host="any.example", **options):
        api = Api(time, *answers, connecting=connecting, host=host)
        return SmsSender(api, journal, **{"clock": time.clock, **options}), api

    return make


def state(sqlite_url):
    return [row.state for row in rows(sqlite_url)]


def test_a_request_leaves_in_its_slot_and_the_result_says_so(sender, time, sqlite_url):
    way, api = sender()
    begun, now = time.monotonic(), time.now()
    result = way.send(MESSAGE, key="key")
    waited = api.requests[0] - begun
    assert rows(sqlite_url)[0].at == pytest.approx(now + waited)
    assert (result.attempts, result.waited_seconds) == (1, round(waited, 3))
    assert datetime.fromisoformat(result.sent_at).timestamp() == pytest.approx(now + waited, abs=0.001)
    assert rows(sqlite_url, accounts)[0].usual_latency == pytest.approx(0.2)


def test_the_first_slot_leaves_time_to_reserve_to_start_and_to_connect(sender, time):
    begun = time.monotonic()
    way, api = sender()
    way.send(MESSAGE, key="key")
    assert api.requests[0] - begun == pytest.approx(0.3 + 3 * 0.01)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_this_machine_itself_is_connected_at_once(sender, time, host):
    begun = time.monotonic()
    way, api = sender(host=host)
    way.send(MESSAGE, key="key")
    assert api.requests[0] - begun == pytest.approx(3 * 0.01)


def test_a_connection_is_opened_a_second_before_the_slot(sender, time):
    way, api = sender()
    for key in "123":
        way.send(MESSAGE, key=key)
        time.set(0)
    assert api.requests[2] - api.requests[1] == pytest.approx(SECOND)
    assert api.connected[2] == pytest.approx(max(api.requests[2] - 1.0, api.requests[1] + 0.2))


def test_a_connection_never_idles_longer_than_a_second(sender, journal, time):
    way, api = sender(Throttled(retry_after=20.0))
    way.send(MESSAGE, key="key")
    assert api.requests[1] - api.connected[1] == pytest.approx(1.0)


def test_how_long_connecting_takes_is_learned(sender, time):
    way, _ = sender(connecting=[0.1])
    way.send(MESSAGE, key="1")
    time.go_on(100)
    begun = time.monotonic()
    other, api = sender()
    other.send(MESSAGE, key="2")
    assert api.requests[0] - begun == pytest.approx(0.1 + 4 * 0.05 + 2 * 0.01, abs=0.01)


def test_a_connection_that_comes_too_late_costs_a_slot_and_the_journal_is_not_blamed(sender, journal, time, caplog):
    way, api = sender(connecting=[5.0])
    assert way.send(MESSAGE, key="key").attempts == 1
    assert len(api.connected) == 2
    assert "connecting took longer than there was time" in caplog.text
    assert "the journal is slow" not in caplog.text


@pytest.mark.parametrize(("retry_after", "pause"), [(None, 1.0), (0.2, 1.0), (3.0, 3.0), (60.0, 60.0), (3000.0, 60.0)])
def test_a_throttled_message_waits_as_long_as_it_is_told_within_bounds(sender, time, retry_after, pause):
    way, api = sender(Throttled(retry_after=retry_after))
    assert way.send(MESSAGE, key="key").attempts == 2
    assert api.requests[1] - api.requests[0] - 0.2 == pytest.approx(max(pause, SECOND + 0.025 - 0.2), abs=0.35)
    assert api.requests[1] - api.requests[0] - 0.2 >= pause - 1e-6


def test_what_cannot_be_reached_gives_its_slot_back_and_is_tried_five_times(sender, time, sqlite_url):
    way, api = sender(*[Unreachable("no byte left")] * 9)
    with pytest.raises(Unreachable):
        way.send(MESSAGE, key="key")
    assert len(api.requests) == 5
    assert state(sqlite_url) == ["released"] * 5
    assert way.under_way("key") is None


def test_a_refused_message_is_not_tried_again(sender, sqlite_url, time):
    way, api = sender(Refused("DialogTech refused it", description="No credit"))
    with pytest.raises(Refused):
        way.send(MESSAGE, key="key")
    assert (len(api.requests), state(sqlite_url)) == (1, ["refused"])


def test_a_message_in_doubt_says_when_it_left(sender, sqlite_url, time):
    way, api = sender(InDoubt("its request left, and then no reply came"))
    begun, now = time.monotonic(), time.now()
    with pytest.raises(InDoubt) as raised:
        way.send(MESSAGE, key="key")
    left = datetime.fromtimestamp(now + api.requests[0] - begun, timezone.utc)
    assert abs((raised.value.since - left).total_seconds()) < 0.001
    assert (raised.value.key, raised.value.to) == ("key", "…7777")
    assert state(sqlite_url) == ["in_doubt"]


def test_whatever_stops_a_request_leaves_its_message_in_doubt_and_goes_on_up(sender, sqlite_url, time):
    way, _ = sender(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        way.send(MESSAGE, key="key")
    assert state(sqlite_url) == ["in_doubt"]


def test_while_a_request_is_out_its_message_is_in_doubt_for_whoever_asks(sender, time):
    way, api = sender(Throttled(), Unreachable())
    seen = []
    api.while_out = lambda: seen.append(way.under_way("key"))
    assert way.under_way("key") is None
    way.send(MESSAGE, key="key")
    assert [type(known) for known in seen] == [InDoubt] * 3
    assert seen[0].key == "key"
    assert way.under_way("key") is None


@pytest.fixture
def stall(journal, time, monkeypatch):
    """Let the machine stand still after the start of each message, until so many seconds after its slot."""

    def stall(by):
        start = journal.start

        def start_and_stall(held, **options):
            started = start(held, **options)
            time.go_on(held.due + by - time.monotonic())
            return started

        monkeypatch.setattr(journal, "start", start_and_stall)

    return stall


@pytest.mark.parametrize(("by", "lost"), [(0.011, 0), (0.013, 1), (0.0265, 2), (0.09, 5), (0.099, 6)])
def test_a_late_request_takes_another_slot_and_each_time_a_little_more_is_allowed(sender, stall, caplog, by, lost):
    """12 ms at first, half as much again each time, and never more than 100 ms."""
    caplog.set_level("INFO")
    stall(by)
    way, api = sender()
    assert way.send(MESSAGE, key="key").attempts == 1
    assert caplog.text.count("lost its slot") == lost
    assert len(api.connected) == 1 + lost


def test_a_message_that_loses_one_slot_after_the_other_is_told_as_not_sent(sender, stall, sqlite_url):
    stall(0.101)
    way, api = sender()
    with pytest.raises(JournalUnavailable, match=r"it lost 12 slots, because the journal or this machine") as raised:
        way.send(MESSAGE, key="key")
    assert (api.requests, raised.value.to) == ([], "…7777")
    assert set(state(sqlite_url)) == {"released"}


def test_a_waiting_time_is_told_to_the_millisecond(sender, stall):
    stall(0.0012345)
    way, _ = sender()
    assert way.send(MESSAGE, key="key").waited_seconds == 0.331


@pytest.mark.parametrize(("max_wait", "timeout"), [(None, None), (3.0, 3.0 - 0.255 + 5.0)])
def test_a_message_may_be_started_as_long_as_it_may_wait_and_written_down_for_a_minute(
    sender, journal, monkeypatch, max_wait, timeout
):
    """A step may take five seconds in any case."""
    seen = {}

    def watch(step):
        original = getattr(journal, step)

        def see(*args, **options):
            seen[step] = options["timeout"]
            return original(*args, **options)

        monkeypatch.setattr(journal, step, see)

    for step in ("start", "settle"):
        watch(step)
    way, _ = sender()
    way.send(MESSAGE, key="key", max_wait=max_wait)
    assert seen == {"start": timeout if timeout is None else pytest.approx(timeout), "settle": 60.0}


def test_a_message_is_no_alert_and_of_no_task_unless_it_is_said_to_be(sender, sqlite_url):
    way, _ = sender()
    way.send(MESSAGE, key="1")
    way.send(MESSAGE, key="2", is_alert=True)
    assert [(row.priority, row.map_index, row.dag_id) for row in rows(sqlite_url)] == [(0, -1, ""), (1, -1, "")]


def test_a_slot_that_is_too_far_away_is_not_taken(sender, time):
    way, api = sender()
    way.send(MESSAGE, key="1")
    with pytest.raises(WaitTooLong):
        way.send(MESSAGE, key="2", max_wait=0.2)
    assert len(api.requests) == 1


def test_a_message_that_was_throttled_does_not_wait_longer_than_it_may_all_in_all(sender, time):
    way, api = sender(Throttled(retry_after=20.0))
    with pytest.raises(WaitTooLong):
        way.send(MESSAGE, key="key", max_wait=10.0)
    assert len(api.requests) == 1


def test_a_message_whose_time_is_over_while_the_api_is_away_says_that_it_is_away(sender, journal, time):
    way, api = sender(*[Unreachable("no way there")] * 9)

    def let_others_take_the_next_slots():
        for key in "abcdef":
            journal.reserve(SlotRequest(key, ("5554332111",), "5556667777", "Hello"), sleep=time.sleep)

    api.while_out = let_others_take_the_next_slots
    with pytest.raises(Unreachable, match="no way there"):
        way.send(MESSAGE, key="key", max_wait=0.5)


def test_each_wait_is_a_sleep_also_where_there_is_nothing_to_wait_for(sender, time):
    """That is where whoever stops the sending is heard: before connecting, before starting, before the request."""
    way, _ = sender(connecting=[0.3])
    way.send(MESSAGE, key="key")
    assert len(time.sleeps) == 3
    assert time.sleeps[0] == 0


def test_who_is_not_to_be_texted_is_not(sender, time, sqlite_url, caplog):
    way, api = sender(only_to={"5556668888"})
    assert way.send(MESSAGE, key="key").status == "held_back"
    assert (api.connected, state(sqlite_url)) == ([], ["held_back"])
    allowed, api = sender(only_to={"5556667777"})
    assert allowed.send(MESSAGE, key="key").status == "sent"
    assert len(api.requests) == 1


@pytest.mark.parametrize(("in_doubt", "requests"), [("fail", 1), ("resend", 2)])
def test_a_message_in_doubt_goes_again_only_when_a_person_says_so(sender, time, in_doubt, requests):
    way, api = sender(InDoubt("no reply came"))
    for _ in range(2):
        try:
            way.send(MESSAGE, key="key", in_doubt=in_doubt)
        except InDoubt:
            time.go_on(10)
    assert len(api.requests) == requests


@pytest.fixture
def unwritable(journal, monkeypatch):
    """Let no outcome be written down."""

    def fail(*_args, **_options):
        raise JournalUnavailable

    monkeypatch.setattr(journal, "settle", fail)


@pytest.mark.parametrize("answer", [Throttled(), Refused("no")])
def test_where_a_refusal_cannot_be_written_down_its_slot_is_given_back(sender, unwritable, time, sqlite_url, answer):
    way, _ = sender(*[answer] * 9)
    with pytest.raises(type(answer)):
        way.send(MESSAGE, key="key")
    assert set(state(sqlite_url)) == {"released"}


def test_an_alert_that_is_throttled_is_tried_again_soon_whatever_pause_dialogtech_asks_for(sender, time):
    """After a minute it would be worth nothing."""
    way, api = sender(Throttled(retry_after=60.0), Throttled(retry_after=60.0))
    begun = time.monotonic()
    assert way.send(MESSAGE, key="alert", is_alert=True, max_wait=30.0).status == "sent"
    first, second, third = (moment - begun for moment in api.requests)
    assert first < 1.0
    assert second - first == pytest.approx(2.2, abs=0.1)
    assert third - second == pytest.approx(4.2, abs=0.1)


def test_an_alert_leaves_soon_after_a_list_was_told_to_pause_and_the_list_does_not(sender, journal, time):
    way, api = sender(Throttled(retry_after=60.0))
    with pytest.raises(WaitTooLong):
        way.send(MESSAGE, key="of a list", max_wait=5.0)
    for n in range(3):
        called = time.monotonic()
        assert way.send(MESSAGE, key=f"alert {n}", is_alert=True, max_wait=30.0).status == "sent"
        assert api.requests[-1] - called <= 2.5
    held = journal.reserve(SlotRequest("another", ("5554332111",), "5556667777", "Hello"))
    assert held.due - time.monotonic() > 50


def test_an_alert_that_is_throttled_to_the_end_says_so(sender, time, sqlite_url):
    way, api = sender(*[Throttled(retry_after=60.0)] * 9)
    with pytest.raises((Throttled, WaitTooLong)):
        way.send(MESSAGE, key="alert", is_alert=True, max_wait=30.0)
    assert len(api.requests) >= 4
    assert set(state(sqlite_url)) == {"throttled"}


def test_a_message_that_keeps_its_far_slot_gets_it_whatever_two_lists_have_reserved_meanwhile(sender, journal, time):
    """Seen: told 85, 75, 74, 74 and 74 s away, and never sent, while two lists went on."""
    way, api = sender()
    names = (f"{which} {n}" for n in range(1000) for which in ("one list", "another"))

    def queue_up(count):
        for _ in range(count):
            journal.reserve(SlotRequest(next(names), ("5554332111",), "5556667777", "Hello"))

    queue_up(70)
    with pytest.raises(WaitTooLong) as kept:
        way.send(MESSAGE, key="deferred", keep_beyond=60.0)
    away = kept.value.sendable_at.timestamp() - time.now()
    queue_up(70)
    time.go_on(away - 8)  # as a trigger resumes a task
    queue_up(10)
    before = time.monotonic()
    assert way.send(MESSAGE, key="deferred", keep_beyond=60.0).status == "sent"
    assert api.requests[-1] - before <= 60.0 + SECOND
