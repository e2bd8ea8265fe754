"""Turns a list in any shape (from a file, a query, a data frame, a template) into rows, or says what it is instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from numbers import Number, Rational, Real
from os import PathLike
from typing import Any
from unicodedata import normalize

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.masking import mask_numbers, safe_get, type_name
from airflow_provider_dialogtech.sms.missing import is_missing, missing_word
from airflow_provider_dialogtech.sms.numbers import AS_PEOPLE_WRITE

_LONGEST_NAME = 60
_SHOWN = 10
_LATEST_HEADER = 20
_FEWEST_DIGITS = 7
_READ_CSV = "list(csv.DictReader(file))"
# A workbook is a ZIP file.
_ZIP = "PK\3\4"
_FOR_A_WORKBOOK = "For an Excel workbook give pandas.read_excel(path)."

# The names of pandas, polars and Arrow. A float of 32 bits rounds a phone number, a longer one than an integer has room
# for wraps to another.
_TOO_SHORT = frozenset({"float16", "float32", "float", "halffloat", "int32", "uint32"})

# The list


def listed(recipients: object) -> Iterable[Any]:
    """Return the rows of a list in any shape in which Airflow passes it.

    :param recipients: an iterable of rows, a data frame, or a JSON list as a string.
    :raises InvalidMessage: when it is something else.
    """
    if isinstance(recipients, str):
        found = _json_list(recipients)
        if found is None:
            advice = f"{_instead_of_text(recipients.strip())} A template gives a list alone in its braces, or |tojson."
            raise _no_list("a string that is not a JSON list", advice.lstrip())
        return found
    if frame := _records_of(recipients):
        return frame
    is_text = isinstance(recipients, Mapping | bytes | bytearray | memoryview)
    # A file iterates over its lines, a model of pydantic over its fields.
    is_one = _has(recipients, "read") or _has(recipients, "model_dump")
    if isinstance(recipients, Iterable) and not (is_text or is_one):
        return recipients
    raise _no_list(type_name(recipients), _instead_of(recipients))


def _no_list(kind: str, advice: str) -> InvalidMessage:
    reason = f"recipients must be a list of numbers or mappings, not {kind}"
    return InvalidMessage(reason, advice=advice, before_any=True)


def _json_list(text: str) -> list[Any] | None:
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):  # not JSON, or nested too deep
        return None
    return found if isinstance(found, list) else None


def _records_of(recipients: Any) -> Iterable[Any] | None:
    """Return the rows of a data frame of polars, Arrow or pandas, which would iterate over its columns."""
    if isinstance(recipients, Mapping):
        return None
    calls = (("to_pylist", ()), ("to_dicts", ()), ("to_dict", ("records",)))
    name, arguments = next((call for call in calls if _has(recipients, call[0])), ("", ()))
    if not (name == "to_pylist" or (name and _is_frame(recipients))):
        return None
    # Where the recipients were grouped by their numbers.
    if name == "to_dict" and fold(safe_get(safe_get(recipients, "index"), "name")) == "to":
        recipients = recipients.reset_index()
    _check_columns(recipients)
    return (row for row in getattr(recipients, name)(*arguments))


def _is_frame(value: object) -> bool:
    kind = type(value)
    return hasattr(kind, "columns") and hasattr(kind, "shape") and not isinstance(value, Mapping)


def _has(value: object, name: str) -> bool:
    return callable(getattr(type(value), name, None))


def _check_columns(frame: Any) -> None:
    """Refuse what the rows would no longer show: a column with another one's name, and numbers that were changed."""
    schema = safe_get(frame, "schema")
    names, kinds = safe_get(frame, "columns", ()), safe_get(frame, "dtypes", ())
    if _has(frame, "to_pylist"):
        names, kinds = safe_get(schema, "names", ()), safe_get(schema, "types", ())
    if len(set(names)) < len(names):
        raise InvalidMessage("two columns of the data frame have one name", advice="Rename one.", before_any=True)
    for name, kind in zip(names, kinds, strict=False):
        if fold(name) == "to" and str(kind).lower() in _TOO_SHORT:
            reason = f"the column `{name}` is of type {kind}, which cannot hold every phone number"
            raise InvalidMessage(reason, advice="Read it as text.", before_any=True)


