"""`texts look-up`: print whether DialogTech lists a text."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_dialogtech.cli.output import UNKNOWN, print_record, running_command, stop
from airflow_provider_dialogtech.cli.texts import open_texts, time_of


def look_up(arguments: Namespace) -> None:
    """Ask DialogTech whether it lists a text, and print what that means."""
    from airflow_provider_dialogtech.operations.look_up import look_up as ask

    with running_command():
        texts = open_texts()
        text = texts.get(arguments.id)
        if text is None:
            stop(f"The journal has no text {arguments.id}. See `texts list`.")
        found = ask(text, texts, arguments.conn_id)
    row = {
        "id": text.id,
        "state": text.state,
        "time": time_of(text),
        "to": f"…{text.recipient_tail}",
        "asked for": f"{found.first} to {found.last}" + (f", {found.number}" if found.number else ""),
        "listed": found.listed,
        "listed like it": len(found.times),
        "at (as listed)": ", ".join(filter(None, found.times)),
        "sent, says the journal": found.sent,
        "in doubt, says the journal": found.in_doubt,
        "what it means": found.meaning,
    }
    print_record(row, arguments.output)
    if not found.is_more_than_known:
        raise SystemExit(UNKNOWN)
