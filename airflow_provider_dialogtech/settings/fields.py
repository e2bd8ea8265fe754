"""The fields of a connection's extra: one table for the form, the checks and the documentation."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_dialogtech.masking import Opaque
from airflow_provider_dialogtech.spelling import misspelt, shown


@dataclass(frozen=True)
class Field:
    """A field of the connection's extra.

    :param name: its key in the extra.
    :param label: its name in the form.
    :param kind: the JSON type of its value.
    :param description: its purpose, and its default.
    :param choices: its allowed values; the first is preselected.
    :param minimum: the smallest number.
    :param maximum: the largest number, or the largest number of characters.
    """

    name: str
    label: str
    kind: Literal["string", "integer", "number"]
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def bounds(self) -> str:
        """The allowed values, for an error."""
        kind = "a whole number" if self.kind == "integer" else "a number"
        return f"{kind} from {self.minimum:,} to {self.maximum:,}"


MOST_NUMBERS = 1000
MOST_WORDS = 50
SHORTEST_WORD = 2
LONGEST_WORD = 100

EXTRA_FIELDS = (
    Field(
        "from_numbers",
        "From numbers",
        "string",
        "SMS-enabled DialogTech numbers of the account, separated by commas. A message without a sender is sent from "
        "the one with the earliest slot.",
    ),
    Field(
        "alert_to",
        "Alert recipients",
        "string",
        "Recipients of alerts without `to`: numbers or contacts, separated by commas.",
    ),
    Field(
        "contacts",
        "Contacts",
        "string",
        'Names for numbers, as JSON: {"oncall": "(555) 666-7777", "finance": ["…", "…"]}. A name may stand wherever a '
        "recipient's number may.",
    ),
    Field(
        "only_to",
        "Only to",
        "string",
        "The only numbers or contacts that messages are sent to, separated by commas. Other messages are held back, "
        "and their tasks succeed. [] holds back all messages. Empty: none is held back.",
    ),
    Field(
        "alert_budget",
        "Alerts per recipient",
        "integer",
        "The largest number of alerts per recipient in 10 minutes. Empty: 10.",
        minimum=1,
        maximum=1000,
    ),
    Field(
        "http_method", "HTTP method", "string", "How the API is called: GET as documented, or POST.", ("GET", "POST")
    ),
    Field(
        "timeout",
        "Time-out (seconds)",
        "number",
        "The longest time of one API call. Empty: 30.",
        minimum=0.1,
        maximum=600,
    ),
    Field(
        "account_per_second",
        "Messages per account and second",
        "integer",
        "The account's limit, if not 4. Empty: 4.",
        minimum=1,
        maximum=1000,
    ),
    Field(
        "number_per_second",
        "Messages per number and second",
        "integer",
        "The numbers' limit, if not 1. Empty: 1.",
        minimum=1,
        maximum=1000,
    ),
    Field(
        "number_per_minute",
        "Messages per number and minute",
        "integer",
        "The numbers' limit, if not 40. Empty: 40.",
        minimum=1,
        maximum=10_000,
    ),
    Field(
        "alert_reserve",
        "Messages kept for alerts",
        "integer",
        "How many messages per number and minute are kept for alerts, fewer than `number_per_minute`. Empty: a tenth "
        "of it.",
        minimum=0,
        maximum=9_999,
    ),
    Field(
        "throttled_words",
        "Words that mean throttled",
        "string",
        "Words or phrases, separated by commas, in DialogTech's reason that mean that it throttled a message. Empty: "
        "the known wordings.",
    ),
    Field(
        "account",
        "Account",
        "string",
        "A name for the DialogTech account. Connections with the same name share the limits, even with different "
        "access keys. Empty: connections with the same access key share them.",
        maximum=250,
    ),
)

FIELDS = {field.name: field for field in EXTRA_FIELDS}

# What people write for a key of the extra, or write there although it has a field of its own.
_MEANT = {
    "from": "from_numbers",
    "sender": "from_numbers",
    "to": "alert_to",
    "recipients": "alert_to",
    "allow_list": "only_to",
    "allowed_numbers": "only_to",
    "whitelist": "only_to",
    "dry_run": "only_to",
    "test_mode": "only_to",
    "access_key": "the field login",
    "login": "the field login",
    "secret_access_key": "the field password",
    "password": "the field password",
    "api_url": "the field host",
    "url": "the field host",
    "host": "the field host",
}


def unknown_keys(extra: Mapping[str, Any]) -> str:
    """Return the problem with an extra's unknown keys; empty when it has none."""
    unknown = [name for name in extra if name not in FIELDS]
    for name in unknown:
        inside = json_object(extra[name]) or extra[name]
        if isinstance(inside, Mapping) and not FIELDS.keys().isdisjoint(inside):
            return f"the extra has its keys inside another one, {shown(name)}; write them directly into the extra"
    return f"the extra has {misspelt('key', unknown, FIELDS, _MEANT)}" if unknown else ""


