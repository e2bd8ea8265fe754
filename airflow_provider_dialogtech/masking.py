"""Masks keys, bodies and phone numbers in logs, errors and tracebacks.

Airflow 3.0 and other tools print tracebacks with the locals of each frame, so locals must not show these values either.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import reprlib
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from html import escape
from traceback import clear_frames, extract_tb
from typing import Any, ParamSpec, SupportsIndex, TypeVar
from urllib.parse import quote, quote_plus, unquote

P = ParamSpec("P")

T = TypeVar("T")

# Separators within a number: those that `sms/numbers.py` accepts, those between numbers of a list, and invisible ones
# (controls, joiners, direction marks, variation selectors).
_APART = (
    r"\s+()\[\]./,_*~\x00-\x1f\x7f-\xa0\xad\xb7\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u2015\u2022"
    r"\u2024\u2027-\u202f\u203f\u2043\u2044\u205f-\u206f\u20e3\u2212\u2215\u3000\u30fb\u3164\ufe00-\ufe0f\ufe31-\ufe33"
    r"\ufe58\ufe63\ufeff\uff08-\uff0f\uff3f\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff-"
)
# The shortest dialable number has seven digits. 1,234,567 is a count.
_PHONE_NUMBER = re.compile(
    rf"(?!(?<!\d)\d{{1,3}}(?:,\d{{3}}){{1,2}}(?![{_APART}]?\d))\+?\(?\d(?:[{_APART}]{{0,8}}\d){{6,}}"
)

# Invisible characters, and those that change the direction of others: controls, format, surrogates, private use.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U000e0000-\U0010ffff]"
)
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
_MOST_DECODINGS = 6
# A shorter match may be a coincidence.
_LONGEST_QUOTE = 12
_WORD = re.compile(r"[A-Z]?[a-z]{,14}|[A-Z]{,15}")


def mask_number(number: object) -> str:
    """Shorten a phone number to its last four digits: `…7777`."""
    return "…" + re.sub(r"\D", "", str(number))[-4:]


def mask_numbers(text: str) -> str:
    """Shorten every phone number in a text, with any separators."""
    return _PHONE_NUMBER.sub(lambda found: mask_number(found.group()), text)


def encodings_of(secret: str) -> tuple[str, ...]:
    """Return every form that a secret may have in a URL, a log line or a page, the longest first."""
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), escape(secret), escape(secret, False)}
    forms |= {quote(form) for form in forms}
    forms |= {escape(secret).replace("&#x27;", "&#39;"), escape(secret).replace("&#x27;", "&apos;")}
    forms |= _hidden_forms(secret)
    return tuple(sorted((form for form in forms if form), key=len, reverse=True))


def digest(*parts: object) -> str:
    """Return a digest to store instead of a value."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def scrub(text: str, *secrets: str) -> str:
    """Replace every form of the secrets in a text by `***`; a text with an escaped one is returned unescaped."""
    secrets = tuple(filter(None, secrets))
    # The longest form first, over all secrets: one secret may begin with another.
    patterns = {form: pattern for secret in secrets for form, pattern in _patterns_of(secret).items()}
    forms = sorted(patterns, key=len, reverse=True)
    if not forms:
        return text
    any_form = re.compile("|".join(map(patterns.__getitem__, forms)), re.IGNORECASE)
    scrubbed = any_form.sub("***", text)
    plain, found = any_form.subn("***", decode(scrubbed))
    return plain if found else scrubbed


def holds_secret(text: str, *secrets: str) -> bool:
    """Return whether a text holds one of the secrets, in any form.

    A form of 6 to 11 characters counts only in its exact spelling, as a separate word, and only if it has both a letter
    and another character. A shorter one does not count, nor do up to 15 letters that look like an ordinary word.
    """
    found = _finder(tuple(filter(None, secrets)))
    decoded = decode(text)
    return any(map(found, {text, decoded, clean(decoded)}))


@lru_cache(maxsize=8)
def _finder(secrets: tuple[str, ...]) -> Callable[[str], object]:
    in_utf_16 = ["\0".join(secret) for secret in secrets]  # its bytes, but for a zero at one end
    joined = ["".join(secret.split()) for secret in secrets]
    forms = {
        form: pattern for secret in (*secrets, *in_utf_16, *joined) for form, pattern in _patterns_of(secret).items()
    }
    long = {form for form in forms if len(form) >= _LONGEST_QUOTE and not _WORD.fullmatch(form)}
    in_pieces = [f"(?i:{forms[form]})" for form in long]
    as_written = [f"(?i:{forms[form]})" for form in long if any(map(str.isspace, form))]
    as_written += [rf"(?<!\w){re.escape(form)}(?!\w)" for form in forms if _is_no_word(form)]
    anywhere, exactly = (re.compile("|".join(some) or r"(?!)") for some in (in_pieces, as_written))
    return lambda text: anywhere.search("".join(text.split())) or exactly.search(text)


def _is_no_word(form: str) -> bool:
    is_mixed = any(map(str.isalpha, form)) and not all(map(str.isalpha, form))
    return _LONGEST_QUOTE > len(form) >= _LONGEST_QUOTE // 2 and is_mixed


