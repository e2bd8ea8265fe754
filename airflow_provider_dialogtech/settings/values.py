"""Values as people write them into JSON, forms and URIs, read within the bounds of their fields."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_dialogtech.opaque import Opaque
from airflow_provider_dialogtech.settings.fields import Field

LONGEST_EXTRA = 65_536
# What has more digits fits no setting and no phone number.
_LONGEST_INTEGER = 40


class _Extra(dict[str, Any]):
    """A parsed extra, which does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "{'***'}"


def json_object(text: Any) -> Mapping[str, Any] | None:
    """Read a JSON object; None when it is none. Airflow's own extra_dejson takes such an extra for an empty one."""
    if not isinstance(text, str) or len(text) > LONGEST_EXTRA:
        return None
    found = _json(text)
    return _Extra(found) if isinstance(found, dict) else None


def _json(text: str) -> Any:
    """Read JSON; None when it is none."""
    try:
        return json.loads(text, parse_int=_integer_or_text)
    except (ValueError, RecursionError):
        return None


def _integer_or_text(digits: str) -> int | str:
    """Leave an endless number to the check of its field: Python itself refuses it without a name."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else digits


def list_of(value: Any, kinds: tuple[type, ...]) -> tuple[str, ...] | None:
    """Read text separated by commas, a JSON list (also as text), or a single value; None when it is none of these."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = _json(value) if value.lstrip().startswith("[") else value.split(",")
    elif type(value) in kinds:
        value = [value]
    if not isinstance(value, list) or any(type(item) not in kinds for item in value):
        return None
    return tuple(dict.fromkeys(Opaque(str(item).strip()) for item in value if str(item).strip()))


def whole_number_within(value: Any, field: Field) -> int | None:
    """Read a whole number, also as text from a URI; None when it is none, or out of the field's bounds."""
    if type(value) not in {int, str} or not re.fullmatch(r"\s*\+?[0-9]{1,40}\s*", str(value), re.ASCII):
        return None
    number = int(value)
    return number if _within(number, field) else None


def number_within(value: Any, field: Field) -> float | None:
    """Read a number, also as text from a URI; None when it is none, or out of the field's bounds."""
    if type(value) not in {int, float, str}:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and _within(number, field) else None


def _within(number: float, field: Field) -> bool:
    return (field.minimum is None or number >= field.minimum) and (field.maximum is None or number <= field.maximum)


def name_within(value: Any, field: Field) -> str | None:
    """Read the account's name: empty when there is none, None when it is wrong. Ids of digits are names, too."""
    if value is None:
        return ""
    if type(value) not in {int, str}:
        return None
    name = str(value).strip()
    return name if _within(len(name), field) else None
