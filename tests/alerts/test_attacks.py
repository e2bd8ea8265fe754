"""Alerts while their journal is frozen, paused, locked, cut off or set back, and while their callbacks are killed.

Each is sent once, or logs an ERROR. DIALOGTECH_ALERT_ATTACKS=20 runs 20 rounds, with more alerts.
"""

import os

import pytest

from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.alerts import attacking
from tests.alerts.conftest import ALICE
from tests.proxies.conftest import own_server
from tests.proxies.pooler import running_pooler
from tests.proxies.tcp import running_proxy

__all__ = ["own_server"]

ROUNDS = int(os.environ.get("DIALOGTECH_ALERT_ATTACKS", "0"))
ALERTS, SECONDS, LONGEST = (20, 6.0, 10.0) if ROUNDS else (8, 2.5, 3.5)
NUMBERS = tuple(f"55543321{n:02}" for n in range(8))

pytestmark = pytest.mark.timeout(120 * max(ROUNDS, 1) + 60)


@pytest.fixture
def sandbox():
    with running_sandbox(numbers=NUMBERS) as running:
        yield running


@pytest.fixture
def account(sandbox, connect_sandbox):
    extra = {"from_numbers": ",".join(NUMBERS), "alert_to": ALICE, "alert_budget": 1000}
    connect_sandbox(extra=extra)
    return digest("account", sandbox.access_key)


@pytest.fixture
def attack(request, monkeypatch, own_server, tmp_path):
    """The journal's URL, and a function that attacks it."""
    kind, url = request.param, own_server.new_database()
    silence = {"timeout": SECONDS, "longest": LONGEST}
    if kind == "freeze":
        yield url, lambda chance: attacking.silence(own_server.freeze, own_server.thaw, chance, **silence)
    elif kind == "pause the pooler":
        with running_pooler(url) as pooler:
            yield pooler.url, lambda chance: attacking.silence(pooler.pause, pooler.resume, chance, **silence)
    elif kind == "stall the network":
        with running_proxy(url) as proxy:
            yield proxy.url, lambda chance: attacking.silence(proxy.stall, proxy.resume, chance, **silence)
    elif kind == "cut behind commits":
        with running_proxy(url) as proxy:
            proxy.cut_after_commit(probability=0.3, seed=7)
            yield proxy.url, lambda _: lambda: None
    elif kind == "lock the file":
        path = tmp_path / "journal.db"
        yield f"sqlite:///{path}", lambda chance: attacking.locking(path, chance, **silence)
    elif kind == "set clocks":
        yield url, lambda chance: attacking.setting_clocks(url, chance, timeout=SECONDS)
    else:
        yield url, lambda _: lambda: None


KINDS = ["freeze", "pause the pooler", "stall the network", "cut behind commits", "lock the file", "set clocks"]


@pytest.mark.parametrize("attack", KINDS if ROUNDS else ["freeze", "lock the file"], indirect=True)
def test_each_alert_is_sent_once(monkeypatch, sandbox, account, attack, tmp_path):
    url, make_attack = attack
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
    attacking.wait_for([attacking.call("the first", tmp_path)])  # there is a journal
    for seed in range(max(ROUNDS, 1)):
        chance = attacking.chance_of(seed)
        names = [f"{seed}-{number}" for number in range(ALERTS)]
        with attacking.attacked(make_attack(chance)):
            called = attacking.call_at_random(names, SECONDS, chance, tmp_path)
        attacking.wait_for(called)
        unsent = attacking.assert_sent_once(sandbox, called)
        attacking.assert_counted_next_time(sandbox, url, account, unsent, tmp_path)


def test_an_alert_whose_callback_was_killed_is_sent_once_or_counted(
    monkeypatch, sandbox, account, own_server, tmp_path
):
    url = own_server.new_database()
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
    attacking.wait_for([attacking.call("the first", tmp_path)])
    for seed in range(max(ROUNDS, 1)):
        chance = attacking.chance_of(seed)
        names = [f"{seed}-{number}" for number in range(ALERTS)]
        called = attacking.call_at_random(names, SECONDS, chance, tmp_path, after_each=attacking.killing(chance))
        attacking.wait_for(called)
        unsent = attacking.assert_sent_once(sandbox, called)
        attacking.assert_counted_next_time(sandbox, url, account, unsent, tmp_path)