def scrub_quotes(text: str, quoted: str) -> str:
    """Replace longer quotes of another text by `***`.

    :param text: the text, decoded and cleaned.
    :param quoted: the text that must not be quoted.
    """
    said, piece = text.casefold(), " ".join(quoted.casefold().split())
    if len(said) != len(text) or len(piece) < _LONGEST_QUOTE:
        return scrub(text, quoted) if len(piece) >= _LONGEST_QUOTE // 3 else text
    pieces = {piece[at : at + _LONGEST_QUOTE] for at in range(len(piece) - _LONGEST_QUOTE + 1)}
    hidden = bytearray(len(text))
    for at in range(len(said) - _LONGEST_QUOTE + 1):
        if said[at : at + _LONGEST_QUOTE] in pieces:
            hidden[at : at + _LONGEST_QUOTE] = b"\1" * _LONGEST_QUOTE
    shown = "".join("\0" if hide else letter for letter, hide in zip(text, hidden, strict=True))
    return scrub(re.sub("\0+", "***", shown), quoted)


def clean(text: str) -> str:
    """Return a text as one line, without invisible and direction-changing characters."""
    return " ".join(_UNSEEN.sub(lambda found: " " if found.group() < "\xa0" else "", text).split())


def printable(text: str) -> str:
    """Return a text whose control, invisible and direction-changing characters are escaped; line feeds stay."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in text)


def decode(text: str) -> str:
    """Undo percent-encoding, character references and backslash escapes, also nested ones."""
    for _ in range(_MOST_DECODINGS):
        plain = html.unescape(unquote(_ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), text)))
        if plain == text:
            return text
        text = plain
    return text


def _patterns_of(secret: str) -> dict[str, str]:
    """Return a pattern for each form of a secret."""
    hidden = _hidden_forms(secret)
    # Base64 and hex may be broken into lines.
    return {
        form: r"[\\\s]*".join(map(re.escape, form)) if form in hidden else _loosely(form)
        for form in encodings_of(secret)
    }


def _loosely(form: str) -> str:
    """Return a pattern for a form: a space also matches pluses and further spaces, and backslashes are ignored."""
    signs = re.sub(r"\s+", " ", form)
    return r"\\*".join(r"[\s+]+" if sign == " " else re.escape(sign) for sign in signs)


def _hidden_forms(secret: str) -> set[str]:
    """Return a secret in hex, and in base64 at each of the three offsets."""
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {raw.hex(), raw.hex(" "), raw.hex(":")}
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw).decode()
        # Without the characters that share bits with their neighbours.
        certain = whole[(0, 2, 3)[shift] : len(whole.rstrip("=")) - (1 if (shift + len(raw)) % 3 else 0)]
        if len(certain) >= _LONGEST_QUOTE // 3:
            forms |= {certain, certain.replace("+", "-").replace("/", "_")}
    return forms


# A longer int is not a phone number, and Python refuses to convert one of thousands of digits.
_LONGEST_NUMBER_BITS = 256


class Opaque(str):
    """A string whose repr is `'***'`, as is that of its pieces: a key, a number or a body."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, part: SupportsIndex | slice) -> str:
        # rich and structlog cut a long string before they take its repr.
        return Opaque(super().__getitem__(part))


def opaque(value: Any) -> Any:
    """Return a string or an int as `Opaque`, and any other value unchanged."""
    if type(value) is str:
        return Opaque(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _LONGEST_NUMBER_BITS:
        return Opaque(value)
    return value


def without_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Remove the locals, the cause and the context from what a function raises: they show secrets.

    The file, the line and the function of each frame stay.
    """

    @wraps(function)
    def discreet(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            raised = error
        # Outside the except block, so that the error does not become its own context.
        del args, kwargs
        raised.__cause__ = raised.__context__ = None
        clear_frames(raised.__traceback__)
        raise raised

    return discreet


_LONGEST_NAME = 60


def safe_str(thing: object, longest: int) -> str:
    """Return `str(thing)`, cut to `longest` characters; an empty string if it raises.

    The time and memory that `str` takes are not bounded.
    """
    try:
        return str(str(thing)[:longest])
    except Exception:
        return ""


def safe_get(owner: Any, name: str, default: Any = None) -> Any:
    """Read a field of an object or of a mapping; return the default if it is missing, or reading it raises."""
    try:
        return owner.get(name, default) if isinstance(owner, Mapping) else getattr(owner, name, default)
    except Exception:
        return default


def safe_repr(thing: object) -> str:
    """Return the repr of an invalid argument, shortened. Not for arguments that may hold a number or a body."""
    try:
        return reprlib.repr(thing)[:_LONGEST_NAME]
    except Exception:
        return f"something of type {type_name(thing)}"


def type_name(thing: object) -> str:
    """Return the name of a thing's type; `object` if reading it raises."""
    try:
        return str(type(thing).__name__)[:_LONGEST_NAME]
    except Exception:
        return "object"


def place_of(error: BaseException) -> str:
    """Return an error's type and place, without its message: `KeyError in words, dags/etl.py line 7`."""
    try:
        frame = extract_tb(error.__traceback__)[-1]
    except Exception:  # of any kind: an error may have no frames, and its attributes may raise
        return type_name(error)
    return f"{type_name(error)} in {frame.name}, {'/'.join(frame.filename.split('/')[-2:])} line {frame.lineno}"