def _instead_of_text(text: str) -> str:
    if text.startswith("{"):
        return _instead_of_object(text)
    advice = {
        _FOR_A_WORKBOOK: text.startswith(_ZIP),
        _instead_of(None): is_missing(text),
        "": text.startswith("["),
        "For one number in each line give text.split().": all(map(_is_number, text.splitlines())) and "\n" in text,
        "For the text of a CSV file give list(csv.DictReader(io.StringIO(text))).": "\n" in text,
        f"For the path of a file give its rows: {_READ_CSV}.": re.search(r"\.\w{2,5}\Z", text),
        "For numbers with commas between them give text.split(',').": "," in text,
        "For numbers with semicolons between them give text.split(';').": ";" in text,
        "For one number give [number].": True,
    }
    return next(words for words, applies in advice.items() if applies)


def _instead_of_object(text: str) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "For JSON lines give [json.loads(line) for line in text.splitlines()]." if "\n" in text else ""
    return _instead_of_mapping(found)


def _instead_of(recipients: Any) -> str:
    if recipients is None:
        return (
            "The task that returns them was skipped or returned nothing: let it return [], or skip this task as well."
        )
    if isinstance(recipients, Mapping):
        return _instead_of_mapping(recipients)
    if isinstance(recipients, bytes | bytearray):
        of_csv = "For the bytes of a CSV file give list(csv.DictReader(io.StringIO(data.decode()))), or decode JSON."
        return _FOR_A_WORKBOOK if recipients.startswith(_ZIP.encode()) else of_csv
    if isinstance(recipients, PathLike) or hasattr(type(recipients), "read"):
        return f"For a file give its rows: {_READ_CSV}."
    if hasattr(type(recipients), "collect"):
        return "For a lazy data frame give frame.collect()."
    return "Give a list, such as the mappings of a query's rows, or a data frame of pandas."


def _instead_of_mapping(recipients: Mapping[Any, Any]) -> str:
    values = [*recipients.values()]
    if any(isinstance(value, list) and value and isinstance(value[0], Mapping) for value in values):
        return "For the list inside it give mapping[key]."
    if values and all(isinstance(value, Mapping | list | tuple) or hasattr(type(value), "shape") for value in values):
        return 'For a data frame\'s dict give its rows: frame.to_dict("records").'
    if any(isinstance(value, list) for value in values):
        return "For the list inside it give mapping[key]."
    if "to" in map(fold, recipients):
        return "For one row give [row]."
    return 'For a mapping of names and numbers give [{"to": to, "name": name} for name, to in mapping.items()].'


# A row


def named(row: Any) -> Mapping[str, Any] | None:
    """Return a row's values by name; None when it has no names.

    :param row: a mapping, or the row of a database: a named tuple, or a type that knows its keys.
    """
    if type(row) is dict:
        return row
    try:
        # Of a named tuple, of Arrow and of Spark.
        name = next((name for name in ("_asdict", "as_py", "asDict") if _has(row, name)), "")
        values = getattr(row, name)() if name else row
        return dict(values) if isinstance(values, Mapping) or _has(values, "keys") else None
    except Exception:
        return None


def is_blank(row: Any) -> bool:
    """Return whether a row is blank, as spreadsheets export those below the last one."""
    if isinstance(row, Mapping):
        return bool(row) and all(_is_empty(value) or _is_blank_rest(value) for value in row.values())
    return isinstance(row, str) and _is_empty(row)


def spilled(row: Mapping[Any, Any]) -> bool:
    """Return whether a row of `csv.DictReader` has more cells than its header."""
    rest = row.get(None)
    return isinstance(rest, list) and not _is_blank_rest(rest)


def _is_blank_rest(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and _is_empty(each) for each in value)


def _is_empty(value: object) -> bool:
    """Return whether a cell has nothing in it, not even a word like #N/A, which an error must name."""
    return is_missing(value) and missing_word(value) is None


# Its columns

_REQUIRED = object()
_FORMULA = re.compile(r'="(.*)"', re.DOTALL)
# A float counts whole numbers exactly up to here.
_LARGEST_WHOLE = 2**53
_IGNORED = re.compile(r"[\s_\-\"'\xad\u200b-\u200f\u2060\ufeff]+")


