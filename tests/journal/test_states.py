"""Who may move a message from which state to which: every statement is tried on a row in every state."""

import itertools
import time

import pytest

from airflow_provider_dialogtech.journal import statements, states
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.states import MOVES, State
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import edit, rows

STEPS = ("start", "release", "release_ours", "take_over", "displace", "doubt", "doubt_overdue", "resolve", "take_key")


@pytest.fixture
def held(store_url):
    """A message that has a slot."""
    journal = MessageJournal(Store(store_url), "account", RateLimits())
    return journal.reserve(SlotRequest("key", ("5554332111",), "5556667777", "Hello"))


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


@pytest.mark.parametrize(("step", "state"), list(itertools.product(STEPS, State)), ids=str)
def test_a_step_moves_a_message_as_the_table_says_and_else_changes_nothing(store_url, held, step, state):
    edit(store_url, state=state.value, deadline=time.time() - 3600)
    (row,) = rows(store_url)
    Store(store_url).do(Statement(statements.STATEMENTS[step], values_for(step, held, row)))
    (row,) = rows(store_url)
    # A row that somebody only has the id of is declared in doubt by the same move.
    moves = [move for move in MOVES if move.step == step.removesuffix("_overdue") and state in move.before]
    assert row.state == (moves[0].after[0] if moves else state)


@pytest.mark.parametrize(("outcome", "state"), list(itertools.product(states.OUTCOMES, State)), ids=str)
def test_an_outcome_is_written_where_the_table_says_and_else_changes_nothing(store_url, held, outcome, state):
    edit(store_url, state=state.value)
    journal = MessageJournal(Store(store_url), "account", RateLimits())
    written = journal.settle(held, outcome.value, {})
    (row,) = rows(store_url)
    may = any(move.step == "settle" and state in move.before and outcome in move.after for move in MOVES)
    assert row.state == (outcome if may else state)
    # What has an outcome, or was resolved by a person, is settled; only what never started is lost.
    assert written == (state not in {State.RESERVED, State.RELEASED})


def test_every_move_is_made_by_a_statement_of_that_name():
    assert {move.step for move in MOVES} <= set(statements.STATEMENTS)


def test_every_state_is_reached_and_a_message_that_was_sent_goes_nowhere():
    assert {state for move in MOVES for state in move.after} == set(State)
    assert not [move for move in MOVES if State.SENT in move.before]


def test_a_message_whose_request_may_have_been_sent_never_waits_for_a_slot_again():
    assert not [move for move in MOVES if move.before and State.RESERVED in move.after]


def test_no_two_statements_have_one_name():
    assert len(set(map(id, statements.STATEMENTS.values()))) == len(statements.STATEMENTS)
