from configparser import ConfigParser
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


@pytest.mark.parametrize("written", ["sms;sales", "sms sales", '["sms", "sales"]', "postgresql://sms:secret@host/db"])
@pytest.mark.parametrize("name", ["conn_ids", "journal_conn_id", "alert_conn_id"])
def test_what_is_no_id_of_a_connection_is_refused_by_name(monkeypatch, name, written):
    monkeypatch.delenv("AIRFLOW__DIALOGTECH__JOURNAL_URL")
    words = refusal(monkeypatch, name, written, getattr(config, name))
    assert f"[dialogtech] {name} must be " in words
    assert "secret" not in words


def test_a_wrong_default_of_airflows_own_is_named(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "perhaps")
    with pytest.raises(InvalidConnection, match=r"\[operators\] default_deferrable must be True or False"):
        config.deferrable_by_default()


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("AIRFLOW__DIALOGTECH__JOURNAL_URI", "AIRFLOW__DIALOGTECH__JOURNAL_URL"),
        ("AIRFLOW__DIALOGTECH__ALLOW_LOCAL_JOURNALS", "AIRFLOW__DIALOGTECH__ALLOW_LOCAL_JOURNAL"),
        ("AIRFLOW__DIALOGTECH__conn_ids", "AIRFLOW__DIALOGTECH__CONN_IDS"),
        ("AIRFLOW__DIALOGTECH__CONN_IDS_CMD", "AIRFLOW__DIALOGTECH__CONN_IDS"),
        ("AIRFLOW_DIALOGTECH_NAMESPACE", "AIRFLOW__DIALOGTECH__NAMESPACE"),
        ("AIRFLOW__DIALOGTECH_ALERT_ON", "AIRFLOW__DIALOGTECH__ALERT_ON"),
        ("airflow__dialogtech__alert_on", "AIRFLOW__DIALOGTECH__ALERT_ON"),
        ("AIRFLOW___DIALOGTECH__ALERT_ON", "AIRFLOW__DIALOGTECH__ALERT_ON"),
        ("AIRFLOW__DIALOGTEC__JOURNAL_URL", "AIRFLOW__DIALOGTECH__JOURNAL_URL"),
        ("AIRFLOW__DAILOGTECH__ALERT_ON", "AIRFLOW__DIALOGTECH__ALERT_ON"),
        ("AIRFLOW__DIALOG_TECH__NAMESPACE", "AIRFLOW__DIALOGTECH__NAMESPACE"),
        ("AIRFLOW__DIALOGTECH_SMS__CONN_IDS", "AIRFLOW__DIALOGTECH__CONN_IDS"),
        ("DIALOGTECH__JOURNAL_URL", "AIRFLOW__DIALOGTECH__JOURNAL_URL"),
        ("AIRFLOW_DIALOGTECH__JOURNAL_URL", "AIRFLOW__DIALOGTECH__JOURNAL_URL"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_known_one(monkeypatch, variable, nearest):
    monkeypatch.setenv(variable, "a value")
    with pytest.raises(InvalidConnection) as refused:
        config.conn_ids()
    assert f"the environment has an unknown variable {variable!r} (nearest: {nearest})" in str(refused.value)
    assert "a value" not in str(refused.value)


@pytest.mark.parametrize(
    "variable",
    [
        "AIRFLOW_DIALOGTECH_PORT",
        "AIRFLOW_CONN_DIALOGTECH_ALERT_ON",
        "AIRFLOW_CONN_DIALOGTECH__DEFAULT",
        "AIRFLOW_VAR_DIALOGTECH__NAMESPACE",
        "AIRFLOW__DIALOGTECH__JOURNAL_URL_CMD",
        "AIRFLOW__DIALOGFLOW__NAMESPACE",
        "DIALOGTECH_NAMESPACE",
        "DIALOGTECH_API__NAMESPACE",
    ],
)
def test_a_variable_that_is_not_meant_for_it_is_left_alone(monkeypatch, variable):
    monkeypatch.setenv(variable, "tcp://10.0.0.1:80")
    assert config.conn_ids() == ("dialogtech_default",)


@pytest.mark.parametrize(
    ("section", "option", "words"),
    [
        ("dialogtech", "journal_uri", "[dialogtech] has an unknown option 'journal_uri' (nearest: journal_url)"),
        ("dialogtech", "create_pool", "[dialogtech] has an unknown option 'create_pool' (nearest: create_pools)"),
        ("DialogTech", "alert_on", "airflow.cfg has a section [DialogTech]; its name must be [dialogtech]"),
        ("dialog_tech", "alert_on", "airflow.cfg has a section [dialog_tech]; its name must be [dialogtech]"),
        ("dialogtec", "alert_on", "airflow.cfg has a section [dialogtec]; its name must be [dialogtech]"),
        ("dialogtech_sms", "alert_on", "airflow.cfg has a section [dialogtech_sms]; its name must be [dialogtech]"),
    ],
)
def test_a_misspelt_name_in_airflow_cfg_is_refused(section, option, words):
    from airflow.configuration import conf

    had_section = section in conf.sections()
    # As from the file: its own `set` and `remove_option` write names in lower case.
    conf.read_string(f"[{section}]\n{option} = x")
    try:
        with pytest.raises(InvalidConnection) as refused:
            config.alert_on()
        assert words in str(refused.value)
        assert "Correct it in airflow.cfg." in str(refused.value)
    finally:
        ConfigParser.remove_option(conf, section, option)
        if not had_section:
            ConfigParser.remove_section(conf, section)