def cell(row: Mapping[Any, Any], name: str, default: Any = _REQUIRED) -> Any:
    """Return a row's value by the name of its column, whose case, blanks, underscores and byte order mark are ignored.

    :param default: the value of a column that does not exist.
    :raises KeyError: when no column has the name, and `default` is not given.
    :raises InvalidMessage: when several have it, and more than one of them is not empty.
    """
    if name in row:
        return row[name]
    wanted = fold(name)
    found = [row[each] for each in row if isinstance(each, str) and wanted and fold(each) == wanted]
    if not found:
        if default is _REQUIRED:
            raise KeyError(name)
        return default
    present = [value for value in found if not is_missing(value)]
    if len(present) > 1:
        raise InvalidMessage(f"{len(present)} of its columns are called `{name}`: rename all but one")
    return (present or found)[0]


def plain(value: Any) -> Any:
    """Return a text without the blanks that pad it in a database, and without `="…"`, which keeps it text in Excel."""
    if type(value) is not str:
        return value
    value = value.strip()
    formula = _FORMULA.fullmatch(value)
    return formula[1].replace('""', '"') if formula else value


def whole(value: Any) -> Any:
    """Return a whole number as one: a data frame has floats in a column of whole numbers where one is missing."""
    # numpy's float32 is a Real, and no float of Python.
    is_float = isinstance(value, float | Real) and not isinstance(value, Rational)
    return int(value) if is_float and abs(value) <= _LARGEST_WHOLE and int(value) == value else value


def fold(name: object) -> str:
    """Return a column's name as names are compared."""
    if not isinstance(name, str):
        return ""
    return _folded(name) if len(name) <= _LONGEST_NAME else name


@lru_cache(maxsize=1000)
def _folded(name: str) -> str:
    return _IGNORED.sub("", normalize("NFKC", name)).casefold()


def column_names(row: Mapping[Any, Any]) -> str:
    """Return the names of a row's columns, for an error."""
    written = (str(name).strip() for name in row if isinstance(name, str | int))
    names = [mask_numbers(name)[:_LONGEST_NAME] for name in written if name]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}" or "none"


# All rows


def wrong_columns(rows: Sequence[Any]) -> tuple[str, str] | None:
    """Return what is wrong with a list none of whose rows has a `to`, and the line that makes it right; else None.

    A list whose file was decoded wrongly is wrong also with a `to`: its names would be sent as they were decoded.
    """
    if not rows:
        return None
    first = rows[0]
    columns = None if _is_frame(first) else named(first)
    if columns is None and isinstance(first, list | tuple):
        return _nameless(first) if all(isinstance(row, list | tuple) for row in rows) else None
    if columns is None:
        is_one_kind = all(type(row) is type(first) for row in rows)
        return _lines(first) if isinstance(first, str) else _objects(first) if is_one_kind else None
    names = [name for name in columns if isinstance(name, str)]
    if problem := _decoded_wrongly("".join(names)):
        return problem
    return None if any(_has_to(row) for row in rows) else _headless(rows, columns, names)


def _has_to(row: Any) -> bool:
    columns = named(row)
    return columns is None or any(fold(name) == "to" for name in columns)


def _lines(first: str) -> tuple[str, str] | None:
    if _is_header(first):
        return "the rows are the lines of a CSV file", "Give list(csv.DictReader(lines))."
    is_json = first.lstrip().startswith("{")
    return ("the rows are texts of JSON", "Give [json.loads(row) for row in rows].") if is_json else None


def _objects(first: object) -> tuple[str, str] | None:
    if first is None or isinstance(first, Number | bytes):
        return None
    if _is_frame(first):
        return "the rows are data frames", "Give one: pandas.concat(frames)."
    return (
        f"the rows are of type {type_name(first)}, which has no names of columns",
        'Give mappings: [{"to": row.to, "name": row.name} for row in rows], or frame.to_dict("records").',
    )


