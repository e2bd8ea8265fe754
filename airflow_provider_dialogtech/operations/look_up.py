"""Does DialogTech list a message? A listing can prove that one was sent, never that it was not."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from urllib.parse import unquote_plus

from airflow_provider_dialogtech.api.client import DialogTechClient
from airflow_provider_dialogtech.api.messages import LARGEST_LISTING
from airflow_provider_dialogtech.clock import SYSTEM_CLOCK
from airflow_provider_dialogtech.exceptions import DialogTechError, NotSent
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.records import Record, number_name
from airflow_provider_dialogtech.journal.states import State
from airflow_provider_dialogtech.masking import digest, mask_number
from airflow_provider_dialogtech.operations.accounts import conn_ids, hook_of
from airflow_provider_dialogtech.operations.messages import Messages

_DAY = timedelta(days=1)
_CAUTION = "The same message may also have been sent by another program, or without this journal."


@dataclass(frozen=True)
class Listing:
    """What DialogTech lists, compared with the journal.

    :param first: the first day that was asked for.
    :param last: the last one.
    :param number: the number that was asked for, shortened; empty for all numbers.
    :param listed: how many messages were listed.
    :param times: the times, as they are listed, of those with the recipient and the body of the message.
    :param sent: how many such messages the journal has as sent.
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
        """Whether more of them are listed than the journal has as sent."""
        return len(self.times) > self.sent


def look_up(
    message: Record,
    journal: Messages,
    conn_id: str | None = None,
    *,
    among: Iterable[str] | None = None,
    within: float | None = None,
    largest: int = LARGEST_LISTING,
) -> Listing:
    """Ask DialogTech for the messages of the message's day, of the one before and of the one after.

    :param conn_id: the connection of its account; by default it is looked for.
    :param among: the connections among which it is looked for; by default those of `[dialogtech] conn_ids`.
    :param within: the longest time that DialogTech may take, in seconds; by default each call has the connection's
        timeout.
    :param largest: the largest accepted list, in bytes.
    :raises NotSent: when no connection belongs to the message's account.
    :raises DialogTechError: when DialogTech could not be asked, or the journal cannot be used.
    """
    hook = _hook_for(message, conn_id, among)
    end = None if within is None else SYSTEM_CLOCK.monotonic() + within
    # DialogTech does not say in which time zone its days begin.
    first, last = message.when.date() - _DAY, message.when.date() + _DAY
    number = _number_of(message, hook, end)
    listed = _client(hook, end).get_messages(first, last, number, largest=largest)
    midnight = datetime.combine(first, time(), timezone.utc)
    known = journal.count_same(message, begin=midnight, end=midnight + 3 * _DAY, any_number=number is None)
    times = listed_as(message, listed)
    return Listing(
        first,
        last,
        mask_number(number) if number else "",
        len(listed),
        tuple(times),
        known.get(State.SENT, 0),
        known.get(State.IN_DOUBT, 0),
        _meaning(message, len(times), known),
    )


def why_not_asked(error: DialogTechError) -> str:
    """Say why DialogTech could not be asked. The error's own sentence speaks of a message that was not sent.

    :param error: what `look_up` raised.
    """
    advice = [sentence for sentence in _SENTENCE.findall(error.advice) if not _OF_SENDING.search(sentence)]
    failed = f"DialogTech was not asked, or did not answer: {error.reason}."
    return " ".join([failed, "This says nothing about the message.", *advice])


_SENTENCE = re.compile(r"\S.*?\.(?=\s|$)")
_OF_SENDING = re.compile(r"\bsend", re.IGNORECASE)


