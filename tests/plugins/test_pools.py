import sqlite3
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from airflow_provider_dialogtech.plugins.pools import DialogTechPlugin, create_missing_pools, slots_of_pools


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


def test_the_pool_is_created_with_four_slots_when_airflow_starts(pools):
    start(Job())
    assert slots_of_pools() == {"dialogtech_default": 4}


def test_every_listed_connection_gets_a_pool_of_the_configured_size(pools, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "dialogtech_default, dialogtech_sales,")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__POOL_SLOTS", "8")
    assert create_missing_pools() == ["dialogtech_default", "dialogtech_sales"]
    assert slots_of_pools() == {"dialogtech_default": 8, "dialogtech_sales": 8}


def test_an_admins_slots_survive_a_restart(pools):
    from airflow.utils.session import create_session

    start(Job())
    with create_session() as session:
        session.query(pools).filter(pools.pool == "dialogtech_default").one().slots = 2
    start(Job())
    assert slots_of_pools() == {"dialogtech_default": 2}


def test_a_pool_that_another_component_creates_at_the_same_moment_is_left_to_it(pools, metadata_db):
    def be_faster(*_: object) -> None:
        with closing(sqlite3.connect(metadata_db)) as database, database:
            database.execute(
                "INSERT INTO slot_pool (pool, slots, description, include_deferred)"
                " VALUES ('dialogtech_default', 3, '', 0)"
            )

    event.listen(Session, "before_flush", be_faster, once=True)
    assert create_missing_pools() == []
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


def test_airflow_loads_the_plugin():
    program = (
        "from airflow.listeners.listener import get_listener_manager as manager\n"
        "print([type(plugin).__module__ for plugin in manager().pm.get_plugins()])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "airflow_provider_dialogtech.plugins.pools" in done.stdout
