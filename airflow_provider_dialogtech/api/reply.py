"""Parses the API's reply (XML with a result and its description) and decides what it means for the message."""

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

# The documented reply has three elements in two levels; a list of numbers has more.
MOST_ELEMENTS = 5000
DEEPEST = 16
RESULT = {"result", "result_description"}


class NotDocumented(ValueError):
    """The reply is not the documented XML."""


@dataclass(frozen=True)
class ApiReply:
    """The documented parts of a reply.

    :param result: `success` or `failed`.
    :param description: the API's description of the result, such as `[1] Message Sent`.
    :param numbers: the values that look like phone numbers, in digits and without the US country code.
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
    """Parse a reply. It may have a DTD, as the vendor's does, but no entities, attributes or external references.

    :param body: the reply's body, of bounded length.
    :raises NotDocumented: when it is not the documented XML.
    """
    root = parse_xml(body)
    if root.tag != "response":
        raise NotDocumented("its root is not <response>")
    result = (root.findtext("result") or "").strip().lower()
    if result not in {"success", "failed"}:
        raise NotDocumented("its <result> is neither success nor failed")
    return ApiReply(result, root.findtext("result_description") or "", tuple(_numbers(root)))


def parse_xml(body: bytes, most_elements: int = MOST_ELEMENTS) -> Element:
    """Parse untrusted XML.

    :param body: the reply's body, of bounded length.
    :param most_elements: the most elements it may have.
    :raises NotDocumented: when it is not XML, or exceeds a bound.
    """
    from defusedxml.ElementTree import DefusedXMLParser

    def forbid(*_: object) -> None:
        raise NotDocumented("its DTD declares more than elements")

    try:
        parser: Any = DefusedXMLParser(
            target=_bounded_builder(most_elements), forbid_dtd=False, forbid_entities=True, forbid_external=True
        )
        # A default attribute is repeated for each element, so a short DTD could fill the memory.
        parser.parser.AttlistDeclHandler = forbid
        parser.feed(body)
        root: Element = parser.close()
    # The parser raises its own errors, and others for bytes that cannot be decoded.
    except Exception as error:
        problem = type(error).__name__
    else:
        return root
    raise NotDocumented(f"it is not acceptable XML ({problem})")


def _bounded_builder(most_elements: int) -> Any:
    from xml.etree.ElementTree import TreeBuilder

    class BoundedBuilder(TreeBuilder):
        """Builds a tree of bounded size and depth."""

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
    """Return every value that looks like a phone number: the element names are undocumented."""
    elements = [element for element in root.iter() if element.tag not in RESULT]
    values = [value for one in elements for value in (one.text, one.tail, *one.attrib.values()) if value]
    items = [re.sub(r"[ +().-]", "", item) for each in values for item in re.split(r"[,;|\s]{2,}|[,;|\r\n\t]", each)]
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
    """Return what a reply means: its status decides first, then its description.

    :param keys: the account's keys, which are scrubbed from the description.
    :param sent: the call's parameters, which are scrubbed as well.
    :param throttled_words: words or phrases of a refusal that mean "throttled"; empty for the built-in ones.
    :return: the scrubbed reply, or the error that it means.
    :raises NotDocumented: when the reply leaves the outcome unknown.
    """
    reply = _shown(raw, keys, sent)
    result = reply.result if reply is not None else None
    if raw.status == HTTPStatus.OK and reply is not None and result == "success":
        if "message" not in sent:
            return reply
        if _counts_nothing(reply.description):
            raise NotDocumented("the reply reported success for no message")
        return replace(reply, numbers=())
    # A success contradicts the status of a refusal.
    if (raw.status == HTTPStatus.OK and result == "failed") or (is_refusal(raw.status) and result != "success"):
        return _refusal(raw, reply.description if reply is not None else "", throttled_words)
    raise NotDocumented(_what_came(raw))


def _shown(raw: RawReply, keys: Mapping[str, str], sent: Mapping[str, str]) -> ApiReply | None:
    """Return the reply without keys, numbers and quotes of the message; None when it is not the documented one."""
    try:
        reply = parse_reply(raw.body)
    except NotDocumented:
        return None
    secrets = tuple(map(clean, keys.values()))
    cleaned = {name: clean(value) for name, value in sent.items() if name != "action"}
    words = clean(decode(clean(reply.description)))
    if re.fullmatch(r"\[[0-9]{1,9}\] [A-Za-z ]{1,60}", words):
        return replace(reply, description=words)
    # The message goes before the numbers: its hex form contains digits, and could not be matched once they are masked.
    words = scrub_quotes(scrub(words, *secrets), cleaned.get("message", ""))
    words = scrub(mask_numbers(words), cleaned.get("to", ""), cleaned.get("from", ""))
    # Cut last: half a key could not be matched.
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
    # A refusal without a reason may not come from the API.
    advice = "" if description else "Check the API URL in the connection."
    return Refused(f"DialogTech refused it{because}", advice=advice, description=description)


def _counts_nothing(description: str) -> bool:
    # The number in brackets counts the messages sent: `[0]` reports success for none.
    words = re.sub(r"\d", lambda found: str(int(found.group())), description)
    return bool(_COUNTS_NOTHING.search(words))


def _what_came(raw: RawReply) -> str:
    if raw.status != HTTPStatus.OK:
        return f"the HTTP status was {raw.status}"
    what = "the reply was not the documented XML" if raw.body else "the reply was empty"
    return f"{what} (HTTP status {raw.status})"


def _seconds(retry_after: str) -> float | None:
    """Parse a Retry-After (RFC 9110, 10.2.3), seconds or a date, capped; None when it is invalid."""
    value = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(float(value), _LONGEST_RETRY_AFTER)
    try:
        remaining = (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds()
    # The parser accepts years of 20 digits and dates without a zone, which fail in several ways.
    except Exception:
        return None
    return min(max(remaining, 0.0), _LONGEST_RETRY_AFTER)
