"""What a person sees of the journal, and how a message in doubt is settled by hand: in both stores."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import GRACE, Origin, Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.schema import messages
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.operations.messages import Messages
from tests.journal.looking import change, edit, rows

ACCOUNT = digest("account", "a key")
ORIGIN = Origin("etl", "manual__1", "text_the_owner", 3)
HOUR = 3600.0


@pytest.fixture
def journal(store):
    return MessageJournal(store, ACCOUNT, RateLimits(account_per_second=1000, number_per_second=1000))


@pytest.fixture
def texts(store):
    return Messages(store)


def a_request(key="key", *, to="5556667777", text="Hello", **options) -> SlotRequest:
    return SlotRequest(key, ("5554332111",), to, text, **options)


@pytest.fixture
def send(journal, store_url):
    """Do with a message what a sender does, however slow the machine is: `send("sent", a_request())`."""

    def sending(outcome, request=None, detail=None) -> Reservation:
        held = journal.reserve(request or a_request())
        started = {"state": "sending", "deadline": time.time() + 30}
        change(store_url, messages.update().where(messages.c.id == held.id).values(**started))
        if outcome:
            journal.settle(held, outcome, detail or {})
        return held

    return sending


def test_messages_are_listed_newest_first_with_their_task(send, texts):
    send("sent", a_request("a", origin=ORIGIN), {"result_description": "[1] Message Sent"})
    send("refused", a_request("b", to="5556668888"), {"result_description": "Invalid destination number"})
    send("in_doubt", a_request("c", is_alert=True))
    found = texts.list(since=HOUR)
    assert [(text.state, text.recipient_tail, text.reason) for text in found] == [
        ("in_doubt", "7777", "its request was sent, and no outcome is known"),
        ("refused", "8888", "Invalid destination number"),
        ("sent", "7777", "[1] Message Sent"),
    ]
    oldest = found[-1]
    assert (oldest.dag_id, oldest.run_id, oldest.task_id, oldest.map_index) == ("etl", "manual__1", "text_the_owner", 3)
    assert [text.is_alert for text in found] == [True, False, False]
    assert abs(found[0].when - datetime.now(timezone.utc)) < timedelta(seconds=30)


def test_airflows_that_share_a_journal_neither_see_nor_settle_each_other_s_messages(store, store_url, texts):
    limits = RateLimits(account_per_second=1000, number_per_second=1000)
    for namespace in ("", "production"):
        journal = MessageJournal(store, ACCOUNT, limits, namespace=namespace)
        journal.reserve(a_request(f"key of {namespace}", origin=ORIGIN))
    change(store_url, messages.update().values(state="in_doubt"))
    theirs = Messages(store, "production")
    (of_empty,), (of_production,) = texts.list(since=HOUR), theirs.list(since=HOUR)
    assert of_empty.id != of_production.id
    for ours, other in ((texts, of_production), (theirs, of_empty)):
        assert ours.get(other.id) is None
        assert not ours.resolve(other.id, "unsent", by="ada")
        for state in (None, *State):
            for dag_ids in (None, ["etl"]):
                assert other.id not in {text.id for text in ours.list(since=HOUR, state=state, dag_ids=dag_ids)}
    assert Messages(store, "another").list(since=HOUR) == []
    # DialogTech lists those of all Airflows.
    begin = datetime.now(timezone.utc) - timedelta(hours=1)
    counted = texts.count_same(of_empty, begin=begin, end=begin + timedelta(hours=2))
    assert sum(counted.values()) == 2


def test_a_list_is_narrowed_by_state_dag_time_and_number(send, texts, store_url):
    send("sent", a_request("a", origin=ORIGIN))
    send("in_doubt", a_request("b"))
    assert [text.state for text in texts.list(since=HOUR, state="in_doubt")] == ["in_doubt"]
    assert [text.dag_id for text in texts.list(since=HOUR, dag_ids=["etl"])] == ["etl"]
    assert len(texts.list(since=HOUR, dag_ids=["etl", "", "more"])) == 2
    assert texts.list(since=HOUR, dag_ids=[]) == []
    assert [text.dag_id for text in texts.list(since=HOUR, run_id="manual__1", task_id="text_the_owner")] == ["etl"]
    assert texts.list(since=HOUR, run_id="manual__1", task_id="another") == []
    assert texts.dag_ids() == ["", "etl"]
    assert texts.list(since=HOUR, dag_ids=["etl"], state="in_doubt") == []
    assert [text.state for text in texts.list(since=HOUR, most=1)] == ["in_doubt"]
    edit(store_url, at=time.time() - 2 * HOUR)
    assert texts.list(since=HOUR) == []
    assert len(texts.list(since=3 * HOUR)) == 2


def test_a_message_whose_process_is_gone_is_listed_as_in_doubt(send, texts, store_url):
    held = send(None)
    assert texts.get(held.id).state == "sending"
    edit(store_url, deadline=time.time() - GRACE - 1)
    assert [text.state for text in texts.list(since=HOUR, state="in_doubt")] == ["in_doubt"]
    assert texts.list(since=HOUR, state="sending") == []
    assert texts.resolve(held.id, "unsent", by="anna")
    assert [row.state for row in rows(store_url)] == ["unsent"]


def test_a_reservation_that_nobody_uses_says_so(journal, texts, store_url):
    held = journal.reserve(a_request())
    assert texts.get(held.id).reason == "waits for its slot"
    edit(store_url, at=time.time() - 5)
    assert texts.get(held.id).reason.startswith("not sent; its process is gone")


def test_a_message_settled_as_sent_is_not_sent_again(send, journal, texts):
    held = send("in_doubt")
    assert texts.resolve(held.id, "sent", by="anna")
    again = journal.reserve(a_request())
    assert isinstance(again, Record)
    assert (again.state, again.outcome["result_description"]) == ("sent", "Settled as sent by a person")
    assert again.outcome["to"] == "…7777"
    settled = texts.get(held.id)
    assert (settled.state, settled.reason) == ("sent", "settled by anna")


def test_a_message_settled_as_unsent_is_sent_by_the_next_attempt(send, texts, store_url):
    held = send("in_doubt", a_request(origin=ORIGIN))
    assert texts.resolve(held.id, "unsent", by="anna")
    assert texts.get(held.id).is_current
    again = send("sent")
    assert again.id != held.id
    first, second = rows(store_url)
    assert (first.state, first.key, first.dag_id, first.task_id) == ("unsent", None, "etl", "text_the_owner")
    assert (second.state, second.key) == ("sent", digest("key"))
    assert not texts.get(held.id).is_current


@pytest.mark.parametrize("outcome", ["sent", "refused", "throttled"])
def test_what_is_not_in_doubt_is_not_settled(send, texts, store_url, outcome):
    held = send(outcome, detail={"result_description": "as it was"})
    assert not texts.resolve(held.id, "unsent", by="anna")
    (row,) = rows(store_url)
    assert (row.state, json.loads(row.detail)) == (outcome, {"result_description": "as it was"})


def test_a_message_that_is_being_sent_is_not_settled(send, texts, store_url):
    held = send(None)
    assert not texts.resolve(held.id, "unsent", by="anna")
    assert [row.state for row in rows(store_url)] == ["sending"]


def test_no_message_of_that_id_is_no_error(texts):
    assert texts.get(4711) is None
    assert not texts.resolve(4711, "sent", by="anna")


def test_of_two_people_one_settles(send, texts, store_url):
    held = send("in_doubt")
    with ThreadPoolExecutor(8) as pool:
        outcomes = ["sent", "unsent"] * 4
        done = list(pool.map(lambda outcome: texts.resolve(held.id, outcome, by="anna"), outcomes))
    assert sum(done) == 1
    assert [row.state for row in rows(store_url)] == [outcomes[done.index(True)]]


def test_a_settlement_whose_answer_was_lost_is_recognised(send, texts, store, monkeypatch):
    held = send("in_doubt")
    do = store.do

    def lose_the_answer(*statements, **options):
        do(*statements, **options)
        return do(*statements, **options)

    monkeypatch.setattr(store, "do", lose_the_answer)
    assert texts.resolve(held.id, "sent", by="anna")


def test_the_owner_knows_better_than_a_person_who_gave_up(send, journal, texts, store_url):
    held = send(None)
    edit(store_url, state="in_doubt")
    assert texts.resolve(held.id, "unsent", by="anna")
    journal.settle(held, "sent", {"result": "success"})
    assert isinstance(journal.reserve(a_request()), Record)
    assert [row.state for row in rows(store_url)] == ["sent"]


def test_the_owner_says_nothing_where_another_attempt_has_the_key(send, journal, texts, store_url):
    held = send("in_doubt")
    assert texts.resolve(held.id, "unsent", by="anna")
    other = send(None)
    journal.settle(held, "sent", {})
    journal.settle(other, "sent", {})
    assert [(row.state, row.key) for row in rows(store_url)] == [("sent", None), ("sent", digest("key"))]


def test_messages_with_the_same_words_are_counted_by_state(send, texts):
    send("sent", a_request("a"))
    send("sent", a_request("b"))
    held = send("in_doubt", a_request("c"))
    send("sent", a_request("d", to="5556668888"))
    send("sent", a_request("e", text="Other words"))
    send("sent", replace(a_request("f"), numbers=("5554332112",)))
    now = datetime.now(timezone.utc)
    day = timedelta(days=1)
    text = texts.get(held.id)
    assert texts.count_same(text, begin=now - day, end=now + day) == {"sent": 2, "in_doubt": 1}
    assert texts.count_same(text, begin=now - day, end=now + day, any_number=True) == {"sent": 3, "in_doubt": 1}
    assert texts.count_same(text, begin=now + day, end=now + 2 * day) == {}


def test_a_tampered_detail_says_nothing(send, texts, store_url):
    held = send("sent")
    for detail in ("no JSON", "[1]", '{"result_description": 5, "settled_by": []}'):
        edit(store_url, detail=detail)
        assert texts.get(held.id).reason == ""


def test_a_slot_that_was_given_back_for_another_one_is_listed_only_when_it_is_asked_for(send, journal, texts):
    first = journal.reserve(a_request())
    journal.release(first)
    assert [text.state for text in texts.list(since=HOUR)] == ["released"]
    send("sent")
    assert [text.state for text in texts.list(since=HOUR)] == ["sent"]
    assert [text.id for text in texts.list(since=HOUR, state="released")] == [first.id]
