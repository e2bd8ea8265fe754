import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from airflow_provider_dialogtech import get_provider_info as module
from airflow_provider_dialogtech.get_provider_info import get_provider_info
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.settings.connection import ConnectionSettings
from airflow_provider_dialogtech.settings.fields import EXTRA_FIELDS
from tests.running import run_command

AIRFLOW = Path(importlib.util.find_spec("airflow").origin).parent


@pytest.fixture(scope="module")
def providers():
    from airflow.providers_manager import ProvidersManager

    return ProvidersManager()


def test_the_metadata_keep_airflows_own_schema():
    schema = json.loads((AIRFLOW / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_airflow_discovers_the_provider_under_its_distributions_name(providers):
    known = providers.providers["airflow-provider-dialogtech"].data
    assert known.items() >= get_provider_info().items()


def test_airflow_finds_the_hook_of_the_connection_type(providers):
    hook = providers.hooks["dialogtech"]
    assert hook.hook_name == "DialogTech SMS"
    assert hook.connection_id_attribute_name == "dialogtech_conn_id"
    assert hook.hook_class_name == "airflow_provider_dialogtech.hooks.dialogtech.DialogTechHook"


def test_every_named_module_and_class_exists():
    info = get_provider_info()
    modules = [name for role in ("operators", "hooks") for entry in info[role] for name in entry["python-modules"]]
    assert all(importlib.util.find_spec(name) for name in modules)
    for path in [info["connection-types"][0]["hook-class-name"], *info["cli"]]:
        module_name, name = path.rsplit(".", 1)
        assert hasattr(importlib.import_module(module_name), name)


def test_airflow_takes_an_options_default_from_the_metadata():
    assert run_command("config", "get-value", "dialogtech", "journal_retention_days").split()[-1] == "90"


def test_every_option_is_described_with_a_default_of_message():
    options = get_provider_info()["config"]["dialogtech"]["options"]
    assert set(options) == {
        "journal_url",
        "journal_conn_id",
        "allow_local_journal",
        "journal_retention_days",
        "conn_ids",
        "pool_slots",
        "create_pools",
        "alert_on",
        "alert_conn_id",
        "namespace",
    }
    assert all(isinstance(option["default"], str) and option["description"] for option in options.values())
    assert options["journal_url"]["sensitive"] is True


def test_the_form_offers_every_setting_the_connection_reads():
    in_settings = set(ConnectionSettings.__dataclass_fields__) - {"conn_id", "access_key", "secret_access_key", "url"}
    limits = set(RateLimits.__dataclass_fields__)
    assert {field.name for field in EXTRA_FIELDS} == in_settings - {"limits", "account_name"} | limits | {"account"}


def test_reading_the_metadata_imports_nothing_heavy():
    program = f"import sys, {module.__name__} as m; m.get_provider_info(); print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"airflow", "requests", "sqlalchemy", "phonenumbers", "defusedxml", "tenacity"} & set(loaded)
