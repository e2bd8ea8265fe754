"""Hundreds of callbacks at once, in processes and threads, through SQLite and PostgreSQL."""

import logging
import multiprocessing
import os
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_dialogtech.alerts import journals as fallback
from airflow_provider_dialogtech.alerts.deadline import AlertDeadline
from airflow_provider_dialogtech.journal.dedup import LEASE
from airflow_provider_dialogtech.journal.schema import alert_grants, alerts
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from tests.alerts.conftest import ALICE, BOB, bodies, failure
from tests.conftest import FROM_NUMBERS
from tests.journal.looking import change, rows

# Five hundred callbacks take a while on a busy machine.
pytestmark = pytest.mark.timeout(600)

_fork = multiprocessing.get_context("fork")


@pytest.fixture
def journals_of_a_busy_machine(monkeypatch):
    """Give each journal the time that five hundred threads need; another file tests slow journals."""
    monkeypatch.setattr(fallback, "JOURNALS", [journal._replace(seconds=30.0) for journal in fallback.JOURNALS])


@pytest.fixture
def shared_journal(monkeypatch, store_url, journals_of_a_busy_machine):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", store_url)
    return store_url


@pytest.fixture
def unreachable_journal(monkeypatch, unused_port, journals_of_a_busy_machine):
    url = f"postgresql+psycopg2://nobody@127.0.0.1:{unused_port}/nothing"
    monkeypatch.setattr(fallback, "RETRY_FOR", 0.2)
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)


def let_pass(url, seconds):
    """Let `seconds` pass for the alerts."""

    for column in (alerts.c.claimed_at, alerts.c.cooldown_ends, alerts.c.suppressed_since, alerts.c.reported_since):
        change(url, alerts.update().values({column: column - seconds}))
    change(url, alert_grants.update().values(at=alert_grants.c.at - seconds))


def storm(failures, notifier=None):
    notifier = notifier or DialogTechSmsNotifier("{{ ti.task_id }} failed")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: notifier(failure(task_id=f"task_{number}")), range(failures)))


def test_hundreds_of_failures_are_one_message_per_recipient_and_the_next_counts_them(sandbox, alerting, shared_journal):
    failures = 500 if shared_journal.startswith("sqlite") else 100
    notifier = DialogTechSmsNotifier("{{ ti.task_id }} failed", [ALICE, BOB])
    storm(failures, notifier)
    assert sorted(sms["to"] for sms in sandbox.accepted()) == [ALICE, BOB]
    let_pass(shared_journal, 15 * 60 + 1)
    notifier(failure(task_id="later"))
    assert len(bodies(sandbox)) == 4
    assert re.fullmatch(rf"later failed \(\+{failures - 1} more since [\d: -]+ UTC\)", bodies(sandbox, to=ALICE)[1])


def test_of_sixteen_concurrent_processes_one_sends(sandbox, alerting, shared_journal, monkeypatch):
    monkeypatch.setattr(fallback, "JOURNALS", [fallback.JOURNALS[0]._replace(seconds=150.0)])
    fallback.import_stores()  # once, not in each process
    barrier = _fork.Barrier(16)

    def fail():
        barrier.wait(150)
        DialogTechSmsNotifier("hello")(failure())

    processes = [_fork.Process(target=fail) for _ in range(16)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * 16
    assert bodies(sandbox) == ["hello"]


def test_a_callback_killed_while_it_waits_suppresses_nothing(sandbox, alerting, shared_journal, monkeypatch):
    def die_waiting():
        monkeypatch.setattr(AlertDeadline, "sleep", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        DialogTechSmsNotifier("hello")(failure())

    # Both numbers are busy for a second, so the next message has to wait.
    DialogTechSmsNotifier("busy", [ALICE, BOB])(failure())
    process = _fork.Process(target=die_waiting)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["busy", "busy"]  # it could still be waiting
    let_pass(shared_journal, LEASE + 1)
    DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox, to=ALICE)[1].startswith("hello (+2 more since ")


def test_a_task_that_fails_again_after_the_cooldown_sends_again(sandbox, alerting, shared_journal):
    notifier = DialogTechSmsNotifier("hello")
    for seconds in (60, 15 * 60, 0):
        notifier(failure())
        let_pass(shared_journal, seconds)
    assert len(bodies(sandbox)) == 2


def test_a_hundred_dags_at_once_stay_within_the_budget_and_its_last_message_says_so(sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS), "alert_to": ALICE, "alert_budget": 3})
    notifier = DialogTechSmsNotifier()
    for number in range(100):
        notifier(failure(dag_id=f"dag_{number}"))
    sent = bodies(sandbox)
    assert len(sent) == 3
    assert ["budget used up" in body for body in sent] == [False, False, True]


