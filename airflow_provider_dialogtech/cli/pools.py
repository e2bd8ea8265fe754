"""`pools`: create, fit and list the connections' pools."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_dialogtech.cli.output import print_rows, running_command


def pools(arguments: Namespace) -> None:
    """Create the missing pools, fit the others to their accounts, and list all of them."""
    from airflow_provider_dialogtech.plugins.pools import ensure_pools, slots_of_pools

    with running_command():
        done = ensure_pools()
        rows = [
            {"pool": name, "slots": slots, "state": done.get(name, "exists")}
            for name, slots in slots_of_pools().items()
        ]
    print_rows(rows, arguments.output)
