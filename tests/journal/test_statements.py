import json
import threading
import time

import pytest

from airflow_provider_dialogtech.journal import statements
from airflow_provider_dialogtech.journal.backend import MOST_ACCOUNTS, Statement
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import accounts, messages
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import change, database, edit, rows

pytestmark = pytest.mark.usefixtures("no_slot_is_missed")


@pytest.mark.parametrize("name", ["DISPLACE", "TAKE_OVER"])
def test_a_message_that_has_started_is_neither_displaced_nor_taken_over(store_url, name):
    """Whoever does so has read that it waits, but it may have started since."""
    store = Store(store_url)
    journal = MessageJournal(store, "account", RateLimits())
    held = journal.reserve(SlotRequest("key", ("5554332111",), "5556667777", "Hello"))
    time.sleep(max(0.0, held.due - journal.timing.start_lead - time.monotonic()))
    assert journal.start(held, request_timeout=30)
    values = {"of_id": held.id} if name == "DISPLACE" else {"of_id": held.id, "of_owner": held.owner}
    assert not store.do(Statement(getattr(statements, name), values))
    assert journal.find("key").state == "sending"


@pytest.mark.parametrize("question", [statements.BEFORE_RESERVING, statements.BEFORE_RESERVING_FOR_ALERT])
def test_the_steps_of_a_bounded_number_of_accounts_are_read(store_url, question):
    """Whoever may ask the API server makes as many accounts as they like, and each reservation read them all."""
    store = Store(store_url)
    store.open()
    others = {column.name: 0.0 for column in accounts.columns if column.name != "account"}
    made = [{**others, "account": str(number), "clock_set_by": 5.0} for number in range(MOST_ACCOUNTS + 5)]
    change(store_url, accounts.insert().values(made[: len(made) // 2]))
    change(store_url, accounts.insert().values(made[len(made) // 2 :]))
    values = {"of_account": "account", "of_key": "key", "of_body_key": None}
    found = store.locked("account", Statement(question, values), lambda row, _: (row.clock_set_by, []))
    assert len(json.loads(found)) == MOST_ACCOUNTS


def test_an_alert_sees_a_message_that_is_settled_while_it_waits_for_the_row(postgres_url):
    store = Store(postgres_url)
    journal = MessageJournal(store, "account", RateLimits())
    held = journal.reserve(SlotRequest("key", ("5554332111",), "5556667777", "Hello"))
    edit(postgres_url, state="sending")
    question = Statement(
        statements.BEFORE_RESERVING_FOR_ALERT, {"of_account": "account", "of_key": "another", "of_body_key": None}
    )
    found = []
    asking = threading.Thread(target=lambda: store.locked("account", question, lambda row, _: (found.append(row), [])))
    with database(postgres_url) as settling:
        settling.execute(messages.update().values(state="sent"))
        asking.start()
        asking.join(0.3)
        assert found == []
    asking.join(10)
    assert [(row[0], row[3]) for row in json.loads(found[0].changing)] == [(held.id, "sent")]


def test_no_message_starts_between_an_alerts_reading_of_the_line_and_its_displacing(store_url):
    """Both would leave then, and overfill a window."""
    store = Store(store_url)
    journal = MessageJournal(store, "account", RateLimits())
    held = journal.reserve(SlotRequest("key", ("5554332111",), "5556667777", "Hello"))
    answers = []
    starting = threading.Thread(target=lambda: answers.append(journal.start(held, request_timeout=30)))

    def displace(_row, _reading):
        starting.start()
        starting.join(0.3)
        assert answers == []
        return None, [Statement(statements.DISPLACE, {"of_id": held.id})]

    time.sleep(max(0.0, held.due - journal.timing.start_lead - time.monotonic()))
    question = Statement(
        statements.BEFORE_RESERVING_FOR_ALERT, {"of_account": "account", "of_key": "another", "of_body_key": None}
    )
    store.locked("account", question, displace)
    starting.join(10)
    assert answers == [False]


def test_a_pause_that_a_clock_that_was_ahead_has_set_ends_with_the_next_outcome(store_url):
    journal = MessageJournal(Store(store_url), "account", RateLimits())
    for key in ("1", "2"):
        held = journal.reserve(SlotRequest(key, ("5554332111",), "5556667777", "Hello"))
        time.sleep(max(0.0, held.due - journal.timing.start_lead - time.monotonic()))
        assert journal.start(held, request_timeout=30)
        if key == "2":
            edit(store_url, accounts, paused_until=time.time() + 3600)
        journal.settle(held, "sent", {})
    (account,) = rows(store_url, accounts)
    assert account.paused_until == 0
