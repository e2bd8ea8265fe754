"""A success callback that reports only that failures are over."""

import asyncio
import logging
from contextlib import contextmanager
from datetime import timedelta

import pytest

from airflow_provider_dialogtech.alerts import deliver as recipient
from airflow_provider_dialogtech.alerts import journals as fallback
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.schema import alerts
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from tests.alerts.conftest import ALICE, BOB, bodies, context_of, failure
from tests.conftest import FROM_NUMBERS
from tests.journal.looking import change

failed = DialogTechSmsNotifier()
works_again = DialogTechSmsNotifier(resolved=True)


@pytest.fixture(autouse=True)
def _at_every_level(caplog):
    caplog.set_level(logging.INFO)


def success(**changes):
    """The context of a task that succeeded."""
    return context_of("success", **changes)


def dag_run(reason):
    """The context of a DAG's run that has ended; Airflow adds one of its tasks."""
    return context_of(reason) | {"reason": reason}


def test_it_is_sent_once_after_failures_that_were_sent(sandbox, alerting, caplog):
    for _ in range(3):
        failed(failure())
    for _ in range(2):
        works_again(success())
    failure_body, recovery_body = bodies(sandbox, to=ALICE)
    assert failure_body.startswith("Airflow: etl.load failed at ")
    assert recovery_body.startswith("Airflow: etl.load works again, after 3 failures in ")
    assert recovery_body.endswith(" s")
    assert (
        "Alert for etl.load (success): the message to …7777 is not needed: the journal has no earlier "
        "alert about a failure" in caplog.text
    )


class Recorder:
    def __init__(self):
        self.counted = []

    def count(self, name, by=1):
        self.counted.append(name)

    def time(self, name, seconds):
        pass


def test_the_outcome_of_each_alert_is_counted(sandbox, alerting, monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(recipient, "RECORDER", recorder)
    for callback, context in ((failed, failure()), (failed, failure()), (works_again, success())):
        callback(context)
    works_again(success())
    sandbox.fault("refused")
    failed(failure())
    sandbox.clear_faults()
    sandbox.fault("reset_after_accept")
    failed(failure())
    counted = [name.removeprefix("alerts.") for name in recorder.counted if name.startswith("alerts.")]
    assert counted == ["sent", "suppressed", "sent", "not_needed", "failed", "in_doubt"]


def test_the_next_failure_is_sent_at_once(sandbox, alerting):
    for _ in range(2):
        failed(failure())
        works_again(success())
    assert [" works again, after 1 failure in " in body for body in bodies(sandbox)] == [False, True, False, True]


def test_without_a_failure_nothing_is_sent(sandbox, alerting):
    works_again(success())
    works_again(dag_run("success"))
    assert bodies(sandbox) == []


def test_without_resolved_each_success_is_sent(sandbox, alerting):
    DialogTechSmsNotifier()(success())
    assert bodies(sandbox)[0].startswith("Airflow: etl.load succeeded at ")


def test_the_success_of_another_task_resolves_nothing(sandbox, alerting):
    failed(failure(task_id="load"))
    works_again(success(task_id="clean"))
    works_again(success(task_id="load", map_index=1))
    assert len(bodies(sandbox)) == 1
    works_again(success(task_id="load"))
    assert bodies(sandbox)[1].startswith("Airflow: etl.load works again")


def test_a_dag_that_works_again_is_reported(sandbox, alerting):
    failed(dag_run("task_failure"))
    works_again(success())
    works_again(dag_run("success"))
    assert bodies(sandbox)[1].startswith("Airflow: DAG etl works again, after 1 failure in ")


def test_under_a_key_of_several_tasks_the_message_names_the_dag(sandbox, alerting):
    DialogTechSmsNotifier(dedup_key="etl")(failure(task_id="load"))
    DialogTechSmsNotifier(dedup_key="etl", resolved=True)(success(task_id="clean"))
    assert bodies(sandbox)[1].startswith("Airflow: DAG etl works again")


def test_under_a_key_of_its_own_the_message_names_the_task(sandbox, alerting):
    key = "{{ ti.task_id }}"
    for task_id in ("load", "clean"):
        DialogTechSmsNotifier(dedup_key=key)(failure(task_id=task_id))
    for task_id in ("load", "clean"):
        DialogTechSmsNotifier(dedup_key=key, resolved=True)(success(task_id=task_id))
    names = [body.split(" works")[0] for body in bodies(sandbox)[2:]]
    assert names == ["Airflow: etl.load", "Airflow: etl.clean"]


def test_a_message_of_the_author_is_followed_by_the_failures(sandbox, alerting):
    failed(failure())
    DialogTechSmsNotifier("{{ ti.task_id }} is well.", resolved=True)(success())
    assert bodies(sandbox)[1].startswith("load is well. (after 1 failure in ")


def test_one_notifier_may_report_both(sandbox, alerting):
    both = DialogTechSmsNotifier(resolved=True)
    both(failure())
    both(success())
    assert [body.split(" ")[2] for body in bodies(sandbox)] == ["failed", "works"]


def test_a_skipped_task_sends_nothing(sandbox, alerting, caplog):
    failed(failure())
    caplog.clear()
    notifier = DialogTechSmsNotifier(to=ALICE, resolved=True)
    notifier(context_of("skipped"))
    asyncio.run(notifier.async_notify(context_of("skipped")))
    assert len(bodies(sandbox)) == 1
    assert not caplog.messages


def test_only_those_hear_it_who_heard_of_the_failure(sandbox, alerting):
    failed(failure())
    DialogTechSmsNotifier(to=[ALICE, BOB], resolved=True)(success())
    assert len(bodies(sandbox, to=ALICE)) == 2
    assert bodies(sandbox, to=BOB) == []


def test_contacts_get_the_message(sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS), "contacts": {"oncall": ALICE}})
    DialogTechSmsNotifier(to="oncall")(failure())
    DialogTechSmsNotifier(to="oncall", resolved=True)(success())
    assert len(bodies(sandbox, to=ALICE)) == 2


