import json
import sqlite3
import subprocess
import threading
from contextlib import closing
from types import SimpleNamespace

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from airflow_provider_dialogtech.plugins import listener as plugin
from airflow_provider_dialogtech.plugins import pools as module
from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin
from airflow_provider_dialogtech.plugins.pools import ensure_pools, slots_of_pools


class Job:
    """What Airflow hands to the listener in a scheduler, dag-processor or triggerer."""


@pytest.fixture
def pools(metadata_db):
    """Airflow's pools, with none of ours at first."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    with create_session() as session:
        for pool in session.query(Pool).filter(Pool.pool != "default_pool"):
            session.delete(pool)
    return Pool


def start(component: object) -> None:
    (listener,) = DialogTechPlugin.listeners
    listener.on_starting(component)


def test_the_pool_is_created_with_as_many_slots_as_the_account_may_send_per_second(pools, connection):
    connection(extra={"account_per_second": 10})
    start(Job())
    assert slots_of_pools() == {"dialogtech_default": 10}


def test_an_account_without_a_limit_of_its_own_has_the_vendors_four(pools, connection):
    connection()
    start(Job())
    assert slots_of_pools() == {"dialogtech_default": 4}


def test_every_listed_connection_gets_a_pool_of_the_configured_size(pools, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "dialogtech_default, dialogtech_sales,")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__POOL_SLOTS", "8")
    assert ensure_pools() == {"dialogtech_default": "created", "dialogtech_sales": "created"}
    assert slots_of_pools() == {"dialogtech_default": 8, "dialogtech_sales": 8}


def test_a_restart_fits_the_pool_to_the_account(pools, connection):
    for per_second in (10, 6, 12):
        connection(extra={"account_per_second": per_second})
        start(Job())
        assert slots_of_pools() == {"dialogtech_default": per_second}


def test_a_connection_in_the_metadata_database_counts(pools):
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    stored = Connection(
        conn_id="dialogtech_stored", conn_type="dialogtech", login="a", password="b", extra='{"account_per_second": 7}'
    )
    with create_session() as session:
        session.add(stored)
    try:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "dialogtech_stored")
            start(Job())
            assert slots_of_pools() == {"dialogtech_stored": 7}
    finally:
        with create_session() as session:
            session.query(Connection).filter(Connection.conn_id == "dialogtech_stored").delete()


UNREADABLE = {
    "missing": None,
    "no connection at all": "{",
    "wrong": json.dumps({"conn_type": "dialogtech", "login": "a", "password": "b", "extra": {"account_per_second": 0}}),
}


@pytest.mark.parametrize("written", UNREADABLE.values(), ids=list(UNREADABLE))
def test_a_connection_that_cannot_be_read_gets_four_slots_until_it_can(pools, connection, monkeypatch, caplog, written):
    if written is not None:
        monkeypatch.setenv("AIRFLOW_CONN_DIALOGTECH_DEFAULT", written)
    start(Job())
    assert slots_of_pools() == {"dialogtech_default": 4}
    assert "The connection dialogtech_default could not be read (" in caplog.text
    connection(extra={"account_per_second": 10})
    start(Job())
    assert slots_of_pools() == {"dialogtech_default": 10}
    if written is None:
        monkeypatch.delenv("AIRFLOW_CONN_DIALOGTECH_DEFAULT")
    else:
        monkeypatch.setenv("AIRFLOW_CONN_DIALOGTECH_DEFAULT", written)
    start(Job())
    assert slots_of_pools() == {"dialogtech_default": 10}, "what is known is kept while the connection is away"


def test_a_secrets_backend_that_does_not_answer_does_not_keep_airflow_from_starting(pools, monkeypatch, caplog):
    from airflow.models.connection import Connection

    released = threading.Event()
    monkeypatch.setattr(Connection, "get_connection_from_secrets", lambda *_: released.wait())
    monkeypatch.setattr(module, "SECONDS_TO_READ", 0.1)
    start(Job())
    released.set()
    assert slots_of_pools() == {"dialogtech_default": 4}
    assert "no answer within" in caplog.text


def test_an_admins_slots_survive_a_restart_with_another_account(pools, connection):
    from airflow.utils.session import create_session

    connection(extra={"account_per_second": 10})
    start(Job())
    with create_session() as session:
        session.query(pools).filter(pools.pool == "dialogtech_default").one().slots = 2
    for per_second in (10, 6):
        connection(extra={"account_per_second": per_second})
        start(Job())
        assert slots_of_pools() == {"dialogtech_default": 2}


def test_a_pool_with_another_description_is_an_admins(pools, connection):
    from airflow.utils.session import create_session

    connection(extra={"account_per_second": 10})
    with create_session() as session:
        session.add(pools(pool="dialogtech_default", slots=4, description="ours", include_deferred=False))
    start(Job())
    assert slots_of_pools() == {"dialogtech_default": 4}


def test_an_admins_change_at_the_very_moment_of_a_resize_is_kept(pools, connection, metadata_db):
    connection(extra={"account_per_second": 10})
    start(Job())
    connection(extra={"account_per_second": 6})

    def be_faster(*_: object) -> None:
        with closing(sqlite3.connect(metadata_db)) as database, database:
            database.execute("UPDATE slot_pool SET slots = 3 WHERE pool = 'dialogtech_default'")

    def before_an_update(state: object) -> None:
        if state.is_update:
            be_faster()

    event.listen(Session, "do_orm_execute", before_an_update)
    try:
        assert ensure_pools() == {"dialogtech_default": "exists"}
    finally:
        event.remove(Session, "do_orm_execute", before_an_update)
    assert slots_of_pools() == {"dialogtech_default": 3}


def test_a_pool_that_another_component_creates_at_the_same_moment_is_left_to_it(pools, metadata_db):
    def be_faster(*_: object) -> None:
        with closing(sqlite3.connect(metadata_db)) as database, database:
            database.execute(
                "INSERT INTO slot_pool (pool, slots, description, include_deferred)"
                " VALUES ('dialogtech_default', 3, '', 0)"
            )

    event.listen(Session, "before_flush", be_faster, once=True)
    assert ensure_pools() == {"dialogtech_default": "exists"}
    assert slots_of_pools() == {"dialogtech_default": 3}


def test_a_tasks_process_touches_no_pool(pools):
    start(SimpleNamespace())
    assert slots_of_pools() == {}


def test_create_pools_off_creates_none(pools, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CREATE_POOLS", "False")
    start(Job())
    assert slots_of_pools() == {}


def test_airflow_starts_though_the_pools_cannot_be_created(pools, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__POOL_SLOTS", "many")
    start(Job())
    assert "could not be created" in caplog.text
    assert slots_of_pools() == {}


@pytest.mark.parametrize(("name", "written"), [("create_pools", "maybe"), ("conn_ids", "x" * 300)])
def test_airflow_starts_though_a_setting_is_wrong(pools, monkeypatch, caplog, name, written):
    monkeypatch.setenv(f"AIRFLOW__DIALOGTECH__{name.upper()}", written)
    start(Job())
    assert f"[dialogtech] {name} must be" in caplog.text


def test_airflow_loads_the_plugin(python):
    program = (
        "from airflow.listeners.listener import get_listener_manager as manager\n"
        "print([type(plugin).__module__ for plugin in manager().pm.get_plugins()])"
    )
    done = subprocess.run([*python, "-c", program], capture_output=True, text=True, check=True)
    assert "airflow_provider_dialogtech.plugins.listener" in done.stdout


@pytest.mark.parametrize("is_used", [True, False])
def test_the_journals_token_is_created_beside_the_pools_only_where_tasks_need_it(pools, monkeypatch, is_used):
    created = []
    monkeypatch.setattr(plugin, "tasks_use_door", lambda: is_used)
    monkeypatch.setattr(plugin, "ensure_token", lambda: created.append("token") or "created")
    start(Job())
    start(SimpleNamespace())  # a task
    assert created == ["token"] * is_used


def test_airflow_starts_though_the_token_cannot_be_created(pools, monkeypatch, caplog):
    monkeypatch.setattr(plugin, "tasks_use_door", lambda: 1 / 0)
    start(Job())
    assert "The connection dialogtech_journal could not be created" in caplog.text
