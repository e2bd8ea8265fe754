"""The limits in use now, with the names and limits of the connections that a user may read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from airflow_provider_dialogtech.api_server.threads import ends, in_thread
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.operations.accounts import known_hooks, shortened_numbers
from airflow_provider_dialogtech.operations.messages import NumberUsage, Usage


@dataclass(frozen=True)
class KnownAccount:
    """The account of a connection.

    :param account: the journal's name of it.
    :param name: the connection's id.
    :param limits: the account's rate limits.
    :param numbers: the connection's numbers, shortened, by their names in the journal.
    """

    account: str
    name: str
    limits: RateLimits
    numbers: dict[str, str]


def known_accounts() -> tuple[KnownAccount, ...]:
    """Return the accounts of the readable connections of `[dialogtech] conn_ids`, one for each connection."""
    return tuple(
        KnownAccount(
            hook.settings.account,
            hook.settings.conn_id,
            hook.settings.limits,
            shortened_numbers([hook]),
        )
        for hook in known_hooks()
    )


class KnownAccounts:
    """The accounts of the connections, read from the secrets backend for all viewers together.

    One thread reads them at a time, however slow the backend is and however many pages are open. Viewers get what was
    read last.

    :param fresh_for: for how many seconds they are not read again.
    :param patience: for how many seconds a viewer waits for the first read.
    """

    def __init__(self, fresh_for: float, patience: float) -> None:
        self._fresh_for = fresh_for
        self._patience = patience
        self._known: tuple[KnownAccount, ...] | None = None
        self._stale_at = 0.0
        self._reading: Future[None] | None = None

    async def get(self) -> tuple[KnownAccount, ...]:
        """Return the accounts; none where the secrets backend has not answered yet.

        :raises InvalidConnection: when `[dialogtech] conn_ids` is invalid.
        """
        if time.monotonic() >= self._stale_at and (self._reading is None or self._reading.done()):
            self._reading = in_thread(self._read)
        reading = self._reading
        if self._known is None and reading is not None and await ends(reading, self._patience):
            reading.result()
        return self._known or ()

    def _read(self) -> None:
        self._known = known_accounts()
        self._stale_at = time.monotonic() + self._fresh_for


def shown_usage(usage: Usage, known: Iterable[KnownAccount], *, with_others: bool) -> list[dict[str, Any]]:
    """Return the accounts with their limits in use, as plain JSON.

    :param usage: the usage in the journal.
    :param known: the accounts of connections that the user may read.
    :param with_others: whether accounts of no known connection are shown, named by their position.
    """
    accounts: dict[str, KnownAccount] = {}
    for account in known:
        accounts.setdefault(account.account, account)
    by_account: dict[str, list[NumberUsage]] = {name: [] for name in accounts}
    for number in usage.numbers:
        if with_others or number.account in accounts:
            by_account.setdefault(number.account, []).append(number)
    return [
        _account(accounts.get(name) or KnownAccount(name, f"account {position}", RateLimits(), {}), numbers)
        for position, (name, numbers) in enumerate(by_account.items(), start=1)
    ]


def _account(account: KnownAccount, numbers: Sequence[NumberUsage]) -> dict[str, Any]:
    used = {number.number: number for number in numbers}
    names = {**account.numbers, **{name: account.numbers.get(name, "another number") for name in used}}
    limits = account.limits
    return {
        "name": account.name,
        "used": sum(number.last_second for number in numbers),
        "limit": limits.account_per_second,
        "waiting": sum(number.waiting for number in numbers),
        "numbers": [
            {"name": shown, "used": used[name].last_minute if name in used else 0, "limit": limits.number_per_minute}
            for name, shown in names.items()
        ],
    }
