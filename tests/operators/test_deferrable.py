"""A task whose message has a late slot is deferred until shortly before it."""

import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.exceptions import TaskDeferred

from airflow_provider_dialogtech.exceptions import WaitTooLong
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest
from airflow_provider_dialogtech.journal.schema import messages
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.journal import journal_store
from tests.journal.looking import change, rows

CONTEXT = {"ti": SimpleNamespace(dag_id="dag", run_id="run", task_id="send", map_index=-1)}


def sms_task(**arguments) -> DialogTechSendSmsOperator:
    return DialogTechSendSmsOperator(
        **{"task_id": "send", "to": "5556667777", "message": "hi", "deferrable": True, **arguments}
    )


_queue: list[dict[str, object]] = []


@pytest.fixture
def a_long_queue(sandbox_connection):
    """Reserve enough slots that the next one is about two minutes away."""
    settings = DialogTechHook().settings
    journal = MessageJournal(journal_store(), settings.account, RateLimits())
    journal.find("whatever")  # now there is a journal
    if not _queue:
        for number in settings.from_numbers:
            for n in range(90):
                journal.reserve(SlotRequest(f"{number} {n}", (number,), "5556668888", "hi"))
        _queue.extend(row._asdict() for row in rows(config.journal_url()))
    else:  # the same once more, without planning it
        passed = time.time() - _queue[0]["created"]
        change(config.journal_url(), messages.insert().values([row | {"at": row["at"] + passed} for row in _queue]))


def let_slots_pass(seconds: float) -> None:
    # Whole seconds, so that no rounding brings two slots closer together.
    seconds = int(seconds)
    change(config.journal_url(), messages.update().values(at=messages.c.at - seconds))


def resume_until_sent(task, deferred, slot):
    """Resume a task shortly before its slot, and return that slot. On a busy machine it may be late for several."""
    while True:
        let_slots_pass(slot - time.time() - 8)
        slot = max(row.at for row in rows(config.journal_url()) if row.recipient_tail == "7777")
        try:
            assert getattr(task, deferred.method_name)(CONTEXT, None, **deferred.kwargs)["status"] == "sent"
        except TaskDeferred as again:
            deferred = again
            slot = max(row.at for row in rows(config.journal_url()) if row.recipient_tail == "7777")
        else:
            return slot


def test_a_task_defers_until_shortly_before_its_slot_and_sends_then(sandbox, a_long_queue):
    task = sms_task()
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(CONTEXT)
    resumes_in = deferred.value.trigger.moment.timestamp() - time.time()
    assert resumes_in > 50
    assert sandbox.messages() == []
    let_slots_pass(resumes_in + 60)
    resume = getattr(task, deferred.value.method_name)
    assert resume(CONTEXT, None, **deferred.value.kwargs)["status"] == "sent"
    assert len(sandbox.messages()) == 1


def test_a_deferred_task_keeps_its_slot_from_messages_that_come_later(sandbox, a_long_queue):
    task = sms_task()
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(CONTEXT)
    (kept,) = (row for row in rows(config.journal_url()) if row.recipient_tail == "7777")
    assert kept.state == "reserved"
    settings = DialogTechHook().settings
    journal = MessageJournal(journal_store(), settings.account, RateLimits())
    later = [journal.reserve(SlotRequest(f"later {n}", settings.from_numbers, "5556668888", "hi")) for n in range(90)]
    assert min(held.at for held in later) > kept.at - 60
    slot = resume_until_sent(task, deferred.value, kept.at)
    (arrived,) = sandbox.accepted()
    assert arrived["at"] == pytest.approx(slot, abs=2)


def test_a_killed_deferred_task_releases_its_slot_for_its_retry(a_long_queue):
    for _ in range(2):
        with pytest.raises(TaskDeferred):
            sms_task().execute(CONTEXT)
    states = [row.state for row in rows(config.journal_url()) if row.recipient_tail == "7777"]
    assert states == ["released", "reserved"]


def test_a_task_does_not_defer_past_its_max_wait(a_long_queue):
    with pytest.raises(WaitTooLong):
        sms_task(max_wait=timedelta(seconds=70)).execute(CONTEXT)


def test_max_wait_counts_from_the_beginning_also_after_the_task_was_deferred(a_long_queue):
    with pytest.raises(TaskDeferred) as deferred:
        sms_task(max_wait=600).execute(CONTEXT)
    assert deferred.value.kwargs["until"] == pytest.approx(time.time() + 600, abs=60)


def test_a_task_that_may_not_defer_waits_on_its_worker(a_long_queue):
    with pytest.raises(WaitTooLong):
        sms_task(deferrable=False, max_wait=70).execute(CONTEXT)


def test_airflows_own_default_decides_whether_tasks_defer(monkeypatch):
    assert not sms_task(deferrable=None).deferrable
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    assert sms_task(deferrable=None).deferrable
