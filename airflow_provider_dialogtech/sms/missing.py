"""Recognises a value that is missing: spreadsheets, databases and data frames each write it in their own way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from decimal import Decimal
from typing import Any

from airflow_provider_dialogtech.masking import type_name

# The words that pandas, databases and spreadsheets write into a cell without a value. Without "NA", which is a country,
# and without "none", which is an answer.
_WORDS = frozenset(
    {"None", "NaN", "nan", "-NaN", "-nan", "NaT", "NULL", "null", "\\N", "undefined", "[object Object]", "&nbsp;"}
    | {"N/A", "n/a", "N.A.", "n.a.", "#N/A N/A", "#NA", "Loading...", "0000-00-00", "0000-00-00 00:00:00"}
)
# A dash, a dot or a question mark alone, and a word in brackets.
_SIGNS = re.compile(r"[-.?\u2010-\u2015\u2026\u2212]+|[<(\[](?:null|none|nan|na|n/a|blank|empty)[>)\]]", re.IGNORECASE)
# A spreadsheet exports its errors in its user's language, and ##### where a column is too narrow. #SALE! is no error.
_ERROR_OF_A_CELL = re.compile(
    r"#{3,}|Err:\d{3}|#NV|#GETTING_DATA|#[^\W\d_]/[^\W\d_]!?|#[^\W\d_]+/0!|#[¡¿]?(?:NULL|VALUE|REF|NAME|NUM|SPILL|CALC"
    r"|FIELD|BLOCKED|UNKNOWN|CONNECT|EXTERNAL|TIMEOUT|PYTHON|BUSY|ERROR|WERT|BEZUG|ZAHL|ÜBERLAUF|VALEUR|NOM|NOMBRE|NUL"
    r"|VALOR|NULO|VALORE|RIF|NOME|NÚM|WAARDE|VERW|NAAM|GETAL|ARG|ADR|NAZWA|LICZBA|ZERO|ЗНАЧ|ССЫЛКА|ИМЯ|ЧИСЛО)[!?]"
)
_LONGEST_WORD = 20
_INVISIBLE = (
    "\xad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
# Every character for which `str.isspace` is true, and the invisible ones.
_BLANK = "".join(map(chr, (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)))) + (
    "\u2028\u2029\u202f\u205f\u3000" + _INVISIBLE
)
_NEVER = (int, bytes, bytearray, list, tuple, Mapping, Set)


def strip(text: str) -> str:
    """Remove blanks and invisible characters around a text."""
    return text.strip(_BLANK)


def is_missing(value: object) -> bool:
    """Return whether a value is missing: None, NaN, NaT, pandas' NA, a blank text, or a word or an error for these."""
    if value is None:
        return True
    if isinstance(value, str):
        return missing_word(value) is not None or not strip(value)
    return not isinstance(value, _NEVER) and _is_unequal_to_itself(value)


def missing_word(value: object) -> str | None:
    """Return the word with which a text says that its value is missing, such as `N/A`; None without one."""
    if not isinstance(value, str) or len(value) > _LONGEST_WORD:
        return None
    word = strip(value)
    says_so = word in _WORDS or _SIGNS.fullmatch(word) or _ERROR_OF_A_CELL.fullmatch(word)
    return word if says_so else None


def _is_unequal_to_itself(value: Any) -> bool:
    """Return whether it is NaN or NaT. A comparison with pandas' NA or a signaling NaN raises."""
    try:
        return bool(value != value)  # noqa: PLR0124
    except Exception:
        return isinstance(value, Decimal) or type_name(value) == "NAType"
