"""Every snippet in the README works as it stands."""

import configparser
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from airflow_provider_dialogtech._compat import BaseHook
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.hooks.config import OPTIONS
from airflow_provider_dialogtech.hooks.settings import ConnectionSettings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands(beginning: str) -> list[str]:
    return [line for snippet in snippets("bash") for line in snippet.splitlines() if line.startswith(beginning)]


@pytest.mark.parametrize("snippet", snippets("python"), ids=lambda snippet: snippet.strip().splitlines()[-1][:40])
def test_python_runs(snippet, sandbox_connection, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT / "example_dags")
    for name in re.findall(r"from airflow\.sdk import (.*?)(?:  #|$)", snippet, re.MULTILINE):
        _skip_without(name.split(", "))
    exec(compile(snippet, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102 - our own README


def _skip_without(names):
    sdk = pytest.importorskip("airflow.sdk", reason="the README is written for Airflow 3 and says what 2.11 needs")
    missing = [name for name in names if not hasattr(sdk, name)]
    if missing:
        pytest.skip(f"this Airflow has no {missing[0]} yet, and the README says since when")


def test_every_kind_of_snippet_is_tested_here():
    languages = set(re.findall(r"^```(\w+)$", README, re.MULTILINE))
    assert languages == {"python", "bash", "ini", "json"}


@pytest.mark.parametrize("command", commands("make "))
def test_the_make_targets_exist(command):
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_connection_is_read_as_it_is_written_in_json_and_in_a_uri(tmp_path):
    exports = [snippet for snippet in snippets("bash") if snippet.startswith("export AIRFLOW_CONN")]
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


@pytest.mark.parametrize("snippet", snippets("ini"))
def test_the_settings_exist(snippet):
    parser = configparser.ConfigParser()
    parser.read_string(snippet)
    assert set(parser["dialogtech"]) <= set(OPTIONS)


def test_the_xcom_is_what_the_operator_returns():
    (shown,) = snippets("json")
    assert list(json.loads(shown)) == [name.rstrip("_") for name in SendResult.__annotations__]


def test_the_pools_command_runs(metadata_db):
    (command,) = commands("python -m airflow_provider_dialogtech pools")
    done = subprocess.run([sys.executable, *command.split()[1:]], capture_output=True, text=True, check=True)
    assert "dialogtech_default" in done.stdout


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
        assert requests.post(url, body, timeout=30).json()["fault"] == "reset_after_accept"
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
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
