"""The connection's form: one table of fields, from which every Airflow version's own form is made."""

# Only Airflow up to 3.1 brings Flask's form libraries along.
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class FormField:
    """A field of the connection's extra.

    :param name: its key in the extra.
    :param label: its name in the form.
    :param kind: the JSON type of its value.
    :param description: what it is for, and what holds when it is empty.
    :param choices: the only values it may have; the first is preselected.
    """

    name: str
    label: str
    kind: Literal["string", "integer"]
    description: str
    choices: tuple[str, ...] = ()


EXTRA_FIELDS = (
    FormField(
        "from_numbers",
        "From numbers",
        "string",
        "SMS-enabled DialogTech numbers of the account, separated by commas. A text without a sender leaves from the "
        "one that may send first.",
    ),
    FormField(
        "alert_to", "Alert recipients", "string", "Numbers that alerts without a recipient go to, separated by commas."
    ),
    FormField(
        "alert_budget",
        "Alerts per recipient",
        "integer",
        "How many alerts a recipient gets in 10 minutes at most. Empty: 10.",
    ),
    FormField(
        "http_method", "HTTP method", "string", "How the API is called: GET as documented, or POST.", ("GET", "POST")
    ),
    FormField("timeout", "Time-out (seconds)", "integer", "How long one call of the API may take. Empty: 30."),
    FormField(
        "account_per_second", "Texts per account and second", "integer", "The account's limit, if not 4. Empty: 4."
    ),
    FormField("number_per_second", "Texts per number and second", "integer", "The numbers' limit, if not 1. Empty: 1."),
    FormField(
        "number_per_minute", "Texts per number and minute", "integer", "The numbers' limit, if not 40. Empty: 40."
    ),
    FormField(
        "throttled_pattern",
        "Wording of throttling",
        "string",
        "A regular expression for the API's reason when it refuses a text for its rate. Empty: the known wordings.",
    ),
)

HIDDEN_FIELDS = ["port", "schema"]
RELABELING = {"login": "Access key", "password": "Secret access key", "host": "API URL"}
PLACEHOLDERS = {
    "login": "from the account's Key Manager",
    "host": "empty for https://secure.dialogtech.com/ibp_api.php",
}


def declared_fields() -> dict[str, Any]:
    """Return the fields as Airflow 3.2 and newer read them from the provider's metadata."""
    return {
        field.name: {"label": field.label, "description": field.description, "schema": _schema(field)}
        for field in EXTRA_FIELDS
    }


def declared_behaviour() -> dict[str, Any]:
    """Return the standard fields' labels as Airflow 3.2 and newer read them from the provider's metadata."""
    return {"hidden-fields": HIDDEN_FIELDS, "relabeling": RELABELING, "placeholders": PLACEHOLDERS}


def widgets() -> dict[str, Any]:
    """Return the fields as Airflow up to 3.1 asks a hook for them. Needs WTForms and Flask-AppBuilder."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import IntegerField, StringField
    from wtforms.validators import Optional, any_of

    classes = {"string": StringField, "integer": IntegerField}
    return {
        field.name: classes[field.kind](
            field.label,
            validators=[Optional(), *([any_of(list(field.choices))] if field.choices else [])],
            description=field.description,
            default=_default(field),
            widget=BS3TextFieldWidget(),
        )
        for field in EXTRA_FIELDS
    }


def behaviour() -> dict[str, Any]:
    """Return the standard fields' labels as Airflow up to 3.1 asks a hook for them."""
    return {name.replace("-", "_"): value for name, value in declared_behaviour().items()}


def _schema(field: FormField) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [field.kind, "null"]}
    if field.choices:
        schema |= {"enum": list(field.choices), "default": _default(field)}
    return schema


def _default(field: FormField) -> str | None:
    return field.choices[0] if field.choices else None
