import json

import pytest

from airflow_provider_dialogtech.decorators.sms import dialogtech_sms_task
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator

try:
    from airflow.sdk import DAG, TaskGroup
except ImportError:
    from airflow import DAG
    from airflow.utils.task_group import TaskGroup

ARGUMENTS = {"task_id": "send", "message": "hello"}


@pytest.fixture(params=["single", "mapped", "function", "mapped function"])
def pool_of_task(request):
    """Return the pool of a task as Airflow's scheduler reads it, from the serialised DAG."""

    def pool_of(*, default_args=None, group_args=None, **arguments):
        with (
            DAG("messages", schedule=None, default_args=default_args or {}) as dag,
            TaskGroup("group", prefix_group_id=False, default_args=group_args or {}),
        ):
            if request.param == "single":
                DialogTechSendSmsOperator(to="5556667777", **ARGUMENTS, **arguments)
            elif "function" in request.param:
                send = dialogtech_sms_task(lambda to: {"to": to, "message": "hello"}, task_id="send", **arguments)
                send("5556667777") if request.param == "function" else send.expand(to=["5556667777"])
            else:
                DialogTechSendSmsOperator.partial(**ARGUMENTS, **arguments).expand(to=["5556667777"])
        return serialised_pool(dag)

    return pool_of


def serialised_pool(dag) -> str:
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialization
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG as Serialization
    stored = json.dumps(Serialization.to_dict(dag))
    return Serialization.from_dict(json.loads(stored)).get_task("send").pool


def test_the_default_connections_tasks_are_in_its_pool(pool_of_task):
    assert pool_of_task() == "dialogtech_default"


def test_a_listed_connections_tasks_are_in_its_pool(pool_of_task, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "dialogtech_default,dialogtech_sales")
    assert pool_of_task(dialogtech_conn_id="dialogtech_sales") == "dialogtech_sales"


def test_a_connection_from_default_args_counts(pool_of_task, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "dialogtech_sales")
    assert pool_of_task(default_args={"dialogtech_conn_id": "dialogtech_sales"}) == "dialogtech_sales"
    assert pool_of_task(group_args={"dialogtech_conn_id": "dialogtech_sales"}) == "dialogtech_sales"


@pytest.mark.parametrize("conn_id", ["unlisted", "{{ params.connection }}"])
def test_any_other_connections_tasks_stay_in_the_default_pool(pool_of_task, conn_id):
    assert pool_of_task(dialogtech_conn_id=conn_id) == "default_pool"


def test_an_unlisted_default_connections_tasks_stay_in_the_default_pool(pool_of_task, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "")
    assert pool_of_task() == "default_pool"


@pytest.mark.parametrize("pool", ["own_pool", "default_pool"])
def test_an_explicit_pool_wins(pool_of_task, pool):
    assert pool_of_task(pool=pool) == pool
    assert pool_of_task(default_args={"pool": pool}) == pool
    assert pool_of_task(group_args={"pool": pool}) == pool


def test_an_operators_pool_beats_default_args(pool_of_task):
    assert pool_of_task(default_args={"pool": "theirs"}, pool="own_pool") == "own_pool"


def mapped_pool(expand) -> str:
    with DAG("messages", schedule=None) as dag:
        expand(DialogTechSendSmsOperator.partial(**ARGUMENTS))
    return serialised_pool(dag)


def test_tasks_mapped_over_connections_are_in_the_default_connections_pool():
    arguments = {"to": ["5556667777"], "dialogtech_conn_id": ["dialogtech_default", "other"]}
    assert mapped_pool(lambda partial: partial.expand(**arguments)) == "dialogtech_default"
    rows = [{"to": "5556667777", "dialogtech_conn_id": "other"}]
    assert mapped_pool(lambda partial: partial.expand_kwargs(rows)) == "dialogtech_default"


def test_mapped_rows_without_a_connection_are_in_the_default_connections_pool():
    rows = [{"to": "5556667777"}, {"to": "5556667778"}]
    assert mapped_pool(lambda partial: partial.expand_kwargs(rows)) == "dialogtech_default"
