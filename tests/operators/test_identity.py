"""What counts as one message: a test for each row of the table in `docs/identity.md`."""

import threading
from functools import partial
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech._compat import IS_AIRFLOW_3, AirflowFailException
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator
from airflow_provider_dialogtech.settings.identity import keys_in

ADA, GRACE, JOAN = "5556667777", "5556668888", "5556669999"
EACH = [(ADA, "one"), (GRACE, "one"), (JOAN, "two")]


@pytest.fixture(autouse=True)
def fast(connect_sandbox):
    """Limits so high that no test waits for slots."""
    limits = {"account_per_second": 100, "number_per_second": 50, "number_per_minute": 1000}
    connect_sandbox(extra={"from_numbers": "5554332111, 5554332112", **limits})


@pytest.fixture
def sent(sandbox):
    """Return what was sent since it was last asked."""
    known = 0

    def new():
        nonlocal known
        messages = [(sms["to"], sms["message"]) for sms in sandbox.accepted()]
        known, found = len(messages), messages[known:]
        return found

    return new


def context(map_index=-1, *, run_id="run", loop_index=None):
    ti = SimpleNamespace(
        dag_id="dag", run_id=run_id, task_id="send", map_index=map_index, xcom_push=lambda **value: None
    )
    loop = {} if loop_index is None else {"loop": SimpleNamespace(index=loop_index, max_iterations=3)}
    return {"ti": ti, "run_id": run_id, **loop}


def send(to, body, within):
    DialogTechSendSmsOperator(task_id="send", to=to, message=body).execute(within)


def send_chunk(to, body, within):
    rows = [{"to": to, "body": body}]
    DialogTechSendBulkSmsOperator(task_id="send", recipients=rows, message="{{ recipient.body }}").execute(within)


@pytest.fixture
def send_by_hand(monkeypatch):
    def send(to, body, within):
        monkeypatch.setattr("airflow_provider_dialogtech._compat.get_current_context", lambda: within)
        DialogTechHook().send_sms(to=to, message=body)

    return send


@pytest.fixture(params=["operator", "list", "hook"])
def way(request):
    """Each way in which a task sends."""
    ways = {"operator": send, "list": send_chunk}
    return ways[request.param] if request.param in ways else request.getfixturevalue("send_by_hand")


def run(messages, *, way=send, **where):
    for map_index, message in enumerate(messages):
        way(*message, context(map_index, **where))


@pytest.mark.parametrize("map_index", [-1, 1], ids=["task", "mapped instance"])
def test_a_retry_or_a_clear_of_a_task_sends_nothing_again(way, sent, map_index):
    """Clearing a run clears all its tasks."""
    for _ in range(2):
        way(ADA, "one", context(map_index))
    assert sent() == [(ADA, "one")]


def test_a_mapped_task_whose_instances_come_in_another_order_sends_nothing_again(way, sent):
    run(EACH, way=way)
    assert sent() == EACH
    run(reversed(EACH), way=way)
    assert sent() == []


def test_two_messages_to_one_person_from_two_instances_both_go_out_in_whatever_order(way, sent):
    two = [(ADA, "one"), (ADA, "two")]
    run(two, way=way)
    assert sent() == two
    run(reversed(two), way=way)
    assert sent() == []


def test_nobody_gets_the_same_words_from_two_instances(way, sent):
    run([(ADA, "one"), (ADA, "one")], way=way)
    assert sent() == [(ADA, "one")]


def test_nor_from_two_instances_that_run_at_once(sent):
    def send(map_index):
        DialogTechHook().send_sms(to=ADA, message="one", keys_of=partial(keys_in, context(map_index)))

    at_once = [threading.Thread(target=send, args=[n]) for n in range(4)]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()
    assert sent() == [(ADA, "one")]