LONGEST_EXTRA = 65_536
# No setting and no phone number has more digits.
_LONGEST_INTEGER = 40


class _Extra(dict[str, Any]):
    """A parsed extra, whose repr does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "{'***'}"


def json_object(text: Any) -> Mapping[str, Any] | None:
    """Read a JSON object; None when it is not one. Airflow's `extra_dejson` would read such an extra as empty."""
    if not isinstance(text, str) or len(text) > LONGEST_EXTRA:
        return None
    found = _json(text)
    return _Extra(found) if isinstance(found, dict) else None


def _json(text: str) -> Any:
    """Read JSON; None when it is invalid, or has a key twice, of which one would be ignored."""
    try:
        return json.loads(text, parse_int=_integer_or_text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _integer_or_text(digits: str) -> int | str:
    """Return a very long number as a string, so that the error of its field names it. Python's own does not."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else digits


def list_of(value: Any, kinds: tuple[type, ...]) -> tuple[str, ...] | None:
    """Read a comma-separated string, a JSON list (also as a string), or a single value; None for anything else."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = _json(value) if value.lstrip().startswith("[") else value.split(",")
    elif type(value) in kinds:
        value = [value]
    if not isinstance(value, list) or any(type(item) not in kinds for item in value):
        return None
    return tuple(dict.fromkeys(Opaque(str(item).strip()) for item in value if str(item).strip()))


def number_within(value: Any, field: Field) -> float | None:
    """Read a number, also as a string from a URI; None when it is invalid or out of the field's bounds."""
    is_whole = field.kind == "integer"
    if type(value) not in ({int, str} if is_whole else {int, float, str}):
        return None
    if is_whole and not re.fullmatch(r"\s*\+?[0-9]{1,40}\s*", str(value), re.ASCII):
        return None
    try:
        number = int(value) if is_whole else float(value)
    except (ValueError, OverflowError):
        return None
    # Neither nan nor infinity passes this.
    return number if (field.minimum or 0) <= number <= (field.maximum or 0) else None


# Only Airflow up to 3.1 installs Flask's form libraries.
# mypy: disable-error-code="import-not-found, import-untyped"


HIDDEN_FIELDS = ["schema"]
RELABELING = {"login": "Access key", "password": "Secret access key", "host": "API URL"}
PLACEHOLDERS = {
    "login": "from the account's Key Manager",
    # Airflow 3.3 shows the extra fields only after a click, and takes no placeholder for the description.
    "password": "also from there; next: From numbers, in the extra fields below",
    "host": "empty for https://secure.dialogtech.com/ibp_api.php",
    # Without it, the button fails with "Bad Request".
    "port": "empty; on Airflow 3.3 write 0, for the button Test",
}


def declared_fields() -> dict[str, Any]:
    """Return the fields in the form of the provider's metadata, which Airflow 3.2 and newer read."""
    return {
        field.name: {"label": field.label, "description": field.description, "schema": _schema(field)}
        for field in EXTRA_FIELDS
    }


def declared_behaviour() -> dict[str, Any]:
    """Return the standard fields' labels in the form of the provider's metadata (Airflow 3.2 and newer)."""
    return {"hidden-fields": HIDDEN_FIELDS, "relabeling": RELABELING, "placeholders": PLACEHOLDERS}


def widgets() -> dict[str, Any]:
    """Return the fields as a hook's form widgets (Airflow up to 3.1). Needs WTForms and Flask-AppBuilder."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import IntegerField, StringField
    from wtforms.validators import NumberRange, Optional, any_of

    def validators(field: Field) -> list[Any]:
        found = [Optional()]
        if field.choices:
            found.append(any_of(list(field.choices)))
        if field.minimum is not None:
            found.append(NumberRange(min=math.ceil(field.minimum), max=field.maximum))
        return found

    # Airflow 3.0 and 3.1 have no field for a number with a fraction.
    classes = {"string": StringField, "integer": IntegerField, "number": IntegerField}
    return {
        field.name: classes[field.kind](
            field.label,
            validators=validators(field),
            description=field.description,
            default=_default(field),
            widget=BS3TextFieldWidget(),
        )
        for field in EXTRA_FIELDS
    }


def behaviour() -> dict[str, Any]:
    """Return the standard fields' labels as a hook returns them (Airflow up to 3.1)."""
    return {name.replace("-", "_"): value for name, value in declared_behaviour().items()}


def _schema(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [field.kind, "null"]}
    if field.choices:
        schema |= {"enum": list(field.choices), "default": _default(field)}
    if field.minimum is not None:
        schema |= {"minimum": field.minimum}
    if field.maximum is not None:
        schema |= {"maxLength" if field.kind == "string" else "maximum": field.maximum}
    return schema


def _default(field: Field) -> str | None:
    return field.choices[0] if field.choices else None
