"""The documentation shows the existing commands and metrics."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from airflow_provider_dialogtech.cli.commands import parser
from airflow_provider_dialogtech.delivery.result import OUTCOMES
from airflow_provider_dialogtech.journal import metrics
from tests.cli.test_messages import SEND

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS, METRICS, ON_CALL = (
    (DOCS / page).read_text(encoding="utf-8") for page in ("commands.md", "metrics.md", "on-call.md")
)
ALL = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
SHOWN = re.findall(r"^\$ airflow dialogtech (.*)$", ALL, re.MULTILINE)


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_shown_exists(command):
    assert callable(parser().parse_args(shlex.split(command)).func)


def test_each_command_is_shown():
    sections = re.findall(r"^## `([a-z -]+?)(?: [A-Z|-].*)?`$", COMMANDS, re.MULTILINE)
    assert sorted(section.strip() for section in sections) == [
        "check", "messages carry-over", "messages list", "messages look-up", "messages prune", "messages resolve",
        "pools", "send",
    ]  # fmt: skip


@pytest.mark.usefixtures("metadata_db", "sandbox_connection")
def test_many_messages_in_doubt_are_settled_as_shown(run, rows_of, sandbox, python):
    sandbox.fault("reset_after_accept", times=2)
    assert [run(*SEND).code for _ in range(2)] == [3, 3]
    scripts = re.findall(r"^```bash\n(.*?)^```", ON_CALL, re.MULTILINE | re.DOTALL)
    (script,) = (script for script in scripts if "xargs" in script)
    ours = shlex.join([*python, "-m", "airflow_provider_dialogtech"])
    script = script.replace("airflow dialogtech", ours).replace("python -c", "python3 -c")
    done = subprocess.run(
        ["bash", "-ceuo", "pipefail", script], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert [row["state"] for row in rows_of("messages", "list")][:2] == ["unsent", "unsent"]


def test_every_metric_is_in_the_table():
    named = set(re.findall(r"`(?:dialogtech)?\.?([a-z_.]+)`", METRICS))
    outcomes = {name for _, name in OUTCOMES} | {"sent", "already_sent", "held_back", "stopped"}
    assert {name.removeprefix("messages.") for name in named} >= outcomes
    assert named >= {metrics.WAITED, metrics.THROTTLED_REPLIES, metrics.MISSED_SLOTS, "alerts.sent", "suppressed"}
    assert {"journal.reserve", "start", "settle"} <= named
