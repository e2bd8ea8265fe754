"""`send`: a text from the command line, by the same way as a task's."""

from __future__ import annotations

import uuid
from argparse import Namespace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_provider_dialogtech.cli.output import print_record, running_command
from airflow_provider_dialogtech.delivery.records import Record, Reservation
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.operations.accounts import hook_of

if TYPE_CHECKING:
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook


def send(arguments: Namespace) -> None:
    """Send a text, or show how it would leave."""
    with running_command():
        hook = hook_of(arguments.conn_id)
        if arguments.dry_run:
            record = _dry_run(hook, arguments)
        else:
            result = hook.send_sms(
                to=arguments.to, message=arguments.message, idempotency_key=arguments.idempotency_key
            )
            record = {name: value for name, value in result.items() if name != "xml"}
    print_record(record, arguments.output)


def _status(found: Record | Reservation) -> str:
    if isinstance(found, Reservation):
        return "would be sent"
    if found.state == "held_back":
        return "would be held back: the connection's only_to does not name its recipient"
    return f"nothing would be sent: {found.state} before"


def _dry_run(hook: DialogTechHook, arguments: Namespace) -> dict[str, object]:
    from airflow_provider_dialogtech.delivery.preview import preview
    from airflow_provider_dialogtech.delivery.records import SlotRequest
    from airflow_provider_dialogtech.settings.idempotency import given_key
    from airflow_provider_dialogtech.settings.journal_place import journal_store

    text = hook.compose(arguments.to, arguments.message)
    given = arguments.idempotency_key
    key = uuid.uuid4().hex if given is None else given_key(given)
    settings = hook.settings
    is_held_back = settings.only_to is not None and text.to not in settings.only_to
    request = SlotRequest(key, text.from_numbers, text.to, text.text, is_held_back=is_held_back)
    found = preview(request, journal_store(), settings.account, settings.limits)
    slot = datetime.fromtimestamp(found.at, timezone.utc)
    known = isinstance(found, Record)
    return {
        "status": _status(found),
        "to": mask_number(text.to),
        "from": "" if isinstance(found, Record) else mask_number(found.number),
        "message": str(text.text),
        "characters": len(text.text),
        "segments": text.segments,
        "encoding": text.encoding,
        "slot": "" if known else f"{slot:%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z",
    }