def test_only_to_holds_back_the_other_messages(sandbox, connect_sandbox, caplog):
    extra = {"from_numbers": ",".join(FROM_NUMBERS), "alert_to": ALICE}
    connect_sandbox(extra=extra)
    failed(failure())
    connect_sandbox(extra=extra | {"only_to": []})
    for _ in range(2):
        works_again(success())
    assert len(bodies(sandbox)) == 1
    assert caplog.text.count("the message to …7777 is held back and was not sent") == 1


def test_a_message_that_cannot_be_sent_is_sent_by_the_next_success(sandbox, alerting, caplog):
    failed(failure())
    sandbox.fault("refused", times=1)
    works_again(success())
    assert "the message to …7777 was not sent" in caplog.text
    works_again(success())
    works_again(success())
    assert [" works again, after 1 failure in " in body for body in bodies(sandbox)] == [False, True]


@contextmanager
def unavailable_journals(count):
    """Make the first `count` journals unavailable, beginning with the shared one."""

    def unavailable():
        raise JournalUnavailable("it is unavailable")

    unavailable_ones = [journal._replace(open=unavailable) for journal in fallback.JOURNALS[:count]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fallback, "JOURNALS", (*unavailable_ones, *fallback.JOURNALS[count:]))
        yield


def test_it_is_sent_through_the_local_file(sandbox, alerting):
    with unavailable_journals(1):
        failed(failure())
        for _ in range(2):
            works_again(success())
    assert len(bodies(sandbox)) == 2


def test_nothing_is_sent_while_the_journal_with_the_failure_is_unavailable(sandbox, alerting):
    failed(failure())
    with unavailable_journals(1):
        works_again(success())
    assert len(bodies(sandbox)) == 1
    works_again(success())
    assert len(bodies(sandbox)) == 2


def test_nothing_is_sent_without_any_journal(sandbox, alerting, caplog):
    failed(failure())
    with unavailable_journals(3):
        works_again(success())
    assert len(bodies(sandbox)) == 1
    assert "was not sent: without a journal it is not known whether anything failed" in caplog.text


def test_the_cooldown_of_the_failures_may_be_long(sandbox, alerting):
    for _ in range(2):
        DialogTechSmsNotifier(cooldown=timedelta(days=1))(failure())
        works_again(success())
    assert len(bodies(sandbox)) == 4


def test_a_stale_local_file_does_not_tell_that_an_old_failure_is_over(sandbox, alerting, caplog):
    """Seen: "works again, after 1 failure in 30 days". The shared journal may have told that long ago."""
    with unavailable_journals(1):
        failed(failure())
        url = fallback.journal_in_airflow_home().url
        a_month = timedelta(days=30).total_seconds()
        for column in (alerts.c.claimed_at, alerts.c.cooldown_ends, alerts.c.failing_since):
            change(url, alerts.update().values({column: column - a_month}))
        works_again(success())
    assert len(bodies(sandbox)) == 1
    assert "is not needed" in caplog.text