def test_what_is_missing_is_sent_in_whatever_order_the_instances_come(sandbox, sent):
    send(ADA, "one", context(0))
    sandbox.fault("refused", times=1)
    with pytest.raises(AirflowFailException):
        send(ADA, "two", context(1))
    sent()
    run([(ADA, "two"), (ADA, "one")])
    assert sent() == [(ADA, "two")]


def test_a_longer_or_shorter_list_sends_what_is_new(sent):
    run(EACH)
    sent()
    new = ("5556661111", "one")
    run([new, *EACH])
    assert sent() == [new]
    run(EACH[1:])
    assert sent() == []


@pytest.mark.parametrize("map_index", [-1, 1])
def test_changed_words_of_the_same_instance_are_the_same_message(sent, caplog, map_index):
    """A template may render a time, or the try number."""
    send(ADA, "at 10:00", context(map_index))
    send(ADA, "at 10:01", context(map_index))
    assert sent() == [(ADA, "at 10:00")]
    assert "Another message to …7777 was sent under this idempotency key" in caplog.text


def test_changed_words_sent_by_hand_are_another_message(send_by_hand, sent):
    for body in ("at 10:00", "at 10:01"):
        send_by_hand(ADA, body, context())
    assert sent() == [(ADA, "at 10:00"), (ADA, "at 10:01")]


def test_rows_with_an_id_are_recognized_by_it_in_whichever_chunk(sent):
    def chunk(*ids):
        rows = [{"to": ADA, "id": id_, "body": f"order {id_}"} for id_ in ids]
        return DialogTechSendBulkSmsOperator(task_id="send", recipients=rows, message="{{ recipient.body }}")

    chunk(1, 2).execute(context(0))
    chunk(3).execute(context(1))
    assert len(sent()) == 3
    chunk(3, 1).execute(context(0))
    chunk(2).execute(context(1))
    assert sent() == []


def test_two_rows_with_the_same_words_but_different_ids_are_both_sent_once(sent):
    rows = [{"to": ADA, "id": 1}, {"to": ADA, "id": 2}]
    for _ in range(2):
        DialogTechSendBulkSmsOperator(task_id="send", recipients=rows, message="one").execute(context())
    assert sent() == [(ADA, "one")] * 2


def test_each_iteration_of_a_loop_sends_and_a_cleared_loop_sends_nothing_again(way, sent):
    for _ in range(2):
        for loop_index in range(2):
            way(ADA, "one", context(loop_index=loop_index))
    assert sent() == [(ADA, "one")] * 2


def test_a_mapped_task_in_a_loop_sends_in_each_iteration_in_whatever_order(sent):
    for loop_index in range(2):
        run(EACH[:2], loop_index=loop_index)
    assert sent() == EACH[:2] * 2
    for loop_index in range(2):
        run(reversed(EACH[:2]), loop_index=loop_index)
    assert sent() == []


def test_another_run_sends(sent):
    """A backfill is a run of its own, and so is each `airflow tasks test`."""
    time = "2026-01-02T00:00:00+00:00"
    for run_id in (f"scheduled__{time}", f"backfill__{time}", f"__airflow_temporary_run_{time}__"):
        send(ADA, "one", context(run_id=run_id))
    assert sent() == [(ADA, "one")] * 3


@pytest.mark.skipif(not IS_AIRFLOW_3, reason="Airflow 2 executes an operator in the thread of its task alone")
def test_runs_at_the_same_time_send_once_each(sent):
    runs = [threading.Thread(target=send, args=[ADA, "one", context(run_id=f"run_{n}")]) for n in range(3)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert sent() == [(ADA, "one")] * 3


def test_an_idempotency_key_of_ones_own_decides_alone(sent):
    for key, body in (("order 1", "one"), ("order 2", "one"), ("order 2", "two")):
        task = DialogTechSendSmsOperator(task_id="send", to=ADA, message=body, idempotency_key=key)
        task.execute(context(3))
    assert sent() == [(ADA, "one")] * 2
