"""What users have is the wheel: it installs without extras, is complete, says what it is and sends a message."""

import json
import re
import shutil
import zipfile
from email import message_from_string

import pytest

from airflow_provider_dialogtech.get_provider_info import get_provider_info
from airflow_provider_dialogtech.settings.fields import EXTRA_FIELDS
from tests.wheel.conftest import AIRFLOW, ROOT

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]

VERSION = tuple(map(int, AIRFLOW.split(".")[:2]))
# What Airflow knows of the provider once it has looked through what is installed.
LOOK = """
import json, warnings
warnings.simplefilter("ignore")
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
from airflow import plugins_manager
manager = ProvidersManager()
hook = manager.hooks["dialogtech"]
plugins_manager.ensure_plugins_loaded()
if hasattr(plugins_manager, "_get_plugins"):
    plugins = plugins_manager._get_plugins()[0]
else:
    plugins = plugins_manager.plugins
try:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
except ImportError:  # Airflow 2 makes its form of the hook's widgets
    fields = [name.split("__")[-1] for name in manager.connection_form_widgets if "dialogtech" in name]
else:
    (meta,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "dialogtech"]
    fields = list(meta.extra_fields or ())
print("FOUND", json.dumps({
    "hook": hook.hook_class_name,
    "fields": fields,
    "plugins": [plugin.name for plugin in plugins],
    "retention": conf.get("dialogtech", "journal_retention_days"),
}))
"""


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_string(files.read(name).decode())


def test_the_wheel_holds_what_is_no_python_too(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.startswith("airflow_provider_dialogtech/") and not name.endswith(".py")} == {
        "airflow_provider_dialogtech/py.typed",
        *(f"airflow_provider_dialogtech/sandbox/inbox/{name}" for name in ("inbox.css", "inbox.js", "index.html")),
        *(
            f"airflow_provider_dialogtech/api_server/static/{name}"
            for name in ("messages.css", "messages.html", "messages.js")
        ),
    }
    assert {name.split("/")[0].split("-")[0] for name in names} == {"airflow_provider_dialogtech"}


def test_the_extras_are_for_users_only(metadata):
    assert set(metadata.get_all("Provides-Extra")) == {"postgres", "sandbox"}


def test_the_package_index_shows_where_the_project_is_and_what_it_runs_on(metadata):
    urls = dict(url.split(", ", 1) for url in metadata.get_all("Project-URL"))
    assert set(urls) == {"Homepage", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(urls["Homepage"]) for url in urls.values())
    (integration,) = get_provider_info()["integrations"]
    assert integration["external-doc-url"] == urls["Documentation"]
    assert metadata["Author"]
    newest = max(map(int, re.findall(r"^PYTHON_FOR_.* 3\.(\d+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)))
    pythons = re.findall(r"Python :: 3\.(\d+)", "\n".join(metadata.get_all("Classifier")))
    assert list(map(int, pythons)) == list(range(10, newest + 1))


def test_every_link_of_the_readme_works_outside_of_the_repository(metadata):
    home = dict(url.split(", ", 1) for url in metadata.get_all("Project-URL"))["Homepage"]
    readme = metadata.get_payload()
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert f"{home}/raw/main/docs/inbox.png" in links
    assert f"{home}/blob/main/CHANGELOG.md" in links
    headings = {re.sub(r"[^\w\- ]", "", line.strip("# ").lower()).replace(" ", "-") for line in readme.splitlines()}
    for link in links:
        assert (
            link.removeprefix("#") in headings if link.startswith("#") else link.startswith(("https://", "http://127"))
        )


def test_airflow_lists_the_provider(installed):
    providers = installed.rows("airflow", "providers", "list")
    (ours,) = [row for row in providers if row["package_name"] == "airflow-provider-dialogtech"]
    assert ours["description"].startswith("Sends SMS messages through the DialogTech API")


def test_airflow_finds_the_hook_the_form_the_plugin_and_the_options(installed):
    printed = installed.run("python", "-c", LOOK).stdout
    found = json.loads(printed.split("FOUND ")[1].splitlines()[0])
    assert found["hook"] == "airflow_provider_dialogtech.hooks.dialogtech.DialogTechHook"
    assert "dialogtech" in found["plugins"]
    assert found["retention"] == "90"
    if VERSION not in {(3, 0), (3, 1)}:  # which show no provider's fields where Flask-AppBuilder is not installed
        assert found["fields"] == [field.name for field in EXTRA_FIELDS]


def test_the_commands_work(installed):
    command = ["airflow", "dialogtech"] if VERSION >= (3, 2) else ["python", "-m", "airflow_provider_dialogtech"]
    assert installed.rows(*command, "pools") == [{"pool": "dialogtech_default", "slots": "4", "state": "created"}]
    again = installed.rows("python", "-m", "airflow_provider_dialogtech", "pools")
    assert [row["state"] for row in again] == ["exists"]


@pytest.fixture
def connection(sandbox):
    """The settings of an Airflow whose connection leads to the sandbox, which runs from this repository."""
    return {"AIRFLOW_CONN_DIALOGTECH_DEFAULT": json.dumps(sandbox.connection())}


def test_the_connection_test_works_from_the_command_line(installed, connection):
    command = ["connections", "test", "dialogtech_default"]
    done = installed.run("airflow", *command, AIRFLOW__CORE__TEST_CONNECTION="Enabled", **connection)
    assert "Connection success!" in done.stdout
    connection["AIRFLOW_CONN_DIALOGTECH_DEFAULT"] = connection["AIRFLOW_CONN_DIALOGTECH_DEFAULT"].replace(
        "s4ndb0x", "x"
    )
    done = installed.run("airflow", *command, check=False, AIRFLOW__CORE__TEST_CONNECTION="Enabled", **connection)
    assert "DialogTech did not accept the access keys." in " ".join((done.stdout + done.stderr).split())


def test_a_task_sends_a_message(installed, sandbox, connection):
    shutil.copy(ROOT / "example_dags" / "dialogtech_daily_notification.py", installed.home / "dags")
    done = installed.run("airflow", "dags", "test", "dialogtech_daily_notification", **connection)
    assert [text["to"] for text in sandbox.accepted()] == ["5556667777"], done.stdout + done.stderr


def test_without_its_extra_the_sandbox_says_what_to_install(installed):
    done = installed.run("python", "-m", "airflow_provider_dialogtech.sandbox", "--port=0", check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith("Install it: pip install 'airflow-provider-dialogtech[sandbox]'")


SEND = """
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
DialogTechHook().send_sms(to="5556667777", message="Hi")
"""


def test_without_its_extra_a_shared_journal_says_what_to_install(installed, sandbox, connection):
    url = "postgresql+psycopg2://user@127.0.0.1/journal"
    done = installed.run("python", "-c", SEND, check=False, AIRFLOW__DIALOGTECH__JOURNAL_URL=url, **connection)
    last = done.stderr.splitlines()[-1]
    assert "InvalidConnection: The message to …7777 was not sent" in last
    assert last.endswith("Install it where Airflow runs: `pip install 'airflow-provider-dialogtech[postgres]'`.")
    assert sandbox.messages() == []
