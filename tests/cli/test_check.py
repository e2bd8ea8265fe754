import os
from datetime import datetime, timezone

import pytest

from airflow_provider_dialogtech._compat import IS_AIRFLOW_3
from airflow_provider_dialogtech.cli import check as module
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.schema import VERSION, accounts
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.operations.probe import Probe, probe
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.journal import Place
from tests.conftest import FROM_NUMBERS
from tests.journal.looking import rows

ALL = [
    "connection", "API", "access keys", "numbers", "pool", "journal", "journal is shared", "journal is near",
    "versions",
]  # fmt: skip


@pytest.fixture
def check(run):
    """Run the command, and return its exit code and its rows by check."""

    def running(*arguments):
        ran = run("check", "--output", "json", *arguments)
        return ran.code, {row.pop("check"): row for row in ran.rows}

    return running


@pytest.fixture
def pool(metadata_db):
    from airflow_provider_dialogtech.plugins.pools import ensure_pools

    ensure_pools()


@pytest.fixture
def near(monkeypatch):
    """Accept any speed of the journal, because the machine may be busy."""
    monkeypatch.setattr(module, "ENOUGH_SHARE", 0.0)


def signs(found):
    return {what: row[""] for what, row in found.items()}


def test_all_is_well(check, sandbox_connection, pool, near):
    code, found = check()
    assert list(found) == ALL
    assert signs(found) == dict.fromkeys(ALL, "✓"), found
    assert code == 0
    assert found["numbers"]["found"] == "SMS-enabled: …2111, …2112"
    assert found["pool"]["found"] == "dialogtech_default has 4 slots"
    assert found["journal is near"]["found"].endswith("of the 1.2 messages per second that 2 numbers may send")
    assert f"journal {VERSION // 100}.{VERSION % 100}" in found["versions"]["found"]


def test_nothing_is_sent(check, sandbox, sandbox_connection, pool):
    check()
    assert [arrival["action"] for arrival in sandbox.messages()] == ["sms.get_numbers"]


@pytest.mark.parametrize(
    ("extra", "found_as"),
    [
        (
            {"alert_to": "oncal", "contacts": {"oncall": "5556667777"}},
            "in extra.alert_to, there is no contact 'oncal' (the connection has oncall)",
        ),
        ({"alert_to": "5556667777,555666"}, "`extra.alert_to` …5666 is too short for a number of the US"),
        ({"contacts": {"oncall": "555"}}, "`extra.contacts` …555 is too short for a number of the US"),
    ],
)
def test_a_recipient_whom_an_alert_would_not_reach_is_reported(check, connect_sandbox, pool, extra, found_as):
    connect_sandbox(extra={"from_numbers": list(FROM_NUMBERS)} | extra)
    code, found = check()
    assert code == 1
    assert (found["connection"][""], found["connection"]["found"]) == ("✗", found_as)
    assert found["numbers"][""] == "✓"


def test_what_is_held_back_is_told(check, connection, sandbox, pool):
    for only_to, numbers in (([], "0 numbers"), (["5556667777"], "1 number")):
        connection(host=sandbox.url, extra={"from_numbers": list(FROM_NUMBERS), "only_to": only_to})
        _, found = check()
        words = f"dialogtech_default is complete; only_to holds back what does not go to its {numbers}"
        assert found["connection"]["found"] == words


def test_wrong_keys_are_reported(check, connection, sandbox, pool):
    connection(host=sandbox.url, extra={"from_numbers": list(FROM_NUMBERS)})
    code, found = check()
    assert code == 1
    assert signs(found) | {} == signs(found) | {"API": "✓", "access keys": "✗", "numbers": "–"}
    assert found["access keys"]["what to do"]


