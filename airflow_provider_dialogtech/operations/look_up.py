"""Does DialogTech list a text? A listing can prove that one went out, never that it did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

from airflow_provider_dialogtech.delivery.listing import listed_as
from airflow_provider_dialogtech.delivery.records import State
from airflow_provider_dialogtech.delivery.texts import JournalText, Texts
from airflow_provider_dialogtech.exceptions import DialogTechError, NotSent
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.operations.accounts import hook_of, journal_name, known_hooks

_DAY = timedelta(days=1)
_CAUTION = "The same words may also have been sent by somebody else, or without this journal."


@dataclass(frozen=True)
class Listing:
    """What DialogTech lists, beside what the journal knows.

    :param first: the first day that was asked for.
    :param last: the last one.
    :param number: the number that was asked for, shortened; empty for all numbers.
    :param listed: how many messages were listed.
    :param times: the times, as they are listed, of those with the recipient and the words of the text.
    :param sent: how many such texts the journal knows as sent.
    :param in_doubt: how many of them are in doubt.
    :param meaning: what that means, in words.
    """

    first: date
    last: date
    number: str
    listed: int
    times: tuple[str, ...]
    sent: int
    in_doubt: int
    meaning: str

    @property
    def is_more_than_known(self) -> bool:
        """Whether more of them are listed than the journal knows as sent."""
        return len(self.times) > self.sent


def look_up(text: JournalText, texts: Texts, conn_id: str | None = None) -> Listing:
    """Ask DialogTech for the messages of the text's day, of the one before and of the one after.

    :param text: the text.
    :param texts: the journal's texts.
    :param conn_id: the connection of its account; by default it is looked for in `[dialogtech] conn_ids`.
    :raises NotSent: when no connection belongs to the text's account.
    :raises DialogTechError: when DialogTech could not be asked, or the journal cannot be used.
    """
    hook = _hook_for(text, conn_id)
    # DialogTech does not say in which time zone its days begin.
    first, last = text.at.date() - _DAY, text.at.date() + _DAY
    number = _number_of(text, hook)
    messages = hook.get_conn().get_messages(first, last, number)
    midnight = datetime.combine(first, time(), timezone.utc)
    known = texts.count_same(text, begin=midnight, end=midnight + 3 * _DAY, any_number=number is None)
    times = listed_as(text, messages)
    return Listing(
        first,
        last,
        mask_number(number) if number else "",
        len(messages),
        tuple(times),
        known.get("sent", 0),
        known.get("in_doubt", 0),
        _meaning(text, len(times), known),
    )


def _hook_for(text: JournalText, conn_id: str | None) -> DialogTechHook:
    if conn_id is not None:
        hooks = [hook_of(conn_id)]
        problem = f"the text {text.id} was sent by another account than that of the connection {conn_id}"
    else:
        hooks = known_hooks(["dialogtech_default"])
        problem = f"no connection of [dialogtech] conn_ids belongs to the account that sent the text {text.id}"
    found = next((hook for hook in hooks if hook.settings.account == text.account), None)
    if found is None:
        raise NotSent(problem, advice="Name the connection: --conn-id, in `texts look-up`.", before_any=True)
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
    return f"It probably went out. If so, settle it as sent: `texts resolve {text.id} --sent`. {_CAUTION}"
