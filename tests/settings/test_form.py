import json
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec

import pytest

from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.settings import fields as form
from airflow_provider_dialogtech.settings.fields import FIELDS

NAMES = list(FIELDS)


def test_the_declared_form_has_every_field_optional():
    fields = form.declared_fields()
    assert list(fields) == NAMES
    assert all(field["schema"]["type"][1] == "null" for field in fields.values())
    assert fields["http_method"]["schema"]["enum"] == ["GET", "POST"]


def test_the_keys_are_called_as_dialogtech_calls_them():
    behaviour = form.declared_behaviour()
    assert behaviour["relabeling"] == {
        "login": "Access key",
        "password": "Secret access key",
        "host": "API URL",
    }
    assert DialogTechHook.get_ui_field_behaviour()["relabeling"] == behaviour["relabeling"]
    assert DialogTechHook.get_ui_field_behaviour()["hidden_fields"] == behaviour["hidden-fields"]


def test_the_hooks_form_has_the_same_fields_where_airflow_asks_the_hook():
    pytest.importorskip("flask_appbuilder", reason="this Airflow has no Flask form")
    widgets = DialogTechHook.get_connection_form_widgets()
    assert list(widgets) == NAMES
    assert widgets["timeout"].field_class.__name__ == "IntegerField"


def test_the_declared_form_has_the_bounds_of_the_checks():
    schema = {name: field["schema"] for name, field in form.declared_fields().items()}
    assert (schema["account_per_second"]["minimum"], schema["account_per_second"]["maximum"]) == (1, 1000)
    assert (schema["timeout"]["type"][0], schema["timeout"]["minimum"]) == ("number", 0.1)
    assert schema["account"]["maxLength"] == 250


@pytest.mark.parametrize(("written", "taken"), [("0", False), ("1", True), ("1000", True), ("1001", False), ("", True)])
def test_the_hooks_form_has_the_bounds_of_the_checks(written, taken):
    pytest.importorskip("flask_appbuilder", reason="this Airflow has no Flask form")
    from werkzeug.datastructures import MultiDict
    from wtforms import Form

    widgets = DialogTechHook.get_connection_form_widgets()
    filled = type("Filled", (Form,), widgets)(MultiDict({"account_per_second": written}))
    assert filled.validate() is taken


# In its own process: up to 3.1 the providers' forms are read once, and here in the same way as in the API.
SERVE = """
import json
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
(meta,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "dialogtech"]
print("SERVED", meta.model_dump_json())
"""


def test_airflow_serves_the_form(python):
    if find_spec("airflow.api_fastapi") is None:
        pytest.skip("Airflow 2 makes its form of the hook's widgets")
    if version("apache-airflow").startswith("3.0.") and find_spec("flask_appbuilder") is None:
        pytest.skip("without Flask-AppBuilder, Airflow 3.0 shows no provider's fields")
    done = subprocess.run([*python, "-c", SERVE], capture_output=True, text=True, check=True)
    served = json.loads(done.stdout.split("SERVED ")[1].splitlines()[0])
    assert list(served["extra_fields"]) == NAMES
    assert served["extra_fields"]["from_numbers"]["schema"]["title"] == "From numbers"
    # On Python 3.10, Airflow 3.1 shows no provider's choices: it patches another class than providers import.
    if not (version("apache-airflow").startswith("3.1.") and sys.version_info < (3, 11)):
        assert served["extra_fields"]["http_method"]["schema"]["enum"] == ["GET", "POST"]
    assert served["standard_fields"]["password"]["title"] == "Secret access key"
    assert served["standard_fields"]["url_schema"]["hidden"]
    # What people cannot see in the form of 3.3 is said in the fields that they see.
    assert not served["standard_fields"]["port"]["hidden"]
    assert "write 0" in served["standard_fields"]["port"]["placeholder"]
    assert "From numbers" in served["standard_fields"]["password"]["placeholder"]
