"""Recognises commits in a PostgreSQL conversation, and chooses whose answers are lost."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from tests.proxies.messages import Message

_WRITING_TAGS = (b"INSERT", b"UPDATE", b"DELETE", b"MERGE")
_WRITES = re.compile(rb"\b(insert|update|delete|merge)\b", re.IGNORECASE)
_ENDS_OF_REQUESTS = {b"Q", b"S", b"F"}
_COPIES = {b"G", b"H", b"W"}


@dataclass(frozen=True)
class Cut:
    """Which commits lose their answer; a commit must meet all that is given.

    :param every: each so-manieth of those that `only` chooses.
    :param probability: at random, with so much probability.
    :param only: those with this in the message of their transaction, or in the values bound to it.
    :param times: at most so many.
    """

    every: int = 1
    probability: float = 1.0
    only: str = ""
    times: int | None = None
    seed: int = 0


class Cutter:
    """Chooses, over all connections of a proxy, the commits to cut behind."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._random = random.Random(cut.seed)
        self._seen = 0
        self.cuts = 0

    def chooses(self, transaction: bytes) -> bool:
        cut = self._cut
        if cut.only.encode() not in transaction:
            return False
        self._seen += 1
        chosen = self._seen % cut.every == 0 and self._random.random() < cut.probability
        chosen = chosen and (cut.times is None or self.cuts < cut.times)
        self.cuts += chosen
        return chosen


@dataclass
class Conversation:
    """What one client and the server have said, as far as a commit is told by it."""

    started: bool = False
    commits: int = 0
    _requests: int = 0
    _transaction: list[bytes] = field(default_factory=list)
    _tags: list[bytes] = field(default_factory=list)

    @property
    def answer_is_due(self) -> bool:
        """Whether a request waits for its ReadyForQuery."""
        return self._requests > 0

    def client_said(self, message: Message) -> None:
        if message.kind in {b"Q", b"P", b"B"}:
            self._transaction.append(message.body)
        self._requests += message.kind in _ENDS_OF_REQUESTS

    def server_said(self, message: Message) -> bytes | None:
        """Return the transaction that this message commits; None when it commits none."""
        if message.kind in _COPIES:
            self._requests = 0
        if message.kind == b"C":
            self._tags.append(message.body)
        if message.kind != b"Z":
            return None
        self.started = True
        self._requests = max(0, self._requests - 1)
        tags, self._tags = self._tags, []
        if message.body != b"I":
            return None
        transaction, self._transaction = b"\n".join(self._transaction), []
        if not _commits(tags, transaction):
            return None
        self.commits += 1
        return transaction


def _commits(tags: list[bytes], transaction: bytes) -> bool:
    """Return whether work was written for good: by COMMIT, or by a statement that commits itself."""
    if not tags or any(tag.startswith(b"ROLLBACK") for tag in tags):
        return False
    return any(tag.startswith((b"COMMIT", *_WRITING_TAGS)) for tag in tags) or bool(_WRITES.search(transaction))
