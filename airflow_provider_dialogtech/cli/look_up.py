"""`texts look-up`: does DialogTech list a text? A listing can prove that one went out, never that it did not."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from datetime import datetime, time, timedelta, timezone
from typing import TYPE_CHECKING

from airflow_provider_dialogtech.cli.accounts import hook_of, journal_name, known_hooks
from airflow_provider_dialogtech.cli.output import UNKNOWN, a_command, print_record, stop
from airflow_provider_dialogtech.cli.texts import open_texts, time_of
from airflow_provider_dialogtech.delivery.listing import listed_as
from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.masking import mask_number

if TYPE_CHECKING:
    from airflow_provider_dialogtech.delivery.records import State
    from airflow_provider_dialogtech.delivery.texts import JournalText
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook

_DAY = timedelta(days=1)


def look_up(arguments: Namespace) -> None:
    """Ask DialogTech whether it lists a text, and print what that means."""
    with a_command():
        texts = open_texts()
        text = texts.get(arguments.id)
        if text is None:
            stop(f"The journal has no text {arguments.id}. See `texts list`.")
        hook = _hook_for(text, arguments.conn_id)
        # DialogTech does not say in which time zone its days begin.
        first, last = text.at.date() - _DAY, text.at.date() + _DAY
        number = _number_of(text, hook)
        messages = hook.get_conn().get_messages(first, last, number)
        midnight = datetime.combine(first, time(), timezone.utc)
        known = texts.count_same(text, begin=midnight, end=midnight + 3 * _DAY, any_number=number is None)
    times = listed_as(text, messages)
    sent = known.get("sent", 0)
    row = {
        "id": text.id,
        "state": text.state,
        "time": time_of(text),
        "to": f"…{text.recipient_tail}",
        "asked for": f"{first} to {last}" + (f", {mask_number(number)}" if number else ""),
        "listed": len(messages),
        "listed like it": len(times),
        "at (as listed)": ", ".join(filter(None, times)),
        "sent, says the journal": sent,
        "in doubt, says the journal": known.get("in_doubt", 0),
        "what it means": _meaning(text, len(times), known),
    }
    print_record(row, arguments.output)
    if len(times) <= sent:
        raise SystemExit(UNKNOWN)


def _hook_for(text: JournalText, conn_id: str | None) -> DialogTechHook:
    if conn_id is not None:
        hooks = [hook_of(conn_id)]
        problem = f"The text {text.id} was sent by another account than that of the connection {conn_id}."
    else:
        hooks = known_hooks(["dialogtech_default"])
        problem = (
            f"No connection of [dialogtech] conn_ids belongs to the account that sent the text {text.id}. "
            "Name the connection: --conn-id."
        )
    found = next((hook for hook in hooks if hook.settings.account == text.account), None)
    if found is None:
        stop(problem)
    return found


def _number_of(text: JournalText, hook: DialogTechHook) -> str | None:
    """Return the number the text left from, of which the journal has the name only; None where nobody knows it."""
    settings = hook.settings
    for number in settings.from_numbers:
        if journal_name(settings, number) == text.number:
            return number
    try:
        enabled = hook.get_conn().get_numbers()
    except DialogTechError:
        return None
    return next((number for number in enabled if journal_name(settings, number) == text.number), None)


def _meaning(text: JournalText, listed: int, known: Mapping[State, int]) -> str:
    sent, doubtful = known.get("sent", 0), known.get("in_doubt", 0)
    if not listed:
        return "DialogTech does not list it. That proves nothing: a list may lag, or be cut."
    if listed <= sent:
        return "Those that are listed may be the ones that were sent. That proves nothing."
    if text.state != "in_doubt":
        return "DialogTech lists more of them than the journal knows as sent."
    if doubtful > 1:
        return f"Of the {doubtful} in doubt, {min(listed - sent, doubtful)} went out, but not which: {_CAUTION}"
    return f"It probably went out. If so: `texts resolve {text.id} --sent`. {_CAUTION}"


_CAUTION = "The same words may also have been sent by somebody else, or without this journal."
