"""The states of a message, and who may move it from one to the next.

Every change of a state is a compare-and-set that takes its "before" from this table, so a move that is not here cannot
be made. `docs/journal.md` shows the table.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class State(str, Enum):
    """The state of a message."""

    RESERVED = "reserved"
    """It has a slot and waits for it; nothing was sent."""
    SENDING = "sending"
    """Its request is about to be sent, or was sent and has no outcome yet."""
    SENT = "sent"
    """DialogTech accepted it, or a person said that it was sent."""
    REFUSED = "refused"
    """DialogTech refused it; it was not sent."""
    THROTTLED = "throttled"
    """DialogTech throttled it; it was not sent."""
    IN_DOUBT = "in_doubt"
    """Its request was sent, and its outcome is unknown."""
    RELEASED = "released"
    """Its slot was given back before its request was sent."""
    UNSENT = "unsent"
    """A person said that it was not sent."""
    HELD_BACK = "held_back"
    """The connection's `only_to` does not name its recipient; it never had a slot."""

    __str__ = str.__str__


WITHOUT_SLOT = (State.RELEASED, State.HELD_BACK)
"""Messages in these states count in no window of the limits."""

OUTCOMES = (State.SENT, State.REFUSED, State.THROTTLED, State.IN_DOUBT)
"""What `settle` can write."""


class Move(NamedTuple):
    """A move from some states to others.

    :param step: the statement that makes it, by its name in `statements.STATEMENTS`.
    :param before: the states it starts from; none where it makes a row.
    :param after: the states it ends in.
    :param by: who may make it.
    :param when: when it is made.
    """

    step: str
    before: tuple[State, ...]
    after: tuple[State, ...]
    by: str
    when: str


MOVES = (
    Move("insert", (), (State.RESERVED,), "the process that sends", "`reserve` takes the earliest slot"),
    Move("insert", (), (State.HELD_BACK,), "the process that sends", "`only_to` does not name the recipient: no slot"),
    Move("start", (State.RESERVED,), (State.SENDING,), "its owner", "shortly before its slot"),
    Move(
        "release",
        (State.RESERVED, State.SENDING, State.IN_DOUBT),
        (State.RELEASED,),
        "its owner",
        "it stops or fails before a byte of the request is sent",
    ),
    Move(
        "release_ours",
        (State.RESERVED, State.SENDING, State.IN_DOUBT),
        (State.RELEASED,),
        "its owner",
        "the same, and `reserve` takes another slot under the same key",
    ),
    Move(
        "take_over", (State.RESERVED,), (State.RELEASED,), "a retry with the same key", "it reserves a slot of its own"
    ),
    Move("displace", (State.RESERVED,), (State.RELEASED,), "an alert", "it needs the slot; at most twice per message"),
    Move(
        "settle",
        (State.SENDING,),
        OUTCOMES,
        "its owner",
        "the reply arrived, or failed to arrive",
    ),
    Move(
        "settle",
        (State.IN_DOUBT, State.UNSENT),
        (State.SENT, State.REFUSED, State.THROTTLED),
        "its owner",
        "a late outcome overrides “in doubt” and what a person said",
    ),
    Move(
        "settle_lost",
        (State.RESERVED, State.RELEASED),
        OUTCOMES,
        "its owner",
        "the journal has lost the commit of its `start`: after a crash, or a fail-over",
    ),
    Move(
        "doubt",
        (State.SENDING,),
        (State.IN_DOUBT,),
        "any process",
        "5 s after the request's deadline, with no outcome",
    ),
    Move(
        "resolve", (State.IN_DOUBT,), (State.SENT, State.UNSENT), "a person", "`messages resolve`, or the page Messages"
    ),
)


def before(step: str) -> tuple[State, ...]:
    """Return the states that a step may find: those it starts from and, as every step may run twice, those it ends in.

    :param step: a step of `MOVES` with one row.
    """
    (move,) = (move for move in MOVES if move.step == step)
    return (*move.before, *move.after)


def may_settle(outcome: State, step: str = "settle") -> tuple[State, ...]:
    """Return the states from which an outcome may be written.

    :param outcome: one of `OUTCOMES`.
    :param step: `settle`, or `settle_lost`.
    """
    return tuple(state for move in MOVES if move.step == step and outcome in move.after for state in move.before)
