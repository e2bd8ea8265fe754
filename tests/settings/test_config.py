from datetime import timedelta

import pytest

from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.settings import config

ENDLESS = "9" * 5000


def refusal(monkeypatch, name: str, written: str, call) -> str:
    monkeypatch.setenv(f"AIRFLOW__DIALOGTECH__{name.upper()}", written)
    with pytest.raises(InvalidConnection) as refused:
        call()
    assert f"Correct it in the environment variable AIRFLOW__DIALOGTECH__{name.upper()}" in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("written", ["0", "-1", "3651", "99999999999", ENDLESS, "nan", "1e9", "90.5", "soon", "٤"])
def test_a_wrong_retention_is_refused_by_name_with_its_bounds(monkeypatch, written):
    words = refusal(monkeypatch, "journal_retention_days", written, config.journal_retention)
    assert "[dialogtech] journal_retention_days must be a whole number from 1 to 3,650. " in words


@pytest.mark.parametrize(("written", "days"), [("1", 1), ("3650", 3650), (" 30 # a month", 30), ("", 90)])
def test_a_retention_is_a_whole_number_of_days(monkeypatch, written, days):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_RETENTION_DAYS", written)
    assert config.journal_retention() == timedelta(days=days)


@pytest.mark.parametrize("written", ["0", "-1", "10001", "many", ENDLESS])
def test_wrong_pool_slots_are_refused_by_name_with_their_bounds(monkeypatch, written):
    words = refusal(monkeypatch, "pool_slots", written, config.pool_slots)
    assert "[dialogtech] pool_slots must be a whole number from 1 to 10,000. " in words


def test_without_pool_slots_the_connections_limit_counts():
    assert config.pool_slots() is None


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("allow_local_journal", config.allow_local_journal),
        ("create_pools", config.create_pools),
    ],
)
def test_a_flag_is_true_or_false(monkeypatch, name, call):
    assert f"[dialogtech] {name} must be True or False. " in refusal(monkeypatch, name, "maybe", call)
    for written, read in (("true", True), ("F", False), ("1 # yes", True)):
        monkeypatch.setenv(f"AIRFLOW__DIALOGTECH__{name.upper()}", written)
        assert call() is read


@pytest.mark.parametrize("written", [",".join(f"id{n}" for n in range(101)), "x" * 251, "x" * 20_000])
def test_too_many_or_too_long_connection_ids_are_refused_by_name(monkeypatch, written):
    assert "[dialogtech] conn_ids must be at most" in refusal(monkeypatch, "conn_ids", written, config.conn_ids)


def test_a_wrong_default_of_airflows_own_is_named(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "perhaps")
    with pytest.raises(InvalidConnection, match=r"\[operators\] default_deferrable must be True or False"):
        config.deferrable_by_default()
