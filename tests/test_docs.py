"""Every snippet of the documentation works as it stands. (test_readme.py does the same for the README.)"""

import configparser
import json
import re
import subprocess
from pathlib import Path

import pytest

from airflow_provider_dialogtech.delivery.store import Store
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.settings.config import OPTIONS
from airflow_provider_dialogtech.settings.contacts import Contacts
from tests.test_readme import _imports as imports_for_this_airflow
from tests.test_readme import new_postgres

__all__ = ["new_postgres"]

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
# A page of the site is made of these; no reader runs them.
SHOWN_ONLY = {"mermaid", "text"}
# Commands that other tests run: tests/wheel installs, tests/system runs DAGs, tests/delivery opens journals.
RUN_ELSEWHERE = (
    "pip install 'airflow-provider-dialogtech[sandbox]'",
    "airflow dags test first_text",
    'python -c "import sys; from airflow_provider_dialogtech.delivery.store import Store; '
    'Store(sys.argv[1]).open()" \\',
    "'postgresql+psycopg2://dialogtech_owner:…@host/database'",
)


def snippets(language: str) -> list[object]:
    """Return all snippets in a language, each named by its page and its place there."""
    return [
        pytest.param(found, id=f"{page.stem}-{place}")
        for page in PAGES
        for place, found in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        )
    ]


@pytest.mark.parametrize("snippet", snippets("python"))
def test_python_runs(snippet, sandbox_connection, monkeypatch):
    monkeypatch.chdir(ROOT / "example_dags")
    snippet = re.sub(
        r"from airflow\.sdk import (.*?)(?:  #.*)?$", imports_for_this_airflow, snippet, flags=re.MULTILINE
    )
    if "operators.hitl" in snippet:
        pytest.importorskip("airflow.providers.standard.operators.hitl", reason="this Airflow asks nobody")
    exec(compile(snippet, "docs", "exec"), {"__name__": "docs"})  # noqa: S102 - our own documentation


@pytest.mark.parametrize("snippet", snippets("ini"))
def test_the_settings_exist(snippet):
    parser = configparser.ConfigParser()
    parser.read_string(snippet)
    assert set(parser["dialogtech"]) <= set(OPTIONS)


def test_every_kind_of_snippet_is_tested():
    kinds = {kind for page in PAGES for kind in re.findall(r"^```(\w+)", page.read_text(), re.MULTILINE)}
    assert kinds <= {"python", "ini", "bash", "sql", "json", *SHOWN_ONLY}


@pytest.mark.parametrize("snippet", snippets("json"))
def test_an_extra_is_read(snippet, connection):
    connection(extra=json.loads(snippet))
    assert DialogTechHook().settings.contacts != Contacts()


@pytest.mark.parametrize("snippet", snippets("bash"))
def test_every_command_is_one_that_a_test_runs(snippet):
    tested = (ROOT / "README.md").read_text() + "\n".join(RUN_ELSEWHERE)
    for line in filter(None, map(str.strip, snippet.splitlines())):
        assert line in tested


@pytest.mark.parametrize("snippet", snippets("sql"))
def test_sql_runs_where_a_journal_is(snippet, new_postgres):
    Store(new_postgres.get_uri("postgres", driver="psycopg2")).open()
    command = [new_postgres.bin_path / "psql", "-v", "ON_ERROR_STOP=1", new_postgres.get_uri("postgres")]
    done = subprocess.run(command, input=snippet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_troubleshooting_quotes_is_what_the_code_says():
    code = "\n".join(file.read_text() for file in (ROOT / "airflow_provider_dialogtech").rglob("*.py"))
    # A sentence in the code may go on in the next line.
    joined = re.sub(r"\s+", " ", re.sub(r'"\s*\n\s*f?"', "", code)).casefold()
    rows = re.findall(r"^\| (\".*?) \|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    quoted = [part for row in rows for quote in re.findall(r'"([^"]+)"', row) for part in quote.split("…")]
    assert len(quoted) > 15
    for words in quoted:
        assert words.strip().casefold() in joined, words
