"""Installing the package changes nothing for a DAG that does not use it."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow import __version__ as airflow_version
from airflow import settings
from airflow.listeners.listener import get_listener_manager
from airflow.policies import hookimpl

from airflow_provider_dialogtech.plugins import policy
from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # up to Airflow 3.1
    from airflow.models.dagbag import DagBag
try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # up to Airflow 3.1
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

(LISTENER,) = DialogTechPlugin.listeners
AIRFLOW = Path(settings.__file__).parent
EXAMPLES = (AIRFLOW / "example_dags", AIRFLOW / "providers" / "standard" / "example_dags")
IS_AIRFLOW_2 = airflow_version.startswith("2.")
END_FROM_TRIGGER = """
from datetime import datetime, time, timedelta, timezone

from airflow.{sensors}.date_time import DateTimeSensorAsync
from airflow.{sensors}.time_delta import TimeDeltaSensorAsync
from airflow{sdk} import DAG

with DAG("ends_from_trigger", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    DateTimeSensorAsync(task_id="moment", target_time="2026-01-01T00:00:00+00:00", end_from_trigger=True)
    TimeDeltaSensorAsync(task_id="delta", delta=timedelta(seconds=1), end_from_trigger=True)
"""
PLACES = {"sensors": "sensors", "sdk": ""} if IS_AIRFLOW_2 else {"sensors": "providers.standard.sensors", "sdk": ".sdk"}

# Airflow 2 reads its database to parse a DAG.
pytestmark = [pytest.mark.usefixtures("metadata_db")] if IS_AIRFLOW_2 else []


@pytest.fixture
def end_from_trigger(tmp_path):
    """A folder with a DAG whose tasks end in the triggerer."""
    (tmp_path / "ends_from_trigger.py").write_text(END_FROM_TRIGGER.format(**PLACES))
    return tmp_path


@pytest.fixture
def policies():
    """Airflow's policies, where ours is registered once more after the test."""
    plugins = (
        settings.get_policy_plugin_manager()
        if hasattr(settings, "get_policy_plugin_manager")
        else settings.POLICY_PLUGIN_MANAGER
    )
    assert plugins.is_registered(policy)
    yield plugins
    if not plugins.is_registered(policy):
        plugins.register(policy)


def parsed(folder):
    """Return what Airflow makes of the DAGs in a folder, and its errors."""
    bag = DagBag(str(folder))
    return {dag_id: _serialized(dag) for dag_id, dag in bag.dags.items()}, bag.import_errors


def _serialized(dag):
    try:
        written = json.dumps(DagSerialization.to_dict(dag), sort_keys=True)
        return re.sub(r"0x[0-9a-f]+", "0x", written)  # the address of an object
    except Exception as error:  # one example needs a plugin of its own
        return repr(error)


def without_us(policies):
    policies.unregister(policy)
    get_listener_manager().clear()


def test_airflow_parses_and_serializes_other_dags_as_without_the_package(policies, end_from_trigger):
    folders = [folder for folder in (*EXAMPLES, end_from_trigger) if folder.exists()]
    get_listener_manager().add_listener(LISTENER)
    with_us = [parsed(folder) for folder in folders]
    without_us(policies)
    for (dags, errors), (dags_without, errors_without) in zip(with_us, map(parsed, folders), strict=True):
        assert errors == errors_without
        assert dags.keys() == dags_without.keys()
        for dag_id, dag in dags.items():
            assert dag == dags_without[dag_id], dag_id
    assert list(with_us[-1][0]) == ["ends_from_trigger"]


def test_the_listener_of_another_plugin_is_left_alone(end_from_trigger):
    another = object()
    manager = get_listener_manager()
    manager.add_listener(LISTENER)
    manager.add_listener(another)
    try:
        _, errors = parsed(end_from_trigger)
    finally:
        manager.pm.unregister(another)
    assert "Listeners are not supported with end_from_trigger=True" in str(errors)


def test_a_tasks_processes_get_its_map_index():
    context = {"ti": SimpleNamespace(map_index=3)}
    assert settings.get_airflow_context_vars(context) == {"map_index": "3"}
    in_a_loop = context | {"loop": SimpleNamespace(index=2)}
    assert settings.get_airflow_context_vars(in_a_loop) == {"map_index": "3", "loop_index": "2"}
    assert settings.get_airflow_context_vars({}) == {}, "a task runs without it, too"


def test_the_variables_of_an_admin_stay(policies):
    admin = SimpleNamespace(get_airflow_context_vars=hookimpl(lambda context: {"team": "warehouse"}))
    policies.register(admin)
    try:
        assert settings.get_airflow_context_vars({"ti": SimpleNamespace(map_index=0)}) == {
            "team": "warehouse", "map_index": "0"
        }  # fmt: skip
    finally:
        policies.unregister(admin)
