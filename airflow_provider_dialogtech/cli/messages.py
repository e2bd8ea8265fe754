"""The commands `messages …`: list messages, settle those in doubt, and delete old ones."""

from __future__ import annotations

import os
import pwd
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from airflow_provider_dialogtech.cli.output import UNKNOWN, USAGE, print_record, print_rows, running_command, say, stop
from airflow_provider_dialogtech.exceptions import DialogTechError, InvalidConnection, plural
from airflow_provider_dialogtech.journal.records import Record
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.operations.accounts import known_hooks, shortened_numbers
from airflow_provider_dialogtech.operations.messages import AuditLogUnavailable, Messages, settle, task_names
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.journal import journal_store

PATIENCE = 10.0
"""How long a command waits for an unavailable journal, in seconds."""
_MOST_NAMED = 20


def list_messages(arguments: Namespace) -> None:
    """List messages, the newest first."""
    with running_command():
        found = open_messages().list(
            since=arguments.since,
            state=arguments.state,
            dag_ids=None if arguments.dag_id is None else [arguments.dag_id],
            most=arguments.limit,
        )
        numbers = shortened_numbers(known_hooks())
        names = task_names(found)
    rows = [_row(message, numbers, name) for message, name in zip(found, names, strict=True)]
    print_rows(rows, arguments.output)
    if len(found) == arguments.limit:
        say(f"There may be more: these are the newest {arguments.limit}. See --limit, --since, --state and --dag-id.")


def resolve(arguments: Namespace) -> None:
    """Settle a message that is in doubt."""
    if arguments.sent == arguments.unsent:
        stop("Give the outcome of the message: either --sent or --unsent.", USAGE)
    outcome: Literal["sent", "unsent"] = "sent" if arguments.sent else "unsent"
    problem, settled = "", False
    with running_command():
        messages = open_messages()
        message = messages.get(arguments.id)
        if message is not None:
            try:
                settled = settle(message, outcome, messages, by=_who(), through="the command line")
            except AuditLogUnavailable as error:
                problem = str(error)
            message = messages.get(arguments.id) or message
    if message is None:
        stop(f"The journal has no message {arguments.id}. See `messages list --state in_doubt`.")
    if problem:
        stop(problem)
    if not settled:
        stop(f"The message {message.id} is not in doubt but {message.state}; nothing was changed.")
    (name,) = task_names([message])
    print_rows([_row(message, {}, name) | {"next": _what_follows(message, outcome)}], arguments.output)


def prune(_arguments: Namespace) -> None:
    """Delete the messages whose retention is over."""
    with running_command():
        retention = config.journal_retention()
        open_messages().prune(retention)
    say(f"The journal has no message older than {retention.days} days.")


def carry_over(arguments: Namespace) -> None:
    """Copy the messages of an earlier journal's file into the present journal."""
    from airflow_provider_dialogtech.operations.carry_over import carry_over as carry

    problem = ""
    with running_command():
        try:
            file, carried = carry(Path(arguments.file) if arguments.file else None, patience=PATIENCE)
        except InvalidConnection as error:
            problem = f"Nothing was carried over: {error.reason}. {error.advice}"
        except DialogTechError as error:
            problem = f"Not everything was carried over: {error.reason}. Run this again. {error.advice}"
    if problem:
        stop(problem)
    found = f"The journal now has the {plural(carried.messages, 'message')} and {plural(carried.alerts, 'alert')} of"
    if not carried.damaged:
        say(f"{found} {file}.")
        return
    rows = ", ".join(carried.damaged[:_MOST_NAMED]) + (" and others" if len(carried.damaged) > _MOST_NAMED else "")
    stop(
        f"{found} {file}, but not its {plural(len(carried.damaged), 'damaged row')} (table and rowid: {rows}). If a "
        "task sent such a message and is cleared, it sends it again. Remove the file once you do not need it."
    )


def open_messages() -> Messages:
    """Open the journal with the patience of a person, which is shorter than a task's."""
    return Messages(journal_store(patience=PATIENCE), config.namespace())


def time_of(message: Record) -> str:
    """Return the time of a message's slot."""
    return f"{message.when:%Y-%m-%d %H:%M:%S}Z"


def _row(message: Record, numbers: Mapping[str, str], name: str) -> dict[str, object]:
    known = message.outcome.get("from")
    sender = known if isinstance(known, str) else ""
    return {
        "id": message.id,
        "time": time_of(message),
        "state": message.state,
        "to": f"…{message.recipient_tail}",
        "from": "" if message.state is State.HELD_BACK else numbers.get(message.number) or sender,
        "alert": "alert" if message.is_alert else "",
        "dag": message.dag_id,
        "run": message.run_id,
        "task": name,
        "reason": message.reason,
    }


def _what_follows(message: Record, outcome: str) -> str:
    if not message.is_current:
        return "nothing: a later attempt has taken its idempotency key"
    if not message.task_id:
        return "the next call with its idempotency key " + ("sends nothing" if outcome == "sent" else "sends")
    return "clear the task: " + ("it succeeds without sending" if outcome == "sent" else "it sends the message")


def _who() -> str:
    """Return the name of the process's real user. Its environment (LOGNAME) can be set to any name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user without a name
        return f"uid {os.getuid()}"


def look_up(arguments: Namespace) -> None:
    """Ask DialogTech whether it lists a message, and print what that means."""
    from airflow_provider_dialogtech.operations.look_up import look_up as ask
    from airflow_provider_dialogtech.operations.look_up import why_not_asked

    with running_command():
        messages = open_messages()
        message = messages.get(arguments.id)
        if message is None:
            stop(f"The journal has no message {arguments.id}. See `messages list`.")
        try:
            found = ask(message, messages, arguments.conn_id)
        except DialogTechError as error:
            stop(why_not_asked(error))
    row = {
        "id": message.id,
        "state": message.state,
        "time": time_of(message),
        "to": f"…{message.recipient_tail}",
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
