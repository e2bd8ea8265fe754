"""`send`: sends a message as a task does; `pools`: creates and lists the pools of the connections."""

from __future__ import annotations

import sys
import uuid
from argparse import Namespace
from datetime import datetime, timezone

from airflow_provider_dialogtech.cli.output import print_record, print_rows, running_command
from airflow_provider_dialogtech.exceptions import InDoubt, InvalidMessage, how_to_settle
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.journal import preview
from airflow_provider_dialogtech.journal.records import Record, Reservation, SlotRequest
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.operations.accounts import hook_of
from airflow_provider_dialogtech.plugins.pools import ensure_pools, slots_of_pools
from airflow_provider_dialogtech.settings.identity import given_key
from airflow_provider_dialogtech.settings.journal import journal_store
from airflow_provider_dialogtech.sms.message import LONGEST_READ
from airflow_provider_dialogtech.sms.numbers import LONGEST_WRITTEN

STDIN = "-"
# Beyond this, the body is refused anyway.
_LONGEST_INPUT = LONGEST_WRITTEN + LONGEST_READ + 100


def send(arguments: Namespace) -> None:
    """Send a message, or show how it would be sent."""
    with running_command():
        to, message = _number_and_body(arguments.to, arguments.message)
        hook = hook_of(arguments.conn_id)
        if arguments.dry_run:
            record = _dry_run(hook, to, message, arguments.idempotency_key)
        else:
            record = _sent(hook, to, message, arguments.idempotency_key)
    print_record(record, arguments.output)


def _sent(hook: DialogTechHook, to: str, message: str, key: str | None) -> dict[str, object]:
    try:
        result = hook.send_sms(to=to, message=message, idempotency_key=key)
    except InDoubt as error:
        # The command has no in_doubt.
        other = " with another --idempotency-key" if key else ""
        advice = how_to_settle("this recipient and time", "the message", "it", again=f"run this command again{other}")
        doubt = InDoubt(error.reason, advice=("Nothing was sent now. " if error.earlier else "") + advice, to=error.to)
    else:
        return {name: value for name, value in result.items() if name != "xml"}
    raise doubt


def _number_and_body(to: str, message: str) -> tuple[str, str]:
    """Replace `-` by standard input. If both are `-`, its first line is the number."""
    if STDIN not in {to, message}:
        return to, message
    given = _standard_input()
    if to != STDIN:
        return to, given
    if message != STDIN:
        return given, message
    number, _, body = given.partition("\n")
    return number, body


def _standard_input() -> str:
    try:
        given = sys.stdin.read(_LONGEST_INPUT) if sys.stdin else ""
    except UnicodeDecodeError:
        given = None
    if given is None:
        raise InvalidMessage("standard input is not text in this terminal's encoding", advice="Give it UTF-8.")
    return given.removesuffix("\n")


def _status(found: Record | Reservation) -> str:
    if isinstance(found, Reservation):
        return "would be sent"
    if found.state is State.HELD_BACK:
        return "would be held back: the connection's only_to does not name its recipient"
    return f"nothing would be sent: {found.state} before"


def _dry_run(hook: DialogTechHook, to: str, message: str, given: str | None) -> dict[str, object]:
    sms = hook.compose(to, message)
    hook.get_conn().refuse_own_secret(sms.whole)
    key = uuid.uuid4().hex if given is None else given_key(given)
    settings = hook.settings
    is_held_back = settings.only_to is not None and sms.to not in settings.only_to
    request = SlotRequest(key, sms.from_numbers, sms.to, sms.body, is_held_back=is_held_back)
    found = preview(request, journal_store(), settings.account, settings.limits)
    slot = datetime.fromtimestamp(found.at, timezone.utc)
    known = isinstance(found, Record)
    return {
        "status": _status(found),
        "to": mask_number(sms.to),
        "from": "" if isinstance(found, Record) else mask_number(found.number),
        "message": str(sms.body),
        "characters": len(sms.body),
        "segments": sms.segments,
        "encoding": sms.encoding,
        "slot": "" if known else f"{slot:%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z",
    }


def pools(arguments: Namespace) -> None:
    """Create missing pools, resize the others to their accounts, and list all pools."""
    with running_command():
        done = ensure_pools()
        rows = [
            {"pool": name, "slots": slots, "state": done.get(name, "exists")}
            for name, slots in slots_of_pools().items()
        ]
    print_rows(rows, arguments.output)
