"""What may be seen and stored of a secret, a text or a phone number."""

from __future__ import annotations

import hashlib
import json
import re
from html import escape
from urllib.parse import quote, quote_plus

# Seven digits are the shortest number that reaches a person; people set them apart with spaces, dots, dashes, brackets.
_PHONE_NUMBER = re.compile(r"\+?\(?\d(?:[ .()/-]{0,2}\d){6,}")


def mask_number(number: object) -> str:
    """Shorten a phone number to its last four digits: `…7777`."""
    return "…" + re.sub(r"\D", "", str(number))[-4:]


def mask_numbers(text: str) -> str:
    """Shorten every phone number in a text."""
    return _PHONE_NUMBER.sub(lambda found: mask_number(found.group()), text)


def encodings_of(secret: str) -> tuple[str, ...]:
    """Tell every form in which a secret may appear in a URL, a log line or a page, the longest first."""
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), escape(secret), escape(secret, False)}
    return tuple(sorted((form for form in forms if form), key=len, reverse=True))


def digest(*parts: object) -> str:
    """Name something, where it must not stand itself."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def scrub(text: str, *secrets: str) -> str:
    """Replace every form of the secrets in a text by `***`."""
    # The longest first, of all of them together: one secret may begin with another.
    forms = sorted({form for secret in secrets for form in encodings_of(secret)}, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, forms)), "***", text, flags=re.IGNORECASE) if forms else text
