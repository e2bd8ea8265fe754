"""What a reply means for the text: sent, refused, throttled, or nothing for certain."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from airflow_provider_dialogtech.api.raw_reply import RawReply, is_refusal
from airflow_provider_dialogtech.api.reply import ApiReply, NotDocumented, parse_reply
from airflow_provider_dialogtech.api.wording import BAD_CREDENTIALS, THROTTLED, has_phrase, says
from airflow_provider_dialogtech.exceptions import BadCredentials, Refused, Throttled
from airflow_provider_dialogtech.masking import clean, decode, mask_numbers, scrub, scrub_quotes

_LONGEST_DESCRIPTION = 200
_LONGEST_RETRY_AFTER = 3600.0
_COUNTS_NOTHING = re.compile(
    r"^\W{0,9}(?:0+|no|none|nothing)\b(?!\.\d)|\[\W{0,9}0+\W{0,9}\]|\b(?:sent|messages?|texts?)\W{1,9}0+\b(?!\.\d)",
    re.IGNORECASE,
)


def meaning_of(
    raw: RawReply, keys: Mapping[str, str], sent: Mapping[str, str], throttled_words: Sequence[str]
) -> ApiReply | Refused | Throttled:
    """Return what a reply means, by its status first, then by its words.

    :param raw: the reply.
    :param keys: the account's keys, of which nothing may be kept.
    :param sent: the call's parameters, of which nothing may be kept either.
    :param throttled_words: words or phrases of a refusal that mean "throttled"; the known ones where there are none.
    :return: what people may see of the reply, or the error that it means.
    :raises NotDocumented: when nothing is certain from the reply.
    """
    reply = _shown(raw, keys, sent)
    result = reply.result if reply is not None else None
    if raw.status == HTTPStatus.OK and reply is not None and result == "success":
        if "message" not in sent:
            return reply
        if _counts_nothing(reply.description):
            raise NotDocumented("its reply was a success that counts no text")
        return replace(reply, numbers=())
    # A success contradicts the status of a refusal.
    if (raw.status == HTTPStatus.OK and result == "failed") or (is_refusal(raw.status) and result != "success"):
        return _refusal(raw, reply.description if reply is not None else "", throttled_words)
    raise NotDocumented(_what_came(raw))


def _shown(raw: RawReply, keys: Mapping[str, str], sent: Mapping[str, str]) -> ApiReply | None:
    """Return what people may see of the documented reply; None when it is another."""
    try:
        reply = parse_reply(raw.body)
    except NotDocumented:
        return None
    secrets = tuple(map(clean, keys.values()))
    text = {name: clean(value) for name, value in sent.items() if name != "action"}
    words = clean(decode(clean(reply.description)))
    if re.fullmatch(r"\[[0-9]{1,9}\] [A-Za-z ]{1,60}", words):
        return replace(reply, description=words)
    # The text before the numbers: in hex it holds digits enough for some, and would not be known again without them.
    words = scrub_quotes(scrub(words, *secrets), text.get("message", ""))
    words = scrub(mask_numbers(words), text.get("to", ""), text.get("from", ""))
    # Cut at last: half a key would not be known again.
    return replace(reply, description=" ".join(words[:_LONGEST_DESCRIPTION].split()))


def _refusal(raw: RawReply, description: str, throttled_words: Sequence[str]) -> Refused | Throttled:
    because = f": {description.rstrip('.')}" if description else f" (HTTP status {raw.status})"
    keys_refused = raw.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    too_fast = raw.status == HTTPStatus.TOO_MANY_REQUESTS
    throttled = has_phrase(description, throttled_words) if throttled_words else says(description, THROTTLED)
    if too_fast or (throttled and not keys_refused):
        return Throttled(f"DialogTech throttled it{because}", retry_after=_seconds(raw.retry_after))
    if keys_refused or says(description, BAD_CREDENTIALS):
        return BadCredentials(f"DialogTech did not accept the access keys{because}", description=description)
    # One that gives no reason may not be the API.
    advice = "" if description else "Check the connection's API URL."
    return Refused(f"DialogTech refused it{because}", advice=advice, description=description)


def _counts_nothing(description: str) -> bool:
    # The number in brackets counts what was done: `[0]` would be a success at sending nothing.
    words = re.sub(r"\d", lambda found: str(int(found.group())), description)
    return bool(_COUNTS_NOTHING.search(words))


def _what_came(raw: RawReply) -> str:
    if raw.status != HTTPStatus.OK:
        return f"HTTP status {raw.status} came"
    return "what came was not the documented XML" if raw.body else "an empty reply came"


def _seconds(retry_after: str) -> float | None:
    """Read a Retry-After (RFC 9110, 10.2.3): seconds or a date; nonsense is no advice, and a long time is cut."""
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), _LONGEST_RETRY_AFTER)
    try:
        left = (parsedate_to_datetime(text) - datetime.now(timezone.utc)).total_seconds()
    # It computes with whatever numbers stand there: years of 20 digits, dates without a zone.
    except Exception:
        return None
    return min(max(left, 0.0), _LONGEST_RETRY_AFTER)
