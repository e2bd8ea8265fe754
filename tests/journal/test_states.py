"""Who may move a message from which state to which: every statement is tried on a row in every state."""

import time

import pytest

from airflow_provider_dialogtech.journal import statements, states
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import messages
from airflow_provider_dialogtech.journal.states import MOVES, State
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import change, rows

STEPS = ("start", "release", "release_ours", "take_over", "displace", "doubt", "doubt_overdue", "resolve", "take_key")


@pytest.fixture
def in_each_state(store_url):
    """A message in each state: its reservation, and its row."""
    journal = MessageJournal(Store(store_url), "account", RateLimits())
    held = {
        state: journal.reserve(SlotRequest(f"key {state}", ("5554332111",), "5556667777", "Hello")) for state in State
    }
    for state, message in held.items():
        values = {"state": state.value, "deadline": time.time() - 3600}
        change(store_url, messages.update().where(messages.c.id == message.id).values(values))
    found = {row.id: row for row in rows(store_url)}
    return [(state, message, found[message.id]) for state, message in held.items()]


def state_of(store_url, message):
    (row,) = [row for row in rows(store_url) if row.id == message.id]
    return row.state


def values_for(step, held, row):
    everything = {
        "of_id": held.id, "of_owner": held.owner, "of_account": "account", "slot": row.at, "least_remaining": -1e9,
        "most_remaining": 1e9, "timeout": 30.0, "in_state": row.state, "new_state": "sent", "new_detail": "{}",
    }  # fmt: skip
    needed = {
        "start": ("of_id", "of_owner", "of_account", "slot", "least_remaining", "most_remaining", "timeout"),
        "displace": ("of_id",),
        "doubt_overdue": ("of_id",),
        "release": ("of_id", "of_owner", "new_detail"),
        "resolve": ("of_id", "new_state", "new_detail"),
        "take_key": ("of_id", "of_owner", "in_state"),
    }
    return {name: everything[name] for name in needed.get(step, ("of_id", "of_owner"))}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_moves_a_message_as_the_table_says_and_else_changes_nothing(store_url, in_each_state, step):
    for state, held, row in in_each_state:
        Store(store_url).do(Statement(statements.STATEMENTS[step], values_for(step, held, row)))
        # A row that somebody only has the id of is declared in doubt by the same move.
        moves = [move for move in MOVES if move.step == step.removesuffix("_overdue") and state in move.before]
        assert state_of(store_url, held) == (moves[0].after[0] if moves else state), state


@pytest.mark.parametrize("outcome", states.OUTCOMES, ids=str)
def test_an_outcome_is_written_where_the_table_says_and_else_changes_nothing(store_url, in_each_state, outcome):
    journal = MessageJournal(Store(store_url), "account", RateLimits())
    for state, held, _ in in_each_state:
        written = journal.settle(held, outcome.value, {})
        may = any(move.step == "settle" and state in move.before and outcome in move.after for move in MOVES)
        assert state_of(store_url, held) == (outcome if may else state), state
        # What has an outcome, or was resolved by a person, is settled; only what never started is lost.
        assert written == (state not in {State.RESERVED, State.RELEASED}), state


def test_every_move_is_made_by_a_statement_of_that_name():
    assert {move.step for move in MOVES} <= set(statements.STATEMENTS)


def test_every_state_is_reached_and_a_message_that_was_sent_goes_nowhere():
    assert {state for move in MOVES for state in move.after} == set(State)
    assert not [move for move in MOVES if State.SENT in move.before]


def test_a_message_whose_request_may_have_been_sent_never_waits_for_a_slot_again():
    assert not [move for move in MOVES if move.before and State.RESERVED in move.after]


def test_no_two_statements_have_one_name():
    assert len(set(map(id, statements.STATEMENTS.values()))) == len(statements.STATEMENTS)