def _hook_for(message: Record, conn_id: str | None, among: Iterable[str] | None) -> DialogTechHook:
    if conn_id is not None:
        hook = hook_of(conn_id)
        if hook.settings.account == message.account:
            return hook
        problem = f"the message {message.id} was sent by another account, not by that of the connection {conn_id}"
        advice = "Give it the `account` that sent it: if it had no such name, that is the access key of that time."
    else:
        advice = "Name the connection: --conn-id, in `messages look-up`."
        unreadable = []
        for name in conn_ids() if among is None else among:
            try:
                hook = hook_of(name)
            except NotSent:
                unreadable.append(name)
                continue
            if hook.settings.account == message.account:
                return hook
        problem = f"no connection of [dialogtech] conn_ids belongs to the account that sent the message {message.id}"
        if unreadable:
            problem += f"; not readable: {', '.join(unreadable)}"
    raise NotSent(problem, advice=advice, before_any=True)


def _client(hook: DialogTechHook, end: float | None) -> DialogTechClient:
    """Return a client whose next call ends in time: connecting may take half of the time that is left."""
    timeout = hook.settings.timeout
    return hook.make_client(timeout if end is None else max(0.1, min(timeout, (end - SYSTEM_CLOCK.monotonic()) / 2)))


def _number_of(message: Record, hook: DialogTechHook, end: float | None) -> str | None:
    """Return the number that the message was sent from; None where it is unknown. The journal has only its digest."""
    settings = hook.settings
    for number in settings.from_numbers:
        if number_name(settings.account, number) == message.number:
            return number
    try:
        enabled = _client(hook, end).get_numbers()
    except DialogTechError:
        return None
    return next((number for number in enabled if number_name(settings.account, number) == message.number), None)


def _meaning(message: Record, listed: int, known: Mapping[State, int]) -> str:
    sent, doubtful = known.get(State.SENT, 0), known.get(State.IN_DOUBT, 0)
    if not listed:
        return "DialogTech does not list it. That proves nothing: a list may lag, or be cut."
    if listed <= sent:
        return "The listed ones may be the ones that were sent before. That proves nothing."
    if message.state is not State.IN_DOUBT:
        return "DialogTech lists more of them than the journal has as sent."
    if doubtful > 1:
        some = min(listed - sent, doubtful)
        return f"Of the {doubtful} in doubt, {some} were sent, but the list does not say which. {_CAUTION}"
    return f"It was probably sent. If so, settle it as sent: `messages resolve {message.id} --sent`. {_CAUTION}"


_PHONE = re.compile(r"[\d\s+().-]{7,40}")
_TIME = re.compile(
    r"(?:\d{4}[-/]\d\d[-/]\d\d|\d\d?[-/]\d\d?[-/]\d{4})[T ]\d\d?:\d\d(?::\d\d(?:\.\d{1,9})?)?"
    r"(?: ?(?:Z|UTC|[AP]M|[+-]\d\d:?\d\d))?",
    re.IGNORECASE,
)
_LONGEST_TEXT = 2000


def listed_as(message: Record, listed: Iterable[Sequence[str]]) -> list[str]:
    """Return the times of the listed messages that have the digest of a message's recipient and body.

    :param listed: all values that DialogTech lists for each message.
    :return: for each message that matches, its time as listed; empty if none is recognised.
    """
    return [_time(entry) for entry in listed if _is(message, entry)]


def _is(message: Record, entry: Sequence[str]) -> bool:
    numbers = {number for part in entry for number in _numbers(part) if number.endswith(message.recipient_tail)}
    return bool(numbers) and any(
        digest(number, words) == message.digest
        for part in entry
        if len(part) <= _LONGEST_TEXT
        for words in _spellings(part)
        for number in numbers
    )


def _numbers(part: str) -> Iterator[str]:
    if not _PHONE.fullmatch(part.strip()):
        return
    digits = re.sub(r"\D", "", part)
    yield digits
    if digits.startswith("1"):  # the US's country code, which the journal leaves out
        yield digits[1:]


def _spellings(part: str) -> set[str]:
    """Return what a listed body may have been before DialogTech put it into the list."""
    plain = {part, part.strip(), html.unescape(part), unquote_plus(part)}
    return plain | {words.replace("\n", "\r\n") for words in plain}


def _time(entry: Sequence[str]) -> str:
    return next((part.strip() for part in entry if _TIME.fullmatch(part.strip())), "")
