"""What one journal knows is carried over into another."""

import time

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.journal import carry_over as module
from airflow_provider_dialogtech.journal.carry_over import Carried, carry_over, under_way
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.schema import alert_grants, alerts, messages
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import change, rows
from tests.journal.test_journal import ACCOUNT

LONG_AGO = 1_700_000_000.25
TABLES = (messages, alerts, alert_grants)


@pytest.fixture
def file_url(tmp_path):
    url = f"sqlite:///{tmp_path / 'earlier.db'}"
    Store(url).open()
    return url


@pytest.fixture
def target_url(store_url):
    Store(store_url).open()
    return store_url


def a_row(n, key="", state="sent", at=LONG_AGO, **values):
    texts = dict.fromkeys(("number", "digest", "recipient_tail", "detail"), "x")
    return {
        "account": ACCOUNT, "at": at + n, "state": state, "key": key or None, "owner": f"owner {n}", "dag_id": "dag",
        "deadline": at + n + 30, "created": at + n, "updated": at + n, "map_index": n, **texts, **values,
    }  # fmt: skip


def put(url, *found, table=messages):
    for row in found:
        change(url, table.insert().values(**row))


def an_alert(key, **values):
    numbers = dict.fromkeys(("claimed_at", "cooldown_ends", "reported", "suppressed"), 1)
    return {"key": key, "claim": "c", **numbers, **values}


def contents(url):
    """Return all that is stored, without the ids of rows, which each journal gives."""
    return [sorted(repr({**row._mapping, "id": 0}) for row in rows(url, table)) for table in TABLES]


def test_everything_is_carried_over_and_a_second_time_changes_nothing(file_url, target_url, monkeypatch):
    monkeypatch.setattr(module, "_PAGE", 7)
    monkeypatch.setattr(module, "_BATCH", 3)
    others = [a_row(n, f"other {n}", account="another") for n in range(20, 24)]
    put(file_url, *(a_row(n, f"key {n}", state.value) for n, state in enumerate(State)), *others, a_row(30))
    put(file_url, *(an_alert(f"alert {n}", suppressed=n) for n in range(9)), table=alerts)
    put(file_url, {"claim": "c", "recipient": "r", "at": LONG_AGO}, table=alert_grants)
    before = contents(file_url)
    for _ in range(2):
        assert carry_over(Store(file_url), Store(target_url)) == Carried(len(State) + 5, 9)
        assert contents(target_url) == before
    assert contents(file_url) == before


def test_what_was_sent_by_the_earlier_journal_is_not_sent_again(file_url, target_url):
    from airflow_provider_dialogtech.journal.records import stored_key

    put(file_url, a_row(1, stored_key("key"), detail="{}"))
    carry_over(Store(file_url), Store(target_url))
    assert MessageJournal(Store(target_url), ACCOUNT, RateLimits()).find("key").state == "sent"


@pytest.mark.parametrize(
    ("earlier", "later", "keeps"),
    [
        ("sent", "refused", "earlier"),
        ("in_doubt", "released", "earlier"),
        ("sending", "unsent", "earlier"),
        ("sent", "sent", "later"),
        ("sent", "sending", "later"),
        ("in_doubt", "sent", "later"),
        ("refused", "throttled", "later"),
        ("released", "in_doubt", "later"),
    ],
)
def test_of_two_messages_with_one_key_the_one_that_may_be_out_keeps_it(file_url, target_url, earlier, later, keeps):
    put(file_url, a_row(1, "key", earlier))
    put(target_url, a_row(2, "key", later))
    carry_over(Store(file_url), Store(target_url))
    carry_over(Store(file_url), Store(target_url))
    kept = {row.map_index: row.key for row in rows(target_url)}
    assert kept == ({1: "key", 2: None} if keeps == "earlier" else {1: None, 2: "key"})


def test_an_alert_that_both_know_stays_as_the_present_journal_has_it(file_url, target_url):
    put(file_url, an_alert("alert", suppressed=5), table=alerts)
    put(target_url, an_alert("alert", suppressed=7), table=alerts)
    carry_over(Store(file_url), Store(target_url))
    assert [row.suppressed for row in rows(target_url, alerts)] == [7]


@pytest.mark.parametrize(
    ("state", "seconds", "count"),
    [("reserved", 60, 1), ("sending", 0, 1), ("reserved", -60, 0), ("sending", -60, 0), ("sent", 0, 0)],
)
def test_messages_that_are_about_to_be_sent_are_under_way(file_url, state, seconds, count):
    put(file_url, a_row(0, "key", state, at=time.time() + seconds))
    assert under_way(Store(file_url)) == count


DAMAGE = {
    "a text where a time belongs": "at = 'x'",
    "bytes where a time belongs": "deadline = x'00ff'",
    "a time before 1970": "created = -1",
    "the year 9999": "at = 253402300799.0",
    "no time": "at = 9e999",
    "a state that does not exist": "state = 'whatever'",
    "a text where a number belongs": "priority = 'x'",
    "a number without bound": "map_index = 99999999999",
    "a text longer than its column": "recipient_tail = '1234567'",
    "bytes where a text belongs": "account = x'ff00'",
    "a text that is not UTF-8": "dag_id = CAST(x'ff80' AS TEXT)",
    "a null character": "key = 'a' || char(0)",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_message_is_named_and_the_others_are_carried_over(file_url, sqlite_url, damage):
    put(file_url, *(a_row(n, f"key {n}") for n in range(3)))
    change(file_url, sa.text(f"UPDATE dialogtech_messages SET {damage} WHERE id = 2"))  # noqa: S608
    assert carry_over(Store(file_url), Store(sqlite_url)) == Carried(2, 0, ("dialogtech_messages 2",))
    assert [row.key for row in rows(sqlite_url)] == ["key 0", "key 2"]


def test_what_is_not_damaged_fits_into_every_store(file_url, target_url):
    put(file_url, a_row(1, "key", detail="ä" * 100_000))
    change(file_url, sa.text("UPDATE dialogtech_messages SET id = -5, created = 1, dag_id = 7"))
    put(file_url, *(an_alert(key) for key in ("", "key", "cooldown_ends", "suppressed")), table=alerts)
    change(file_url, sa.text("UPDATE dialogtech_alerts SET cooldown_ends = 'x' WHERE key = 'cooldown_ends'"))
    change(file_url, sa.text("UPDATE dialogtech_alerts SET suppressed = 99999999999 WHERE key = 'suppressed'"))
    damaged = ("dialogtech_alerts 3", "dialogtech_alerts 4")
    assert carry_over(Store(file_url), Store(target_url)) == Carried(1, 2, damaged)
    assert [row.dag_id for row in rows(target_url)] == ["7"]