def test_a_host_that_refuses_is_reported(check, connection, unused_port, pool):
    connection(host=f"http://127.0.0.1:{unused_port}/", extra={"from_numbers": list(FROM_NUMBERS)})
    code, found = check()
    assert code == 1
    assert [found[what][""] for what in ("connection", "API", "access keys", "numbers")] == ["✓", "✗", "–", "–"]
    assert "refused" in found["API"]["found"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"extra": {"only_too": "5556667777"}}, "the extra has an unknown key 'only_too' (nearest: only_to)"),
        ({"conn_type": "aws"}, "the conn_type must be dialogtech, not 'aws'"),
    ],
)
@pytest.mark.usefixtures("pool")
def test_a_misspelt_key_and_another_type_are_reported(check, connect_sandbox, sandbox, fields, words):
    connect_sandbox(**fields)
    code, found = check()
    assert (code, found["connection"][""], found["connection"]["found"]) == (1, "✗", words)
    assert sandbox.messages() == []


def test_a_relative_journal_is_reported(check, sandbox_connection, pool, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", "sqlite:///journal.db")
    code, found = check()
    assert (code, found["journal"][""]) == (1, "✗")
    assert "relative path" in found["journal"]["found"]


def test_a_number_that_is_not_enabled_is_reported(check, connect_sandbox, pool):
    connect_sandbox(extra={"from_numbers": "5554332111, 5559998888"})
    code, found = check()
    assert (code, found["numbers"][""], found["numbers"]["found"]) == (1, "✗", "not SMS-enabled: …8888")


def test_a_connection_that_is_missing_or_incomplete_is_reported(check, connection, pool):
    code, found = check("--conn-id", "nobody")
    assert (code, found["connection"][""]) == (1, "✗")
    assert "Airflow has no connection 'nobody'" in found["connection"]["found"]
    connection(password=None)
    _, found = check()
    assert "is missing" in found["connection"]["found"]
    assert [found[what][""] for what in ("API", "access keys", "numbers")] == ["–"] * 3


@pytest.fixture
def scheduler(metadata_db):
    """Write the row of a scheduler into Airflow's database, as it does itself: `scheduler("running")`."""
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session

    jobs = Job.__table__

    def written(state):
        now = datetime.now(timezone.utc)
        with create_session() as session:
            session.execute(jobs.insert().values(job_type="SchedulerJob", state=state, latest_heartbeat=now))

    yield written
    with create_session() as session:
        session.execute(jobs.delete())


@pytest.mark.parametrize("state", [None, "success", "failed"])
@pytest.mark.usefixtures("near")
def test_a_pool_is_not_missing_before_a_scheduler_runs(check, sandbox_connection, scheduler, monkeypatch, state):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "dialogtech_default,dialogtech_new")
    if state:
        scheduler(state)
    monkeypatch.setenv("AIRFLOW_CONN_DIALOGTECH_NEW", os.environ["AIRFLOW_CONN_DIALOGTECH_DEFAULT"])
    code, found = check("--conn-id", "dialogtech_new")
    assert (code, found["pool"][""], found["pool"]["what to do"]) == (0, "✓", "")
    assert found["pool"]["found"] == "dialogtech_new does not exist yet: the scheduler creates it when it starts"
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CREATE_POOLS", "False")
    code, found = check("--conn-id", "dialogtech_new")
    assert (code, found["pool"][""]) == (1, "✗")


def test_a_pool_that_is_missing_is_reported(check, scheduler, sandbox_connection, monkeypatch, connect_sandbox):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "without_pool")
    connect_sandbox("without_pool", extra={"from_numbers": "5554332111"})
    scheduler("running")
    code, found = check("--conn-id", "without_pool")
    assert (code, found["pool"][""]) == (1, "✗")
    assert found["pool"]["what to do"] == "run `python -m airflow_provider_dialogtech pools`"
    _, found = check()
    assert (found["pool"][""], "default_pool" in found["pool"]["found"]) == ("✓", True)