def test_without_the_journal_a_hundred_failures_are_one_message(sandbox, alerting, unreachable_journal, caplog):
    storm(100)
    assert len(bodies(sandbox)) == 1
    assert "is sent through" in caplog.text


@pytest.mark.parametrize("url", ["mysql://x@localhost/y", "nonsense", "postgresql+pg8000://x@localhost/y"])
def test_a_misconfigured_journal_does_not_stop_an_alert(sandbox, alerting, monkeypatch, url, caplog):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
    DialogTechSmsNotifier("hello")(failure())
    DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["hello"]
    assert "is sent through" in caplog.text


def test_a_file_journal_under_a_remote_executor_does_not_stop_an_alert(sandbox, alerting, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["hello"]
    assert "CeleryExecutor may run tasks on several machines" in caplog.text


def test_a_journal_that_accepts_and_never_answers_is_given_up(sandbox, alerting, monkeypatch, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg2://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
        DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["hello"]


def test_a_journal_lost_between_claim_and_slot_is_replaced(sandbox, alerting, monkeypatch, caplog):
    from airflow_provider_dialogtech.exceptions import JournalUnavailable
    from airflow_provider_dialogtech.journal.journal import MessageJournal

    reserve, calls = MessageJournal.reserve, []

    def fail_once(*args, **kwargs):
        calls.append(args)
        if len(calls) == 1:
            raise JournalUnavailable
        return reserve(*args, **kwargs)

    monkeypatch.setattr(MessageJournal, "reserve", fail_once)
    DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["hello"]


def test_where_airflow_home_cannot_be_written_the_temporary_directory_takes_over(
    sandbox, alerting, unreachable_journal, monkeypatch, tmp_path
):
    monkeypatch.setattr("airflow.configuration.AIRFLOW_HOME", "/proc/nowhere")
    for _ in range(5):
        DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["hello"]
    (directory,) = (tmp_path / "temporary").iterdir()
    assert directory.stat().st_mode & 0o077 == 0


def test_with_no_journal_at_all_every_alert_goes_out_with_a_warning(
    sandbox, alerting, unreachable_journal, monkeypatch, caplog
):
    monkeypatch.setattr("airflow.configuration.AIRFLOW_HOME", "/proc/nowhere")
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    caplog.set_level(logging.INFO)
    DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["hello"]
    assert "without a journal" in caplog.text
    assert "was sent." in caplog.text


def test_a_temporary_directory_of_another_user_is_not_used(tmp_path, monkeypatch):
    from airflow_provider_dialogtech.alerts.journals import journal_in_temporary_directory
    from airflow_provider_dialogtech.exceptions import JournalUnavailable

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "temporary" / f"dialogtech-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalUnavailable):
        journal_in_temporary_directory()


def test_a_question_mark_in_airflow_home_is_part_of_the_local_journals_place(
    sandbox, alerting, unreachable_journal, monkeypatch, tmp_path
):
    home = tmp_path / "home?mode=ro"
    home.mkdir()
    monkeypatch.setattr("airflow.configuration.AIRFLOW_HOME", str(home))
    DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["hello"]
    assert (home / "dialogtech_alerts.db").is_file()


def test_an_invalid_retention_does_not_stop_an_alert(sandbox, alerting, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_RETENTION_DAYS", "a year")
    DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["hello"]


def test_the_journal_knows_an_alert_and_the_task_that_it_is_about(sandbox, alerting, shared_journal):
    DialogTechSmsNotifier("hello")(failure(dag_id="etl", task_id="load", map_index=3))
    (row,) = [row for row in rows(shared_journal) if row.state == "sent"]  # a slow machine may have missed a slot
    assert (row.priority, row.dag_id, row.task_id, row.map_index) == (1, "etl", "load", 3)
