"""`texts list` and `texts resolve`: what was sent, what was not, and settling what is in doubt."""

from __future__ import annotations

import getpass
from argparse import Namespace
from collections.abc import Mapping
from typing import Literal

from airflow_provider_dialogtech.cli.output import USAGE, print_rows, running_command, say, stop
from airflow_provider_dialogtech.delivery.texts import JournalText, Texts
from airflow_provider_dialogtech.settings.journal_place import journal_store

PATIENCE = 10.0
"""For how many seconds a person waits for a journal that is away."""


def list_texts(arguments: Namespace) -> None:
    """List texts, the newest first."""
    from airflow_provider_dialogtech.operations.accounts import known_hooks, shortened_numbers

    with running_command():
        found = open_texts().list(
            since=arguments.since, state=arguments.state, dag_id=arguments.dag_id, most=arguments.limit
        )
        numbers = shortened_numbers(known_hooks())
    print_rows([_row(text, numbers) for text in found], arguments.output)
    if len(found) == arguments.limit:
        say(f"There may be more: these are the newest {arguments.limit}. See --limit, --since, --state and --dag-id.")


def resolve(arguments: Namespace) -> None:
    """Settle a text that is in doubt."""
    if arguments.sent == arguments.unsent:
        stop("Say what became of the text: either --sent or --unsent.", USAGE)
    outcome: Literal["sent", "unsent"] = "sent" if arguments.sent else "unsent"
    with running_command():
        texts = open_texts()
        settled = texts.resolve(arguments.id, outcome, by=_who())
        text = texts.get(arguments.id)
    if text is None:
        stop(f"The journal has no text {arguments.id}. See `texts list --state in_doubt`.")
    if not settled:
        stop(f"The text {text.id} is not in doubt but {text.state}; nothing was changed.")
    print_rows([_row(text, {}) | {"next": _what_follows(text, outcome)}], arguments.output)


def open_texts() -> Texts:
    """Open the journal for a person, who does not wait as long as a task."""
    return Texts(journal_store(patience=PATIENCE))


def time_of(text: JournalText) -> str:
    """Return when a text left, or was to leave."""
    return f"{text.at:%Y-%m-%d %H:%M:%S}Z"


def _row(text: JournalText, numbers: Mapping[str, str]) -> dict[str, object]:
    said = text.detail.get("from")
    task = text.task_id if text.map_index < 0 else f"{text.task_id}[{text.map_index}]"
    return {
        "id": text.id,
        "time": time_of(text),
        "state": text.state,
        "to": f"…{text.recipient_tail}",
        "from": numbers.get(text.number) or (said if isinstance(said, str) else ""),
        "alert": "alert" if text.is_alert else "",
        "dag": text.dag_id,
        "run": text.run_id,
        "task": task,
        "reason": text.reason,
    }


def _what_follows(text: JournalText, outcome: str) -> str:
    if not text.is_current:
        return "nothing: a later attempt has taken its idempotency key"
    if not text.task_id:
        return "the next call with its idempotency key " + ("sends nothing" if outcome == "sent" else "sends")
    return "clear the task: " + ("it succeeds without sending" if outcome == "sent" else "it sends the text")


def _who() -> str:
    try:
        return f"{getpass.getuser()} on the command line"
    except Exception:  # each Python has its own way of saying that this user has no name
        return "somebody on the command line"