def _nameless(first: Sequence[Any]) -> tuple[str, str]:
    if hasattr(type(first[-1]) if first else None, "to_dict"):
        return "the rows are those of frame.iterrows()", "Give the data frame itself."
    kind = f"{type_name(first)}s"
    if any(isinstance(value, Mapping | list | tuple) for value in first) or (
        len(first) > 1 and all(map(_is_number, first))
    ):
        return (
            f"the rows are {kind} of rows, such as those of mapped tasks",
            "Give [row for rows in lists for row in rows].",
        )
    reason = f"the rows are {kind} without the names of their columns"
    if "to" in map(fold, first):
        advice = f"The first one is a header: give {_READ_CSV}, or [dict(zip(rows[0], row)) for row in rows[1:]]."
    elif len(first) == 1:
        advice = "Give [row[0] for row in rows]."
    else:
        advice = 'Name them in their order: [dict(zip(("to", "name"), row)) for row in rows].'
    return reason, advice


def _headless(rows: Sequence[Any], columns: Mapping[Any, Any], names: Sequence[str]) -> tuple[str, str]:
    whole = "".join(names)
    if columns and not names:
        kind = type_name(next(iter(columns)))
        return f"the names of the recipients' columns are of type {kind}, not text", 'Name them, one of them "to".'
    if whole.casefold().startswith("sep="):
        return "the first line of the recipients' file names its separator", "Skip it with next(file), then read on."
    if any("to" in map(fold, row.values()) for row in rows[:_LATEST_HEADER] if type(row) is dict):
        return "the recipients' header is not their first row", "Skip the lines above it with next(file), then read on."
    other = _other_separator(whole)
    for separator, called in (("\t", "tabs"), (";", "semicolons"), ("|", "bars"), (other, repr(other))):
        if separator and separator in whole and (len(names) == 1 or any(map(_is_header, names))):
            reason = f"the file of the recipients is separated by {called}, and was read as one column"
            return reason, f"Read it with csv.DictReader(file, delimiter={json.dumps(separator)})."
    if any(map(_is_number, names)):
        reason = "the file of the recipients has no header: its first row is taken for the names of the columns"
        return reason, 'Name the columns: csv.DictReader(file, fieldnames=["to", "name"]).'
    reason = f"the recipients have no column `to`; their columns are {column_names(columns)}"
    return reason, "Rename the column that has the phone numbers to `to`."


def _other_separator(name: str) -> str:
    """Return the sign that parts `to` from other names. A blank, a dash and a dot are within one name: `ship to`."""
    signs = (sign for sign in name if not (sign.isalnum() or sign.isspace() or sign in "._-'\""))
    return next((sign for sign in signs if "to" in map(fold, name.split(sign)) and all(name.split(sign))), "")


def _is_number(value: object) -> bool:
    written = str(value) if isinstance(value, str | int) else ""
    return sum(map(str.isdigit, written)) >= _FEWEST_DIGITS and AS_PEOPLE_WRITE.fullmatch(written) is not None


def _is_header(line: str) -> bool:
    return "to" in map(fold, re.split(r"[,;\t|]", line))


def _decoded_wrongly(names: str) -> tuple[str, str] | None:
    if names.startswith(_ZIP):
        return "the file of the recipients is an Excel workbook", "Read it with pandas.read_excel(path)."
    if "\0" in names or names.startswith(("ÿþ", "þÿ")):
        return "the file of the recipients is in UTF-16", 'Read it with open(path, encoding="utf-16").'
    if undecoded(names):
        reason = "the file of the recipients is in UTF-8, and was read in another encoding"
        return reason, 'Read it with open(path, encoding="utf-8-sig").'
    return None


# é, £, ’ and emoji as cp1252 shows them. In correct text these characters do not stand side by side.
_DECODED_WRONGLY = re.compile("[ÃÂ][¡-º¼-¿]|â€|ðŸ")
# In Mac Roman, the ’é of l’école is also the UTF-8 of an Armenian letter. Of Greek, Cyrillic, Hebrew and Arabic, words
# are longer than one letter.
_LIKELY = re.compile("[\u0080-\u017f\u0218-\u021b\u0900-\U0010ffff]|[\u0370-\u045f\u05d0-\u06ff]{2}")


def undecoded(text: str) -> str:
    """Return the first signs of a text that is UTF-8 and was read in another encoding; empty for any other text."""
    if text.isascii():
        return ""
    if found := _DECODED_WRONGLY.search(text):
        return found[0]
    for encoding in ("cp1252", "latin-1", "mac_roman", "cp437"):
        with suppress(UnicodeError):
            if _LIKELY.search(text.encode(encoding).decode()):
                return str(re.findall(r"[^\x00-\x7f]+", text)[0])
    return ""
