"""A success callback that tells only that failures are over."""

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
from tests.alerts.conftest import ALICE, BOB, context_of, failure, texts
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


def test_it_is_told_once_after_failures_that_were_told(sandbox, alerting, caplog):
    for _ in range(3):
        failed(failure())
    for _ in range(2):
        works_again(success())
    told, over = texts(sandbox, to=ALICE)
    assert told.startswith("Airflow: etl.load failed at ")
    assert over.startswith("Airflow: etl.load works again, after 3 failures in ")
    assert over.endswith(" s")
    assert (
        "Alert for etl.load (success): the message to …7777 is not needed: none was sent about a failure that is over"
        in caplog.text
    )


class Recorder:
    def __init__(self):
        self.counted = []

    def count(self, name, by=1):
        self.counted.append(name)

    def time(self, name, seconds):
        pass


def test_what_became_of_each_alert_is_counted(sandbox, alerting, monkeypatch):
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


def test_the_next_failure_is_told_at_once(sandbox, alerting):
    for _ in range(2):
        failed(failure())
        works_again(success())
    assert [" works again, after 1 failure in " in text for text in texts(sandbox)] == [False, True, False, True]


def test_where_nothing_failed_nothing_is_told(sandbox, alerting):
    works_again(success())
    works_again(dag_run("success"))
    assert texts(sandbox) == []


def test_without_it_each_success_is_told_as_before(sandbox, alerting):
    DialogTechSmsNotifier()(success())
    assert texts(sandbox)[0].startswith("Airflow: etl.load succeeded at ")


def test_the_success_of_another_task_ends_nothing(sandbox, alerting):
    failed(failure(task_id="load"))
    works_again(success(task_id="clean"))
    works_again(success(task_id="load", map_index=1))
    assert len(texts(sandbox)) == 1
    works_again(success(task_id="load"))
    assert texts(sandbox)[1].startswith("Airflow: etl.load works again")


def test_a_dag_that_works_again_is_told(sandbox, alerting):
    failed(dag_run("task_failure"))
    works_again(success())
    works_again(dag_run("success"))
    assert texts(sandbox)[1].startswith("Airflow: DAG etl works again, after 1 failure in ")


def test_under_a_key_of_several_tasks_the_message_names_the_dag(sandbox, alerting):
    DialogTechSmsNotifier(dedup_key="etl")(failure(task_id="load"))
    DialogTechSmsNotifier(dedup_key="etl", resolved=True)(success(task_id="clean"))
    assert texts(sandbox)[1].startswith("Airflow: DAG etl works again")


def test_under_a_key_of_its_own_the_message_names_the_task(sandbox, alerting):
    key = "{{ ti.task_id }}"
    for task_id in ("load", "clean"):
        DialogTechSmsNotifier(dedup_key=key)(failure(task_id=task_id))
    for task_id in ("load", "clean"):
        DialogTechSmsNotifier(dedup_key=key, resolved=True)(success(task_id=task_id))
    names = [text.split(" works")[0] for text in texts(sandbox)[2:]]
    assert names == ["Airflow: etl.load", "Airflow: etl.clean"]


def test_words_of_its_own_are_followed_by_the_failures(sandbox, alerting):
    failed(failure())
    DialogTechSmsNotifier("{{ ti.task_id }} is well.", resolved=True)(success())
    assert texts(sandbox)[1].startswith("load is well. (after 1 failure in ")


def test_one_notifier_may_tell_both(sandbox, alerting):
    both = DialogTechSmsNotifier(resolved=True)
    both(failure())
    both(success())
    assert [text.split(" ")[2] for text in texts(sandbox)] == ["failed", "works"]


def test_a_skipped_task_says_nothing(sandbox, alerting, caplog):
    failed(failure())
    caplog.clear()
    notifier = DialogTechSmsNotifier(to=ALICE, resolved=True)
    notifier(context_of("skipped"))
    asyncio.run(notifier.async_notify(context_of("skipped")))
    assert len(texts(sandbox)) == 1
    assert not caplog.messages


def test_only_those_hear_it_who_heard_of_the_failure(sandbox, alerting):
    failed(failure())
    DialogTechSmsNotifier(to=[ALICE, BOB], resolved=True)(success())
    assert len(texts(sandbox, to=ALICE)) == 2
    assert texts(sandbox, to=BOB) == []


def test_contacts_are_told(sandbox, connect_sandbox):
    connect_sandbox(extra={"from_numbers": ",".join(FROM_NUMBERS), "contacts": {"oncall": ALICE}})
    DialogTechSmsNotifier(to="oncall")(failure())
    DialogTechSmsNotifier(to="oncall", resolved=True)(success())
    assert len(texts(sandbox, to=ALICE)) == 2


def test_who_is_not_to_be_texted_is_not(sandbox, connect_sandbox, caplog):
    extra = {"from_numbers": ",".join(FROM_NUMBERS), "alert_to": ALICE}
    connect_sandbox(extra=extra)
    failed(failure())
    connect_sandbox(extra=extra | {"only_to": []})
    for _ in range(2):
        works_again(success())
    assert len(texts(sandbox)) == 1
    assert caplog.text.count("the message to …7777 is held back and was not sent") == 1


def test_a_message_that_cannot_be_sent_is_told_by_the_next_success(sandbox, alerting, caplog):
    failed(failure())
    sandbox.fault("refused", times=1)
    works_again(success())
    assert "the message to …7777 was not sent" in caplog.text
    works_again(success())
    works_again(success())
    assert [" works again, after 1 failure in " in text for text in texts(sandbox)] == [False, True]


@contextmanager
def journals_away(count):
    """Let so many journals be away, the shared one first."""

    def away():
        raise JournalUnavailable("it is away")

    those_away = [journal._replace(open=away) for journal in fallback.JOURNALS[:count]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fallback, "JOURNALS", (*those_away, *fallback.JOURNALS[count:]))
        yield


def test_through_the_local_file_it_is_told_all_the_same(sandbox, alerting):
    with journals_away(1):
        failed(failure())
        for _ in range(2):
            works_again(success())
    assert len(texts(sandbox)) == 2


def test_while_the_journal_is_away_that_knows_the_failure_nothing_is_told(sandbox, alerting):
    failed(failure())
    with journals_away(1):
        works_again(success())
    assert len(texts(sandbox)) == 1
    works_again(success())
    assert len(texts(sandbox)) == 2


def test_without_any_journal_nothing_is_told(sandbox, alerting, caplog):
    failed(failure())
    with journals_away(3):
        works_again(success())
    assert len(texts(sandbox)) == 1
    assert "was not sent: without a journal it is not known whether anything had failed" in caplog.text


def test_the_cooldown_of_the_failures_may_be_long(sandbox, alerting):
    for _ in range(2):
        DialogTechSmsNotifier(cooldown=timedelta(days=1))(failure())
        works_again(success())
    assert len(texts(sandbox)) == 4


def test_a_stale_local_file_does_not_tell_that_an_old_failure_is_over(sandbox, alerting, caplog):
    """Seen: "works again, after 1 failure in 30 days". The shared journal may have told that long ago."""
    with journals_away(1):
        failed(failure())
        url = fallback.journal_in_airflow_home().url
        a_month = timedelta(days=30).total_seconds()
        for column in (alerts.c.claimed_at, alerts.c.cooldown_ends, alerts.c.failing_since):
            change(url, alerts.update().values({column: column - a_month}))
        works_again(success())
    assert len(texts(sandbox)) == 1
    assert "is not needed" in caplog.text
