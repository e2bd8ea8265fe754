"""`make` builds an environment anew when it is asked for another Python, and keeps bytecode."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def would_run(tmp_path):
    """Return what `make demo` would run with a Python of one version where that of another built the environment."""
    if shutil.which("make") is None:
        pytest.skip("needs make")
    for name in ("Makefile", "pyproject.toml", "constraints"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)

    def run(version: str, built_with: str) -> str:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\necho {version}\n")
        python.chmod(0o755)
        (tmp_path / ".venv").mkdir()
        (tmp_path / ".venv" / f".installed-{built_with}").touch()
        command = ["make", "--dry-run", "demo", f"PYTHON={python}"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    return run


def test_the_environment_of_the_same_python_is_used(would_run):
    commands = would_run("3.12.1", built_with="3.12.1")
    assert "-m venv" not in commands
    assert "-m demo" in commands


def test_the_environment_of_another_python_is_made_anew(would_run):
    assert "-m venv --clear .venv\n" in would_run("3.12.1", built_with="3.11.7")


def test_bytecode_is_kept_wherever_it_is_run():
    if shutil.which("make") is None:
        pytest.skip("needs make")
    rule = "say: ; @echo $${PYTHONDONTWRITEBYTECODE-kept}"
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = ["make", "--no-print-directory", "--eval", rule, "say"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "kept\n"


def test_the_workflow_tests_every_airflow_that_make_tests():
    makefile, workflow = (ROOT / "Makefile").read_text(), (ROOT / ".github/workflows/ci.yml").read_text()
    newest = re.search(r"^NEWEST := (.+)$", makefile, re.MULTILINE)[1]
    tested = re.search(r"^MATRIX := (.+)$", makefile, re.MULTILINE)[1].replace("$(NEWEST)", newest).split()
    assert set(re.findall(r"airflow: ([\w.]+)", workflow)) == set(tested)


def test_what_builds_the_packages_is_pinned_by_hash():
    makefile, locked = (ROOT / "Makefile").read_text(), (ROOT / "constraints/build.txt").read_text()
    assert "--require-hashes" in makefile
    for requirement in locked.replace("\\\n", "").splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+ +(--hash=sha256:[0-9a-f]{64} *)+", requirement), requirement


def test_every_action_is_pinned_by_digest_and_keeps_no_credentials():
    for workflow in (ROOT / ".github/workflows").glob("*.yml"):
        steps = re.split(r"^ *- (?=\w+:)", workflow.read_text(), flags=re.MULTILINE)
        for step in steps:
            if used := re.search(r"uses: (\S+)", step):
                assert used[1].startswith("./") or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", used[1]), used[1]
                assert "actions/checkout" not in step or "persist-credentials: false" in step


def test_only_a_commit_of_main_is_released():
    release = (ROOT / ".github/workflows/release.yml").read_text()
    assert 'git merge-base --is-ancestor "$GITHUB_SHA" origin/main' in release
    assert "needs: [ci, tag]" in release
