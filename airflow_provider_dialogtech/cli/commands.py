"""The commands. Airflow imports this file for each of its own commands, so it imports nothing heavy."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

_HELP = "Send SMS messages through DialogTech, list and settle them"
_CONN_ID = "dialogtech_default"
_PACKAGE = "airflow_provider_dialogtech.cli"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# The longest retention of the journal.
_LONGEST = 3650 * 86400


def get_dialogtech_cli_commands() -> list[CLICommand]:
    """Return the commands for Airflow's own command line."""
    from airflow.cli.cli_config import GroupCommand

    return [GroupCommand(name="dialogtech", help=_HELP, subcommands=_commands())]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command without Airflow's command line.

    :param arguments: the command and its arguments; by default those of the process.
    """
    parsed = parser().parse_args(arguments)
    parsed.func(parsed)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the commands."""
    from airflow_provider_dialogtech.cli.output import logs_on_stderr

    made = argparse.ArgumentParser(prog="python -m airflow_provider_dialogtech", description=_HELP)
    with logs_on_stderr():
        _add_commands(made, _commands())
    return made


def seconds_ago(period: str) -> float:
    """Parse a period like `90s`, `30m`, `2h` or `7d` into seconds.

    :raises argparse.ArgumentTypeError: when it is invalid, or longer than the journal's longest retention.
    """
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", period.strip().lower(), re.ASCII)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError("write a time like 90s, 30m, 2h or 7d")
    return float(seconds)


def _whole_number(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) or not int(value):
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(value)


def _add_commands(parser: argparse.ArgumentParser, commands: Iterable[Any]) -> None:
    """Add commands, and groups of commands, as Airflow's own command line does."""
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        subparser = subparsers.add_parser(
            command.name, help=command.help, description=command.description or command.help, epilog=command.epilog
        )
        if hasattr(command, "subcommands"):
            _add_commands(subparser, command.subcommands)
            continue
        for argument in command.args:
            argument.add_to_parser(subparser)
        subparser.set_defaults(func=command.func)


def _argument(name: str, **options: Any) -> Any:
    from airflow.cli import cli_config

    untyped: Any = cli_config.Arg
    return untyped((name,), **options)


def _command(name: str, purpose: str, function: str, *arguments: Any, prints: bool = True, epilog: str = "") -> Any:
    """Return a command, whose function is imported when it runs.

    :param function: its place below `cli`.
    :param prints: whether it prints rows, in the form that `--output` names.
    """
    from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, lazy_load_command

    return ActionCommand(
        name=name,
        help=purpose,
        func=lazy_load_command(f"{_PACKAGE}.{function}"),
        args=(*arguments, ARG_OUTPUT) if prints else arguments,
        epilog=epilog or None,
    )


def _commands() -> tuple[CLICommand, ...]:
    from airflow.cli.cli_config import GroupCommand

    return (
        _command(
            "check",
            "Check the connection, the keys, the numbers, the pool and the journal",
            "check.check",
            _conn_id(),
            epilog="Sends nothing. Exit code: 0 when every check passes, else 1.",
        ),
        _command(
            "pools",
            "Create missing pools of connections, resize the others to their accounts, and list all pools",
            "send.pools",
        ),
        _send_command(),
        GroupCommand(
            name="messages", help="List messages, and settle those in doubt", subcommands=_messages_commands()
        ),
    )


def _send_command() -> Any:
    return _command(
        "send",
        "Send a message, within the limits, as a task does",
        "send.send",
        _argument(
            "to",
            help="The recipient's number (of the US, if it has no + and country code); - reads it from standard input",
            metavar="TO",
        ),
        _argument(
            "message", help="The body, at most 256 characters; - reads it from standard input", metavar="MESSAGE"
        ),
        _conn_id(),
        _argument("--idempotency-key", help="Messages with the same key are sent once; by default each call sends"),
        _argument(
            "--dry-run", help="Show the message as it would be sent; send and reserve nothing", action="store_true"
        ),
        epilog="With - for both, the first line of standard input is the number. Other users of this machine see the "
        "arguments of commands, not their standard input. Exit code: 0 sent, 1 not sent, 3 it may have been sent.",
    )


def _messages_commands() -> tuple[Any, ...]:
    from airflow_provider_dialogtech.journal.states import State

    id_ = _argument("id", help="The message's id, as `messages list` shows it", metavar="ID", type=_whole_number)
    return (
        _command(
            "list",
            "List the messages in the journal, the newest first",
            "messages.list_messages",
            _argument("--state", help="Only messages in this state", choices=[state.value for state in State]),
            _argument("--since", help="Only messages of the last 90s, 30m, 2h, 7d, …", type=seconds_ago, default="7d"),
            _argument("--dag-id", help="Only messages of this DAG"),
            _argument("--limit", help="The most messages to list", type=_whole_number, default=100),
        ),
        _command(
            "look-up",
            "Ask DialogTech whether it lists a message; this settles nothing",
            "messages.look_up",
            id_,
            _argument("--conn-id", help="The connection that sent it; by default that of its account"),
            epilog="Exit code: 0 when DialogTech lists more such messages than the journal has as sent, 3 when not, "
            "1 when it could not be asked.",
        ),
        _command(
            "resolve",
            "Settle a message in doubt: its task then succeeds without sending, or sends",
            "messages.resolve",
            id_,
            _argument("--sent", help="It was sent: the next attempt sends nothing", action="store_true"),
            _argument("--unsent", help="It was not sent: the next attempt sends it", action="store_true"),
            epilog="Exit code: 0 settled, 1 not settled, because it is not in doubt.",
        ),
        *_upkeep_commands(),
    )


def _upkeep_commands() -> tuple[Any, ...]:
    return (
        _command(
            "carry-over",
            "Copy the messages of an earlier journal's file into this journal; a second run copies only new ones",
            "messages.carry_over",
            _argument("--from", help="The file; by default the one in AIRFLOW_HOME", dest="file", metavar="FILE"),
            prints=False,
            epilog="Exit code: 0 carried over, 1 not, for instance because messages are under way.",
        ),
        _command(
            "prune",
            "Delete the messages that are older than journal_retention_days, as the scheduler does twice a day",
            "messages.prune",
            prints=False,
            epilog="After that their idempotency keys are forgotten: a task cleared later sends again.",
        ),
    )


def _conn_id() -> Any:
    return _argument("--conn-id", help="The connection of type dialogtech", default=_CONN_ID)
