"""The limits in use now, with the names and limits of the connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.operations.accounts import journal_name, known_hooks
from airflow_provider_dialogtech.operations.usage import NumberUsage, Usage


@dataclass(frozen=True)
class KnownAccount:
    """The account of a connection.

    :param name: the connection's id.
    :param limits: the account's rate limits.
    :param numbers: the connection's numbers, shortened, by their names in the journal.
    """

    name: str
    limits: RateLimits
    numbers: dict[str, str]


def known_accounts() -> dict[str, KnownAccount]:
    """Return the accounts of the readable connections of `[dialogtech] conn_ids`, by their names in the journal."""
    found: dict[str, KnownAccount] = {}
    for hook in known_hooks():
        settings = hook.settings
        numbers = {journal_name(settings, number): mask_number(number) for number in settings.from_numbers}
        found.setdefault(settings.account, KnownAccount(settings.conn_id, settings.limits, numbers))
    return found


def shown_usage(usage: Usage, known: dict[str, KnownAccount]) -> list[dict[str, Any]]:
    """Return the accounts with their limits in use, as plain JSON.

    :param usage: the usage in the journal.
    :param known: the accounts of connections; others are named by their position.
    """
    by_account: dict[str, list[NumberUsage]] = {account: [] for account in known}
    for number in usage.numbers:
        by_account.setdefault(number.account, []).append(number)
    return [
        _account(known.get(account) or KnownAccount(f"account {position}", RateLimits(), {}), numbers)
        for position, (account, numbers) in enumerate(by_account.items(), start=1)
    ]


def _account(account: KnownAccount, numbers: list[NumberUsage]) -> dict[str, Any]:
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
