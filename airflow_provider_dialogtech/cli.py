"""`airflow dialogtech …` (Airflow 3.2 and newer) and `python -m airflow_provider_dialogtech …` (every version)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import ActionCommand, CLICommand

_HELP = "Text people through DialogTech"


def get_dialogtech_cli_commands() -> list[CLICommand]:
    """Return the commands for Airflow's own command line."""
    from airflow.cli.cli_config import GroupCommand

    return [GroupCommand(name="dialogtech", help=_HELP, subcommands=_commands())]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command without Airflow's command line.

    :param arguments: the command and its arguments; by default the process's own.
    """
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_dialogtech", description=_HELP)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _commands():
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        for argument in command.args:
            argument.add_to_parser(subparser)
        subparser.set_defaults(run=command.func)
    parsed = parser.parse_args(arguments)
    parsed.run(parsed)


def _commands() -> tuple[ActionCommand, ...]:
    from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand

    return (
        ActionCommand(
            name="pools",
            help="Create the connections' missing pools, fit the others to their accounts, and list all of them",
            func=_pools,
            args=(ARG_OUTPUT,),
        ),
    )


def _pools(arguments: argparse.Namespace) -> None:
    from airflow.cli.simple_table import AirflowConsole

    from airflow_provider_dialogtech.exceptions import InvalidConnection
    from airflow_provider_dialogtech.plugins.pools import ensure_pools, slots_of_pools

    try:
        done = ensure_pools()
    except InvalidConnection as error:
        raise SystemExit(str(error)) from None
    AirflowConsole().print_as(
        data=[
            {"pool": name, "slots": str(slots), "state": done.get(name, "exists")}
            for name, slots in slots_of_pools().items()
        ],
        output=arguments.output,
    )
