import argparse
import subprocess

import pytest

from airflow_provider_dialogtech import cli
from airflow_provider_dialogtech.cli.commands import seconds_ago

COMMANDS = ["check", "pools", "send", "messages list", "messages look-up", "messages resolve"]


def test_a_missing_command_is_a_usage_error(run):
    ran = run()
    assert ran.code == 2
    assert "COMMAND" in ran.err


def test_the_help_of_a_group_lists_its_commands(run):
    ran = run("messages", "--help")
    assert ran.code == 0
    assert all(name in ran.out for name in ("list", "look-up", "resolve"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    ran = run(*command.split(), "--help")
    assert ran.code == 0
    assert "--output" in ran.out


def test_airflow_s_parser_accepts_the_commands():
    parser = pytest.importorskip("airflow.cli.cli_parser")
    root = argparse.ArgumentParser()
    (group,) = cli.get_dialogtech_cli_commands()
    parser._add_command(root.add_subparsers(), group)
    for command in COMMANDS:
        needed = {"send": ["5556667777", "Hi"], "messages look-up": ["1"], "messages resolve": ["1", "--sent"]}
        parsed = root.parse_args(["dialogtech", *command.split(), *needed.get(command, [])])
        assert callable(parsed.func)


def test_naming_the_commands_imports_nothing_heavy(python):
    program = (
        "import sys, airflow.cli.cli_config; before = set(sys.modules);"
        "from airflow_provider_dialogtech.cli import get_dialogtech_cli_commands as commands; commands();"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([*python, "-c", program], capture_output=True, text=True, check=True).stdout
    ours = {name for name in loaded.split() if name.startswith("airflow_provider_dialogtech.")}
    assert ours == {
        f"airflow_provider_dialogtech.{name}" for name in ("cli", "cli.commands", "journal", "journal.states")
    }


@pytest.mark.parametrize(
    ("period", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7D", 604800), (" 1h ", 3600)]
)
def test_a_period_is_parsed(period, seconds):
    assert seconds_ago(period) == seconds


@pytest.mark.parametrize("period", ["", "2", "h", "0h", "-2h", "2.5h", "2 h", "99999999999h", "4000d", "٢h", "1w"])
def test_an_invalid_period_is_refused(run, period):
    with pytest.raises(argparse.ArgumentTypeError):
        seconds_ago(period)


def test_a_wrong_argument_is_named(run):
    ran = run("messages", "list", "--since", "yesterday")
    assert ran.code == 2
    assert "argument --since: write a time like 90s, 30m, 2h or 7d" in ran.err
    assert run("messages", "list", "--limit", "0").code == 2
    assert run("messages", "resolve", "-1", "--sent").code == 2
