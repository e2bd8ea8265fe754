"""The API's reply: XML with a result and its description, and what it means for the message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech.api.raw_reply import RawReply, is_refusal
from airflow_provider_dialogtech.api.wording import BAD_CREDENTIALS, THROTTLED, has_phrase, says
from airflow_provider_dialogtech.exceptions import BadCredentials, Refused, Throttled
from airflow_provider_dialogtech.masking import clean, decode, mask_numbers, scrub, scrub_quotes

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


# The documented reply has three elements, two deep; a list of numbers has more.
MOST_ELEMENTS = 5000
DEEPEST = 16
RESULT = {"result", "result_description"}


class NotDocumented(ValueError):
    """The reply is not the documented XML."""


@dataclass(frozen=True)
class ApiReply:
    """A reply of the documented shape, and nothing else of it.

    :param result: `success` or `failed`.
    :param description: what the API says of it, such as `[1] Message Sent`.
    :param numbers: what looks like phone numbers in it, in digits and without the US's country code.
    """

    result: str
    description: str
    numbers: tuple[str, ...] = field(default=(), repr=False)

    @property
    def xml(self) -> str:
        """The reply in the documented shape."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<response><result>{self.result}</result>"
            f"<result_description>{escape(self.description, quote=False)}</result_description></response>"
        )


def parse_reply(body: bytes) -> ApiReply:
    """Read a reply. It may bring a DTD, as the vendor's does, but no entity, no attributes and nothing from elsewhere.

    :param body: the bytes as they came, of bounded length.
    :raises NotDocumented: when it is anything but the documented XML.
    """
    root = parse_xml(body)
    if root.tag != "response":
        raise NotDocumented("its root is not <response>")
    result = (root.findtext("result") or "").strip().lower()
    if result not in {"success", "failed"}:
        raise NotDocumented("its <result> is neither success nor failed")
    return ApiReply(result, root.findtext("result_description") or "", tuple(_numbers(root)))


def parse_xml(body: bytes, most_elements: int = MOST_ELEMENTS) -> Element:
    """Parse XML from a stranger.

    :param body: the bytes as they came, of bounded length.
    :param most_elements: how many elements it may have.
    :raises NotDocumented: when it is no XML, or brings more along than it may.
    """
    from defusedxml.ElementTree import DefusedXMLParser

    def forbid(*_: object) -> None:
        raise NotDocumented("its DTD declares more than elements")

    try:
        parser: Any = DefusedXMLParser(
            target=_bounded_builder(most_elements), forbid_dtd=False, forbid_entities=True, forbid_external=True
        )
        # Default attributes of a few bytes grow with each element.
        parser.parser.AttlistDeclHandler = forbid
        parser.feed(body)
        root: Element = parser.close()
    # The parser raises its own errors, and others for what is no text at all.
    except Exception as error:
        problem = type(error).__name__
    else:
        return root
    raise NotDocumented(f"it is no XML that may be read ({problem})")


def _bounded_builder(most_elements: int) -> Any:
    from xml.etree.ElementTree import TreeBuilder

    class BoundedBuilder(TreeBuilder):
        """Builds a tree of no more elements, and no deeper, than a reply may have."""

        elements = depth = 0

        def start(self, tag: Any, attrs: Any, /) -> Any:
            self.elements += 1
            self.depth += 1
            if self.elements > most_elements or self.depth > DEEPEST:
                raise NotDocumented("it has too many elements")
            return super().start(tag, attrs)

        def end(self, tag: Any, /) -> Any:
            self.depth -= 1
            return super().end(tag)

    return BoundedBuilder()


def _numbers(root: Element) -> list[str]:
    """Find what looks like a phone number, wherever it stands: the names of the elements are documented nowhere."""
    elements = [element for element in root.iter() if element.tag not in RESULT]
    texts = [text for element in elements for text in (element.text, element.tail, *element.attrib.values()) if text]
    items = [re.sub(r"[ +().-]", "", item) for text in texts for item in re.split(r"[,;|\s]{2,}|[,;|\r\n\t]", text)]
    numbers = [re.sub(r"^1(?=[2-9][0-9]{9}$)", "", item) for item in items if re.fullmatch(r"[0-9]{10,15}", item)]
    return list(dict.fromkeys(numbers))


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
    # The message before the numbers: in hex it holds digits enough for some, and would not be known again without them.
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