def test_a_file_with_an_executor_of_many_machines_is_reported(check, sandbox_connection, pool, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    code, found = check()
    # Airflow 3's API server may have such a file: the journal itself is right there.
    problem = found["journal is shared" if IS_AIRFLOW_3 else "journal"]
    assert (code, problem[""]) == (1, "✗")
    assert "CeleryExecutor" in problem["found"]


@pytest.mark.usefixtures("pool", "near")
def test_the_journal_is_named_with_its_rule(check, sandbox_connection, monkeypatch, sqlite_url):
    _, found = check()
    assert found["journal is shared"]["found"] == "[dialogtech] journal_url is set"
    monkeypatch.setattr(config, "journal_file", lambda: sqlite_url)
    monkeypatch.delenv("AIRFLOW__DIALOGTECH__JOURNAL_URL")
    code, found = check()
    assert code == 0
    assert found["journal is shared"]["found"] == (
        "a SQLite file in AIRFLOW_HOME: LocalExecutor runs all tasks on one machine"
    )


def test_an_earlier_journal_is_reported(check, sandbox_connection, pool, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "earlier_file", lambda *_: tmp_path / "j.db")
    code, found = check()
    assert (code, found["earlier journal"][""]) == (1, "✗")
    assert found["earlier journal"]["what to do"].endswith("messages carry-over`")


def test_the_way_through_the_api_server_is_measured_where_tasks_use_it(check, sandbox_connection, monkeypatch, pool):
    monkeypatch.setattr(module, "tasks_use_door", lambda: True)
    monkeypatch.setattr(module, "door_store", lambda **_: module.journal_store())
    _, found = check()
    assert found["API server"][""] == "✓"
    assert found["API server"]["found"].startswith("tasks reach the journal SQLite: ")

    def closed(**_):
        raise JournalUnavailable("the door is closed", advice="Start it.")

    monkeypatch.setattr(module, "door_store", closed)
    code, found = check()
    assert (code, found["API server"][""], found["API server"]["what to do"]) == (1, "✗", "Start it.")


def test_a_command_that_asks_the_api_server_measures_only_that(check, sandbox_connection, monkeypatch, pool):
    store = module.journal_store()
    for changed in ("place_of", "tasks_use_door"):
        monkeypatch.setattr(module, changed, lambda *_: Place.DOOR)
    for opened in ("journal_store", "door_store"):
        monkeypatch.setattr(module, opened, lambda **_: store)
    code, found = check()
    assert (code, found["API server"][""]) == (0, "✓")
    assert found["journal is shared"]["found"].startswith("Airflow's API server")
    assert not {"journal", "journal is near"} & set(found)


@pytest.mark.usefixtures("sandbox_connection", "pool")
def test_tasks_that_miss_the_api_servers_journal_are_reported(check, monkeypatch):
    monkeypatch.setattr(module, "tasks_miss_the_server", lambda: True)
    code, found = check()
    assert (code, found["journal is shared"][""]) == (1, "✗")
    assert "on the API server but not here" in found["journal is shared"]["found"]


def test_an_unavailable_journal_is_reported(check, sandbox_connection, pool, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", f"sqlite:///{tmp_path}/no/such/folder.db")
    code, found = check()
    assert (code, found["journal"][""]) == (1, "✗")
    assert "journal unknown" in found["versions"]["found"]


def test_a_distant_journal_is_reported(check, sandbox_connection, pool, monkeypatch):
    far = Probe(VERSION, round_trip=0.5, reserve=2.5, start=0.5, is_file=False)
    monkeypatch.setattr("airflow_provider_dialogtech.cli.check.probe", lambda store: far)
    code, found = check()
    assert (code, found["journal is near"][""]) == (1, "✗")
    assert "enough for 42% of the 1.2 messages per second that 2 numbers may send" in found["journal is near"]["found"]


def test_a_journal_is_measured_and_unchanged(store_url):
    measured = probe(Store(store_url))
    assert measured.version == VERSION
    assert min(measured.round_trip, measured.reserve, measured.start) > 0
    assert measured.messages_per_second > 0
    assert rows(store_url, accounts) == []


def test_no_key_and_no_number_is_printed(run, sandbox, sandbox_connection, pool):
    ran = run("check")
    assert sandbox.secret_access_key not in ran.out + ran.err
    assert sandbox.access_key not in ran.out + ran.err
    assert "5554332111" not in ran.out + ran.err
